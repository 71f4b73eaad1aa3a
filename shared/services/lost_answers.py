"""Asks a provider what became of a message whose answer was lost. A receipt may be faster, and is then believed."""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.domain import lost_answers
from shared.domain.errors import Accepted, CannotSay, RetryLater
from shared.domain.kinds import KINDS
from shared.domain.model import Notice, NoticeRecord, NoticeState, Request
from shared.domain.notice_record import ask_wait, wait_after_lost_answer
from shared.domain.policy import Policy, address_key
from shared.domain.signers import address_of, sender_address
from shared.ports import Ledger, MessageFinder, Sought, Stored
from shared.services.claims import log_outcome

MAX_OTHERS = 5  # messages of the same words to one number that are told apart

log = logging.getLogger(__name__)


class LostAnswers:
    """finders: the providers in use that can be asked, by name."""

    def __init__(
        self,
        ledger: Ledger,
        finders: Mapping[str, MessageFinder],
        policy: Policy,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger, self._finders, self._policy, self._clock = ledger, finders, policy, clock

    def settle(self, request: Request, notice: Notice) -> NoticeRecord | None:
        """Asks, if the time for it has come. Returns what became of the notice, as far as it is recorded.

        Raises RetryLater while something is left to be done about it.
        """
        stored = self._ledger.get(NoticeRecord, notice.notice)
        wait = ask_wait(stored.item, self._clock()) if stored else None
        if stored is None or wait is None:
            return stored.item if stored else None
        if wait.total_seconds() > 0:
            raise RetryLater("its provider is asked later", after=wait.total_seconds())
        answer = self._answer(request, notice, stored.item)
        return self._over(self._written(notice.notice, stored, answer))

    def _answer(self, request: Request, notice: Notice, record: NoticeRecord) -> lost_answers.Answer:
        finder, to = self._finders.get(record.provider), self._address(request, notice)
        if finder is None or not to or address_key(notice.channel, to, self._policy) != record.address:
            return CannotSay("the provider or the address has changed since")
        try:
            return self._found(finder, self._sought(notice, record, to))
        except (CannotSay, RetryLater) as e:
            log.warning("a provider was asked in vain", extra={"json": {"reason": e.reason}})
            return e
        except Exception as e:  # a fault of ours: the message must not be lost to it
            log.error("unexpected failure of a provider's find", extra={"json": {"fault": type(e).__name__}})
            return CannotSay(f"unexpected {type(e).__name__} in the {record.provider} adapter")

    def _sought(self, notice: Notice, record: NoticeRecord, to: str) -> Sought:
        since = max(t.at for t in record.history if t.state is NoticeState.SENDING)
        until = self._clock() + timedelta(seconds=lost_answers.ASK_WITHIN)
        return Sought(notice=notice.notice, to=to, fingerprint=record.fingerprint, since=since, until=until)

    def _found(self, finder: MessageFinder, sought: Sought) -> Accepted | None:
        """Not what another notice has: two may have said the same, and some providers keep no reference of ours."""
        for turn in range(MAX_OTHERS):
            if turn and self._clock() >= sought.until:
                raise RetryLater("the provider takes too long to tell several messages apart")
            found = finder.find(sought)
            if found is None or not self._is_of_another(found.provider_id, sought.notice):
                return found
            sought = replace(sought, others=sought.others | {found.provider_id})
        raise CannotSay("the provider lists too many messages that are other notices'")

    def _is_of_another(self, provider_id: str, notice: str) -> bool:
        holders = self._ledger.newest(NoticeRecord, 2, only=("provider_id", provider_id)) if provider_id else ()
        return any(key != notice for key, _ in holders)

    def _address(self, request: Request, notice: Notice) -> str:
        if KINDS[notice.kind].to_sender:
            return sender_address(request, self._policy)
        signer = request.signers.get(notice.signer)
        return address_of(signer, notice.channel) if signer else ""

    def _written(self, key: str, stored: Stored[NoticeRecord], answer: lost_answers.Answer) -> NoticeRecord:
        finder = self._finders.get(stored.item.provider)
        lag = finder.lag if finder else 0.0
        after = lost_answers.answered(stored.item, answer, self._clock(), lag, self._policy)
        if self._ledger.put(key, after, stored.version) is None:
            raise RetryLater("a receipt or another delivery was faster", after=1)
        if after.state is not stored.item.state:
            log_outcome(key, after)
        return after

    def _over(self, record: NoticeRecord) -> NoticeRecord:
        """The record. Raises RetryLater where the message is to come again: to be asked about, or sent once more."""
        if record.state is NoticeState.PLANNED:
            raise RetryLater(record.reason, after=0)
        if wait := wait_after_lost_answer(record, self._clock(), self._policy):
            raise RetryLater("it is not known yet whether it left", after=max(wait.total_seconds(), 0))
        return record
