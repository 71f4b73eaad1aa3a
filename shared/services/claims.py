"""The right to send a notice, and what became of it: every write of a notice's record by `deliver`.

The claim is the last write before the provider's first byte. From there on, whatever is not a clear answer is
`unknown`: nobody may send it again as if nothing had happened.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NoReturn

import msgspec

from shared import trace
from shared.domain import notice_record
from shared.domain.errors import RetryLater
from shared.domain.lost_answers import ask_after
from shared.domain.model import Notice, NoticeRecord, NoticeState
from shared.domain.policy import Policy
from shared.domain.recheck import soon
from shared.ports import Ledger, Stored

# Seconds since the delivery read the state: until the provider's first byte, and until others may take over. Between
# them lie a provider's deadline (20 s) and the function's time-out (60 s).
SEND_WITHIN, LEASE = 40.0, 90.0
TOO_SLOW = "the delivery was held up for too long before the message was sent"

log = logging.getLogger(__name__)


class Claim(msgspec.Struct, frozen=True):
    """A claimed notice: its record as written, and the version that only the holder may replace.

    read_at: when the state was read by which it is due. before: the record that was claimed; None for a new one.
    answer: the provider's HTTP status and how long it took; None before it was called.
    """

    notice: Notice
    stored: Stored[NoticeRecord]
    read_at: datetime | None = None
    before: NoticeRecord | None = None
    answer: tuple[int, timedelta] | None = None

    @property
    def record(self) -> NoticeRecord:
        return self.stored.item


class Claims:
    """Claims notices for one instance, and records what became of them.

    lags: seconds until a provider that can be asked surely lists what it took, by its name.
    """

    def __init__(
        self, ledger: Ledger, policy: Policy, clock: Callable[[], datetime], lags: Mapping[str, float] | None = None
    ) -> None:
        self._ledger, self._policy, self._clock = ledger, policy, clock
        self._lags = lags or {}

    def claim(self, notice: Notice, read_at: datetime, **fields: Any) -> Claim | None:
        """None when it was sent or is closed. Raises RetryLater while another delivery holds it, or was faster.

        read_at: when the state was read by which it is due: the lease counts from there.
        """
        now = self._clock()
        if not self._in_time(read_at):
            raise RetryLater(TOO_SLOW, after=1)
        fields["lease_until"] = read_at + self.lease()
        begun = {"attempts": 1, "trace": trace.current(), **fields}
        fresh = notice_record.first_record(notice, NoticeState.SENDING, now, self._policy, **begun)
        version = self._ledger.put(notice.notice, fresh, None)
        if version is not None:
            return Claim(notice, Stored(fresh, version), read_at)
        stored = self._ledger.get(NoticeRecord, notice.notice)
        if stored is None or not self._is_free(notice, stored):
            return None
        self._await_second_try(stored.item)
        return self._claim_again(notice, read_at, stored, fields) if self._may_be_claimed(stored.item) else None

    def _claim_again(
        self, notice: Notice, read_at: datetime, stored: Stored[NoticeRecord], fields: dict[str, Any]
    ) -> Claim:
        if not self._in_time(read_at):  # frozen since: a claim written now might be left for good
            raise RetryLater(TOO_SLOW, after=1)
        trace.resume(stored.item.trace)
        attempts = stored.item.attempts + 1
        again = notice_record.changed_to(stored.item, NoticeState.SENDING, self._clock(), attempts=attempts, **fields)
        version = self._ledger.put(notice.notice, again, stored.version)
        if version is None:  # whoever was faster may still be refused by its provider: this message must come again
            raise RetryLater("another delivery has just claimed this notice", after=1)
        return Claim(notice, Stored(again, version), read_at, stored.item)

    def claimable(self, notice: Notice) -> bool:
        """Whether a delivery may go on with it: never begun, to be tried again, or due for its second try."""
        stored = self._ledger.get(NoticeRecord, notice.notice)
        return stored is None or (self._is_free(notice, stored) and self._may_be_claimed(stored.item))

    def _is_free(self, notice: Notice, stored: Stored[NoticeRecord]) -> bool:
        """False for a claim that ran out: it becomes `unknown`. Raises RetryLater while a delivery holds it."""
        if stored.item.state is not NoticeState.SENDING:
            return True
        if (left := notice_record.lease_left(stored.item, self._clock())) > 0:
            raise RetryLater("another delivery is working on this notice", after=min(left, 60))
        self.unknown(Claim(notice, stored), "the delivery that claimed it never recorded an outcome")
        return False

    def _may_be_claimed(self, record: NoticeRecord) -> bool:
        return notice_record.may_begin(record) or notice_record.second_try_due(record, self._clock(), self._policy)

    def _await_second_try(self, record: NoticeRecord) -> None:
        """Too early, it comes again: no recheck may come in time for a request that has ended."""
        wait = notice_record.second_try_wait(record, self._clock(), self._policy)
        if wait and wait > timedelta(0):
            raise RetryLater("its second try waits for a receipt", after=wait.total_seconds())

    def is_open(self, notice: Notice) -> bool:
        """Whether it is still to be sent: never begun, or to be tried again. Raises RetryLater while one holds it."""
        stored = self._ledger.get(NoticeRecord, notice.notice)
        return stored is None or (self._is_free(notice, stored) and notice_record.may_begin(stored.item))

    def has_begun(self, notice: Notice) -> bool:
        """Whether there is a record of it."""
        return self._ledger.get(NoticeRecord, notice.notice) is not None

    def is_over(self, notice: Notice) -> bool:
        """Whether its outcome is final, or its provider has it."""
        stored = self._ledger.get(NoticeRecord, notice.notice)
        return stored is not None and notice_record.is_over(stored.item)

    def holds(self, claim: Claim) -> bool:
        """Whether the provider may still be called: to be asked just before."""
        return claim.read_at is not None and self._in_time(claim.read_at)

    def _in_time(self, read_at: datetime) -> bool:
        return self._clock() - read_at <= self._policy.span(SEND_WITHIN, floor=13)

    def release(self, claim: Claim) -> NoReturn:
        """Nothing has left: the record is as it was before, so that an earlier try's outcome stays unknown."""
        record = claim.before or notice_record.changed_to(claim.record, NoticeState.PLANNED, self._clock(), TOO_SLOW)
        self.record(claim, record)
        raise RetryLater(TOO_SLOW, after=1)

    # -- outcomes

    def close(
        self, notice: Notice, state: NoticeState, reason: str, *, second_try: bool = False, **fields: Any
    ) -> None:
        """Not sent, with a reason. A notice that another delivery holds or has finished is left alone.

        second_try: whether one that is due is given up too.
        """
        now = self._clock()
        fresh = notice_record.first_record(notice, state, now, self._policy, reason, **fields)
        if self._ledger.put(notice.notice, fresh, None):
            return
        stored = self._ledger.get(NoticeRecord, notice.notice)
        may = self._may_be_claimed if second_try else notice_record.may_begin
        if stored and self._is_free(notice, stored) and may(stored.item):
            self.record(Claim(notice, stored), notice_record.closed(stored.item, state, now, reason, **fields))

    def unknown(self, claim: Claim, reason: str) -> None:
        """It may have left. Raises RetryLater where its provider can be asked, or a second try is worth it."""
        now, lag = self._clock(), self._lags.get(claim.record.provider)
        ask_at = None if lag is None else now + ask_after(lag, self._policy)
        fresh = {"ask_at": ask_at, "missing_since": None, "unanswered": 0}  # of an earlier try nothing counts
        record = notice_record.changed_to(claim.record, NoticeState.UNKNOWN, now, reason, **fresh)
        self.record(claim, record)
        if wait := notice_record.wait_after_lost_answer(record, now, self._policy):
            raise RetryLater(reason, after=wait.total_seconds())

    def accepted(self, claim: Claim, provider_id: str) -> NoticeRecord | None:
        """The provider took it. An `unknown` that another delivery wrote when the lease ran out is overwritten, and
        what a receipt says of an earlier try, whose answer was lost.

        Returns the record as it was written; None where a receipt was faster.
        """
        now = self._clock()
        accept = partial(notice_record.changed_to, state=NoticeState.ACCEPTED, now=now, provider_id=provider_id)
        record = accept(claim.record)
        if self.record(claim, record):
            return record
        return self._after_all(claim.notice, provider_id, accept)

    def _after_all(self, notice: Notice, provider_id: str, accept: Callable[..., NoticeRecord]) -> NoticeRecord | None:
        """What it replaces may be told, and its message acknowledged: should we die now, a recheck tells this."""
        untold = bool(notice.signer)  # of a mail to the sender nothing is told

        def accepted(old: NoticeRecord | None) -> NoticeRecord | None:
            if old is None or not notice_record.is_of_earlier_try(old, provider_id):
                return None
            if untold:
                self._have_rechecked(notice.request)
            return accept(old, untold=untold)

        return self._ledger.update(NoticeRecord, notice.notice, accepted)[1]

    def _have_rechecked(self, request: str) -> None:
        """First, or it might never come. If it cannot be done, what became of the message matters more."""
        with suppress(RetryLater):
            self._ledger.postpone(request, soon(self._clock(), self._policy))

    def record(self, claim: Claim, record: NoticeRecord) -> bool:
        """Whether it was written. A receipt may have been faster, and knows better: then nothing is left to write."""
        record = notice_record.answered(record, *claim.answer) if claim.answer else record
        written = self._ledger.put(claim.notice.notice, record, claim.stored.version)
        log_outcome(claim.notice.notice, record)
        return written is not None

    def lease(self) -> timedelta:
        """How long a claim holds."""
        return self._policy.span(LEASE, floor=30)


def log_outcome(key: str, record: NoticeRecord) -> None:
    """A notice's new state, for the log and the metrics that count it."""
    told = {
        "notice": key[:12],
        "state": record.state,
        "reason": record.reason,
        "channel": record.channel,
        "provider": record.provider,
    }
    log.info("notice %s", record.state.value, extra={"json": told})
