"""The claim of a notice, its provider's one call, and the record of what became of it."""

import logging
import traceback
from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec
from msgspec.structs import replace

from shared.domain import notice_record
from shared.domain.errors import Accepted, OutcomeUnknown, PermanentFailure, RetryLater
from shared.domain.model import ChannelName, Notice, NoticeRecord, NoticeState
from shared.domain.policy import Policy
from shared.ports import Channel, Ledger, Outgoing, Wording
from shared.services.circuit_breaker import CircuitBreaker
from shared.services.claims import Claim, Claims
from shared.services.fallback import Fallback

FIRST_PAUSE, MAX_PAUSE = 10.0, 3_600.0  # seconds between two attempts of one notice, doubling
PACED_PAUSE = 900.0  # seconds, the most between two attempts of a notice where the provider's pace is the limit

log = logging.getLogger(__name__)


class Composed(msgspec.Struct, frozen=True):
    """What is to be sent, and what its record says of it: fields of NoticeRecord."""

    message: Outgoing
    fields: dict[str, object]


def outgoing(notice: Notice, to: str, words: Wording) -> Outgoing:
    """The message that says a notice in these words."""
    return Outgoing(
        notice=notice.notice,
        to=to,
        text=words.text,
        subject=words.subject,
        html=words.html,
        sender=words.sender,
        reply_to=words.reply_to,
    )


def no_provider(channel: ChannelName) -> str:
    """The reason why nothing leaves on a channel that is not in use."""
    return f"no provider is set for {channel}: see {channel.upper()}_PROVIDER"


class Sending:
    """Sends through the channels of one instance, each with its circuit."""

    def __init__(
        self,
        ledger: Ledger,
        claims: Claims,
        channels: Mapping[ChannelName, Channel],
        fallback: Fallback,
        policy: Policy,
        clock: Callable[[], datetime],
        status: Callable[[], int],
    ) -> None:
        """status: the HTTP status of the last answer, 0 for none; asking forgets it."""
        self._claims, self._channels, self._fallback = claims, channels, fallback
        self._policy, self._clock, self._status = policy, clock, status
        self._circuits = {c: CircuitBreaker(f"{c} {p.name}", ledger, policy, clock) for c, p in channels.items()}

    def check(self, channel: ChannelName) -> None:
        """Raises RetryLater while its provider is down."""
        if circuit := self._circuits.get(channel):
            circuit.check()

    def send(self, notice: Notice, composed: Composed, read_at: datetime) -> NoticeRecord | None:
        """The record, where the provider took it. Raises RetryLater.

        read_at: when the state was read by which the notice is due.
        """
        claim = self._claims.claim(notice, read_at, **composed.fields)
        if claim is None:
            return None
        if not self._claims.holds(claim):  # frozen while it claimed: nothing has left, and the state may have changed
            self._claims.release(claim)
        return self._call(claim, self._channels[notice.channel], composed.message)

    def _call(self, claim: Claim, channel: Channel, message: Outgoing) -> NoticeRecord | None:
        self._status()  # an earlier call's
        began, outcome = self._clock(), _outcome(channel, message)
        claim = replace(claim, answer=(self._status(), self._clock() - began))
        match outcome:
            case Accepted():
                return self._accepted(claim, outcome)
            case RetryLater():
                self._try_later(claim, outcome)
            case PermanentFailure():
                self._fail(claim, outcome)
            case OutcomeUnknown():
                self._circuits[claim.notice.channel].failed()  # so that what is not claimed yet waits
                self._claims.unknown(claim, outcome.reason)
            case _:
                self._claims.unknown(claim, f"unexpected {type(outcome).__name__} in the {channel.name} adapter")
        return None

    def _accepted(self, claim: Claim, accepted: Accepted) -> NoticeRecord | None:
        record = self._claims.accepted(claim, accepted.provider_id)
        self._circuits[claim.notice.channel].worked()
        return record

    def _try_later(self, claim: Claim, retry: RetryLater) -> None:
        """A provider that is down, or takes no more now, uses up no attempts: that may outlast any number of them."""
        down = not retry.of_message and self._circuits[claim.notice.channel].failed()
        attempts = claim.record.attempts - (down or retry.paced)
        if attempts >= self._policy.max_attempts:
            return self._fail(claim, PermanentFailure(f"given up after {attempts} attempts: {retry.reason}"))
        after = self._wait(claim, retry, attempts)
        free_at = self._clock() + self._policy.span(after, floor=after) + self._claims.lease()
        self._back_to_planned(claim, retry.reason, attempts=attempts, lease_until=free_at)
        raise RetryLater(retry.reason, after=after)

    def _wait(self, claim: Claim, retry: RetryLater, attempts: int) -> float:
        """Seconds. Where many wait for the pace, each comes more rarely the longer it has waited."""
        if not retry.paced:
            return self._pause(attempts) if retry.after is None else retry.after
        half = (self._clock() - claim.record.history[0].at) / 2
        longest = max(min(half, self._policy.span(PACED_PAUSE, floor=1)).total_seconds(), self._pause(1))
        return max(longest, retry.after or 0.0)

    def _pause(self, attempts: int) -> float:
        seconds = min(FIRST_PAUSE * 2 ** (attempts - 1), MAX_PAUSE)
        return self._policy.span(seconds, floor=0.5).total_seconds()

    def _back_to_planned(self, claim: Claim, reason: str, **fields: object) -> None:
        planned = NoticeState.PLANNED
        self._claims.record(claim, notice_record.changed_to(claim.record, planned, self._clock(), reason, **fields))

    def _fail(self, claim: Claim, e: PermanentFailure) -> None:
        """What follows comes first. If it cannot be done now, all of it comes again: nothing was sent."""
        try:
            if e.suppress:
                self._fallback.suppress(claim.record, e.reason, self._clock())
            self._fallback.publish(claim.notice.notice, claim.record)
        except RetryLater:
            self._back_to_planned(claim, e.reason)
            raise
        failed = NoticeState.FAILED
        self._claims.record(claim, notice_record.closed(claim.record, failed, self._clock(), e.reason))


def _outcome(channel: Channel, message: Outgoing) -> Accepted | Exception:
    """What came of the one call."""
    try:
        return channel.send(message)
    except (RetryLater, PermanentFailure, OutcomeUnknown) as e:
        return e
    except Exception as e:  # a fault of ours after the claim: it may have left, so nobody may assume it did not
        where = traceback.extract_tb(e.__traceback__)[-1]  # not its text, which may hold the address
        fault = {"fault": type(e).__name__, "at": f"{where.filename}:{where.lineno}"}
        log.error("unexpected failure of a provider's adapter", extra={"json": fault})
        return e
