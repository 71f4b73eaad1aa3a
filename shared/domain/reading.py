"""One answer of the API beside the stored state and an event: what each says, and how long a denial is given."""

from datetime import datetime

from shared.domain import trust
from shared.domain.errors import RetryLater
from shared.domain.model import AccountAnswers, ApiRequest, Event, EventType, Request, Role, SignerState, Status
from shared.domain.policy import Policy
from shared.domain.recheck import SECOND_READING
from shared.domain.signers import matched, pending


class Reading:
    """What a merge reads, and what its steps leave to the next: the signers and the alerts.

    seen: the answer's rows by the signers' keys. flags: whether each row's signer has signed, as far as it says.
    """

    def __init__(
        self,
        before: Request,
        answer: ApiRequest,
        event: Event | None,
        now: datetime,
        policy: Policy,
        usual: AccountAnswers,
    ) -> None:
        self.before, self.answer, self.event, self.now, self.policy = before, answer, event, now, policy
        self.usual, self.invites = usual, is_sent(event) and trust.sent_in_time(before, now, policy)
        self.alerts: list[str] = [trust.ALERT_LATE_SENT] if is_sent(event) and not self.invites else []
        self.signers, self.seen = matched(before.signers, answer.signers, now, policy, SECOND_READING)
        self.first_sight = not before.signers
        self.flags = [s.signed for s in answer.signers if s.role is Role.SIGNER]

    @property
    def catches_up(self) -> bool:
        """Whether it is the first since the database was restored: of what it shows without a webhook, signers were
        told before.
        """
        restored, read = self.policy.restored, self.before.checked_at
        return restored is not None and read is not None and read <= restored[1]

    def said(self) -> Status | None:
        """What the answer says of the whole request, directly or by all its signatures; None when silent."""
        if self.answer.status is not None:
            return self.answer.status
        if self._all_signed():
            return Status.COMPLETE
        if self.is_of(EventType.COMPLETE) or self.before.complete_heard_at:
            # a date that has passed is no denial: the completion may have come before
            return Status.OPEN if False in self.flags else None
        return Status.EXPIRED if self.answer.expires_at and self.answer.expires_at <= self.now else None

    def _all_signed(self) -> bool:
        missed = any(pending(s) for k, s in self.signers.items() if k not in self.seen)
        return bool(self.flags) and all(self.flags) and not missed

    def is_of(self, kind: EventType) -> bool:
        """Whether there is an event, of this kind."""
        return self.event is not None and self.event.type is kind

    def flag(self, key: str) -> bool | None:
        """Whether the answer says that this signer has signed; None when silent."""
        return self.seen[key].signed if key in self.seen else None

    def has_signed(self, key: str) -> bool:
        """Whether this signer has signed, by all that is known so far."""
        return self.signers[key].state is SignerState.SIGNED

    def precedes(self, at: datetime | None) -> bool:
        """Whether the event was received before this time."""
        return self.event is not None and at is not None and self.event.received_at < at

    def wait(self, lag: float, why: str) -> None:
        """Raises RetryLater while the event is younger than `lag` seconds: the answer may lag behind it."""
        wait_for(self.event, lag, self.now, self.policy, why)


def is_sent(event: Event | None) -> bool:
    """Whether the event is a `request_sent`."""
    return event is not None and event.type is EventType.SENT


def wait_for(event: Event | None, lag: float, now: datetime, policy: Policy, why: str, slower: float = 1.0) -> None:
    """Raises RetryLater while the event is younger than `lag` seconds.

    slower: how many times longer each pause is, for what costs a call that nobody may have asked for.
    """
    if event is not None:
        age, most = now - event.received_at, policy.span(lag, floor=2)
        if age < most:
            pause = max(1.0, min(age.total_seconds(), 60.0)) if slower == 1 else max(2.0, age.total_seconds() * slower)
            raise RetryLater(why, after=min(pause, max(1.0, (most - age).total_seconds())))
