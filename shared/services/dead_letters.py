"""The messages in the dead-letter topics: listed with what a replay would do now, and replayed where that helps.

Effects are deduplicated, so a replay sends nothing twice; a dry run tells which of them it would send at all.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from shared.domain import eligibility, planner
from shared.domain.dead_letters import STALE_DAYS, DeadLetter
from shared.domain.decodable import decodable
from shared.domain.errors import PermanentFailure
from shared.domain.kinds import KINDS, described
from shared.domain.model import Event, Notice, NoticeRecord, Request
from shared.domain.notice_record import IN_PROGRESS, is_idle
from shared.domain.policy import Policy
from shared.domain.recheck import event_key
from shared.domain.status_event import RawEvent
from shared.ports import Bus, DeadLetters, Ledger, Message
from shared.services.messages import event_message, notice_message
from shared.services.resource_names import ResourceNames

LIMIT = 1_000  # letters of a topic: each is leased for a minute
EVERY = 10_000  # letters of a topic that are searched for those of one request
MAX_AT_ONCE = (
    200  # letters of a topic that are shown or replayed at once, within the console's 60 s: each is some reads
)
BATCH = 50  # letters that are published and then dropped by one call each


class ReplayOutcome(StrEnum):
    """What a replay would do with a dead letter."""

    REPLAY = "replay"
    SETTLED = "settled"  # nothing is left to do: a replay drops it
    STUCK = "stuck"  # it, or what is stored, cannot be read: it stays until that changes or an operator drops it


class ReplayPreview(msgspec.Struct, frozen=True):
    """what: the letter in words. would: what a replay does now, and why."""

    letter: DeadLetter
    what: str
    outcome: ReplayOutcome
    would: str


class DeadLetterService:
    """The dead letters of all topics. forwards: whether changes of status are posted to an endpoint."""

    def __init__(
        self,
        ledger: Ledger,
        letters: DeadLetters,
        bus: Bus,
        names: ResourceNames,
        policy: Policy,
        clock: Callable[[], datetime],
        *,
        forwards: bool = False,
    ) -> None:
        self._ledger, self._letters, self._bus, self._forwards = ledger, letters, bus, forwards
        self._names, self._policy, self._clock = names, policy, clock

    def held(self) -> list[ReplayPreview]:
        """The dry run: the oldest MAX_AT_ONCE of each topic. Raises RetryLater."""
        return [preview for topic in self._topics() for preview in self._previews(topic)]

    def notices(self) -> set[str]:
        """Ids of the notices among the dead letters. Raises RetryLater."""
        with self._letters.open(self._names.notices_topic, LIMIT) as held:
            return {notice for letter in held if (notice := _notice_id(letter.data))}

    def replay(self, only: Collection[str] = ()) -> list[ReplayPreview]:
        """Sends each on its way again, or drops it where nothing is left to do. only: keys; empty means the oldest.

        At most MAX_AT_ONCE of a topic; those it returns as `stuck` are left.
        Raises RetryLater; what was not dropped by then stays, and may be replayed again without harm.
        """
        return [done for topic in self._topics() for done in self._replayed(topic, only)]

    def drop(self, only: Collection[str]) -> int:
        """Forgets the letters of these keys, unread. How many there were. Raises RetryLater."""
        count = 0
        for topic in self._topics():
            with self._letters.open(topic, LIMIT) as held:
                chosen = [letter for letter in held if letter.key in only]
                self._letters.drop(chosen)
                count += len(chosen)
        return count

    def forget(self, request: str) -> tuple[int, bool]:
        """Drops every letter of a request, also one that cannot be read but names it. Raises RetryLater.

        How many there were, and whether all letters were looked at. Twice, since the console or a replay may hold some
        for seconds; a topic's second turn comes after the others' first.
        """
        turns = [self._forget_in(topic, request) for topic in self._topics() * 2]
        return sum(found for found, _ in turns), all(whole for _, whole in turns[len(turns) // 2 :])

    def _forget_in(self, topic: str, request: str) -> tuple[int, bool]:
        with self._letters.open(topic, EVERY) as held:
            found = [letter for letter in held if _is_of(request, letter.data)]
            self._letters.drop(found)
        return len(found), len(held) < EVERY

    def _topics(self) -> tuple[str, ...]:
        status = (self._names.status_topic,) if self._forwards else ()
        return self._names.events_topic, self._names.notices_topic, *status

    def _previews(self, topic: str) -> list[ReplayPreview]:
        with self._letters.open(topic, LIMIT) as held:
            return [self._preview(letter) for letter in held[:MAX_AT_ONCE]]

    def _replayed(self, topic: str, only: Collection[str]) -> Iterator[ReplayPreview]:
        with self._letters.open(topic, LIMIT) as held:
            chosen = [letter for letter in held if not only or letter.key in only][:MAX_AT_ONCE]
            for at in range(0, len(chosen), BATCH):
                yield from self._replay_batch(topic, chosen[at : at + BATCH])

    def _replay_batch(self, topic: str, letters: Sequence[DeadLetter]) -> list[ReplayPreview]:
        """Publishes first: after a crash in between they are only replayed again."""
        previews = [self._preview(letter) for letter in letters]
        if again := [p.letter for p in previews if p.outcome is ReplayOutcome.REPLAY]:
            self._bus.publish(topic, [_again(letter, self._names) for letter in again])
        if done := [p.letter for p in previews if p.outcome is not ReplayOutcome.STUCK]:
            self._letters.drop(done)
        return previews

    # -- what a replay would do

    def _preview(self, letter: DeadLetter) -> ReplayPreview:
        try:
            if letter.topic == self._names.events_topic:
                return self._preview_event(letter, msgspec.json.decode(letter.data, type=Event))
            if letter.topic == self._names.status_topic:
                return _preview_status(letter, msgspec.json.decode(letter.data, type=RawEvent))
            return self._preview_notice(letter, msgspec.json.decode(letter.data, type=Notice))
        except (msgspec.DecodeError, UnicodeDecodeError) as e:
            return ReplayPreview(letter, "unreadable message", ReplayOutcome.STUCK, f"nothing: it cannot be read ({e})")
        except PermanentFailure as e:
            return ReplayPreview(letter, "a message", ReplayOutcome.STUCK, f"nothing: {e.reason}")

    def _preview_event(self, letter: DeadLetter, event: Event) -> ReplayPreview:
        outcome, would = self._outcome_of_event(event)
        return ReplayPreview(letter, f"{event.type} of request {event.request}", outcome, would)

    def _outcome_of_event(self, event: Event) -> tuple[ReplayOutcome, str]:
        if self._clock() - event.received_at > self._policy.days(STALE_DAYS):
            return ReplayOutcome.SETTLED, f"nothing: it is more than {STALE_DAYS} days old"
        stored = self._ledger.get(Request, event.request)
        if stored is None:
            return ReplayOutcome.REPLAY, "reads the request for the first time, and sends what is due"
        if stored.item.forgotten:
            return ReplayOutcome.SETTLED, "nothing: the request's data has been purged"
        missing = self._missing(stored.item)
        if event_key(event.event) not in stored.item.events:
            so_far = missing or "nothing"
            return ReplayOutcome.REPLAY, f"reads the request again, and sends what is due; so far {so_far}"
        return (
            (ReplayOutcome.REPLAY, f"sends {missing}")
            if missing
            else (ReplayOutcome.SETTLED, "nothing: it has had its effect")
        )

    def _missing(self, request: Request) -> str:
        now = self._clock()
        implied = planner.notices(request, now, self._policy)
        lacking = planner.unsent(implied, self._ledger.records(request.id) if implied else {}, now, self._policy)
        return ", ".join(_described(n) for n in lacking)

    def _preview_notice(self, letter: DeadLetter, notice: Notice) -> ReplayPreview:
        outcome, would = self._outcome_of_notice(notice)
        return ReplayPreview(letter, f"{_described(notice)} of request {notice.request}", outcome, would)

    def _outcome_of_notice(self, notice: Notice) -> tuple[ReplayOutcome, str]:
        stored, record = self._ledger.get(Request, notice.request), self._ledger.get(NoticeRecord, notice.notice)
        if stored is None:
            return ReplayOutcome.SETTLED, "nothing: the relay holds no such request"
        if stored.item.forgotten:
            return ReplayOutcome.SETTLED, "nothing: the request's data has been purged"
        if record and not self._open(record.item):
            return ReplayOutcome.REPLAY, f"sends nothing, since it is {record.item.state} already, and tells that again"
        if KINDS[notice.kind].to_sender:
            return ReplayOutcome.REPLAY, "tells the sender, if there is anything to tell by then"
        decision = eligibility.evaluate(stored.item, notice, self._clock(), self._policy)
        if isinstance(decision, eligibility.Send):
            number = stored.item.signers[notice.signer].number
            return ReplayOutcome.REPLAY, f"sends it to signer {number} by {notice.channel}" + _live(notice)
        if isinstance(decision, eligibility.Defer):
            return ReplayOutcome.REPLAY, f"waits: {decision.reason}"
        return ReplayOutcome.SETTLED, f"nothing: {decision.reason}"

    def _open(self, record: NoticeRecord) -> bool:
        return record.state in IN_PROGRESS or is_idle(record, self._clock(), self._policy)


@decodable
class _Subject(msgspec.Struct):
    """What a letter is about: an event or a notice names its request, a change of status its subject."""

    request: str = ""
    subject: str = ""


def _is_of(request: str, data: bytes) -> bool:
    """Not by the id alone, where it can be read: a signer or a webhook of another request may have the same."""
    try:
        about = msgspec.json.decode(data, type=_Subject)
    except (msgspec.DecodeError, UnicodeDecodeError):
        about = _Subject()
    readable = about.request or about.subject
    return readable == request if readable else msgspec.json.encode(request) in data


def _notice_id(data: bytes) -> str:
    try:
        return msgspec.json.decode(data, type=Notice).notice
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _preview_status(letter: DeadLetter, event: RawEvent) -> ReplayPreview:
    return ReplayPreview(
        letter, f"{event.type} {event.id}", ReplayOutcome.REPLAY, "posts it to STATUS_WEBHOOK_URL once more"
    )


def _described(notice: Notice) -> str:
    return f"{described(notice).lower()} by {notice.channel}"


def _live(notice: Notice) -> str:
    return ", if the API still says so" if KINDS[notice.kind].answer_age is not None else ""


def _again(letter: DeadLetter, names: ResourceNames) -> Message:
    """Attributes are made anew: subscriptions filter by them, and a deferred message has none."""
    if letter.topic == names.notices_topic:
        return notice_message(msgspec.json.decode(letter.data, type=Notice))
    if letter.topic == names.status_topic:
        return event_message(msgspec.json.decode(letter.data, type=RawEvent))
    return Message(letter.data)
