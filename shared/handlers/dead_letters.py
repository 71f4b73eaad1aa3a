"""What ended in a dead-letter topic: listed with what a replay would do now, and replayed if that is still of use.

Effects are deduplicated, so a replay sends nothing twice; a dry run tells which of them it would send at all.
"""

from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from enum import StrEnum

import msgspec

from shared.domain import gates, planner
from shared.domain.dead_letters import STALE_DAYS, DeadLetter
from shared.domain.looks import event_key
from shared.domain.model import Event, Kind, Notice, NoticeState, Record, Request
from shared.domain.policy import Policy
from shared.handlers.echo import notice_message
from shared.handlers.names import Names
from shared.ports import Bus, DeadLetters, Ledger, Message

LIMIT = 1_000  # letters of a topic that one look takes up


class Fate(StrEnum):
    REPLAY = "replay"
    SETTLED = "settled"  # nothing is left to do: a replay drops it
    STUCK = "stuck"  # cannot be read: it stays until an operator drops it


class Judged(msgspec.Struct, frozen=True):
    """what: the letter in words. would: what a replay does now, and why."""

    letter: DeadLetter
    what: str
    fate: Fate
    would: str


class DeadLetterDesk:
    def __init__(
        self,
        ledger: Ledger,
        letters: DeadLetters,
        bus: Bus,
        names: Names,
        policy: Policy,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger, self._letters, self._bus = ledger, letters, bus
        self._names, self._policy, self._clock = names, policy, clock

    def held(self) -> list[Judged]:
        """The dry run: both topics, the oldest first. Raises Retry."""
        return [judged for topic in self._topics() for judged in self._judged(topic)]

    def replay(self, only: Collection[str] = ()) -> list[Judged]:
        """Sends each on its way again, or drops it where nothing is left to do. only: keys; empty means all.

        Raises Retry; what was not dropped by then stays, and may be replayed again without harm.
        """
        return [done for topic in self._topics() for done in self._replayed(topic, only)]

    def drop(self, only: Collection[str]) -> int:
        """Forgets the letters of these keys, unread. How many there were. Raises Retry."""
        count = 0
        for topic in self._topics():
            with self._letters.open(topic, LIMIT) as held:
                chosen = [letter for letter in held if letter.key in only]
                self._letters.drop(chosen)
                count += len(chosen)
        return count

    def _topics(self) -> tuple[str, str]:
        return self._names.events_topic, self._names.notices_topic

    def _judged(self, topic: str) -> list[Judged]:
        with self._letters.open(topic, LIMIT) as held:
            return [self._judge(letter) for letter in held]

    def _replayed(self, topic: str, only: Collection[str]) -> Iterator[Judged]:
        with self._letters.open(topic, LIMIT) as held:
            for judged in [self._judge(letter) for letter in held if not only or letter.key in only]:
                if judged.fate is Fate.REPLAY:
                    self._bus.publish(topic, [_again(judged.letter, self._names)])
                if judged.fate is not Fate.STUCK:
                    self._letters.drop([judged.letter])
                yield judged

    # -- what a replay would do

    def _judge(self, letter: DeadLetter) -> Judged:
        try:
            if letter.topic == self._names.events_topic:
                return self._judge_event(letter, msgspec.json.decode(letter.data, type=Event))
            return self._judge_notice(letter, msgspec.json.decode(letter.data, type=Notice))
        except (msgspec.DecodeError, UnicodeDecodeError) as e:
            return Judged(letter, "unreadable message", Fate.STUCK, f"nothing: it cannot be read ({e})")

    def _judge_event(self, letter: DeadLetter, event: Event) -> Judged:
        fate, would = self._fate_of_event(event)
        return Judged(letter, f"{event.type} of request {event.request}", fate, would)

    def _fate_of_event(self, event: Event) -> tuple[Fate, str]:
        if self._clock() - event.received_at > self._policy.days(STALE_DAYS):
            return Fate.SETTLED, f"nothing: it is more than {STALE_DAYS} days old"
        stored = self._ledger.get(Request, event.request)
        if stored is None:
            return Fate.REPLAY, "reads the request for the first time, and sends what is due"
        if stored.item.forgotten:
            return Fate.SETTLED, "nothing: the request's data has been purged"
        missing = self._missing(stored.item)
        if event_key(event.event) not in stored.item.events:
            return Fate.REPLAY, f"reads the request again, and sends what is due; so far {missing}"
        return (Fate.REPLAY, f"sends {missing}") if missing else (Fate.SETTLED, "nothing: it has had its effect")

    def _missing(self, request: Request) -> str:
        now = self._clock()
        implied = planner.notices(request, now, self._policy)
        lacking = planner.unsent(implied, self._ledger.records(request.id) if implied else {}, now, self._policy)
        return ", ".join(_described(n) for n in lacking)

    def _judge_notice(self, letter: DeadLetter, notice: Notice) -> Judged:
        fate, would = self._fate_of_notice(notice)
        return Judged(letter, f"{_described(notice)} of request {notice.request}", fate, would)

    def _fate_of_notice(self, notice: Notice) -> tuple[Fate, str]:
        stored, record = self._ledger.get(Request, notice.request), self._ledger.get(Record, notice.notice)
        if stored is None or stored.item.forgotten:
            return Fate.SETTLED, "nothing: the request's data has been purged"
        if record and not self._open(record.item):
            return Fate.SETTLED, f"nothing: it is {record.item.state} already"
        verdict = gates.gate(stored.item, notice, self._clock(), self._policy)
        if isinstance(verdict, gates.Send):
            number = stored.item.signers[notice.signer].number
            return Fate.REPLAY, f"sends it to signer {number} by {notice.channel}" + _live(notice)
        if isinstance(verdict, gates.Wait):
            return Fate.REPLAY, f"waits: {verdict.reason}"
        return Fate.SETTLED, f"nothing: {verdict.reason}"

    def _open(self, record: Record) -> bool:
        at_work = record.state in (NoticeState.PLANNED, NoticeState.SENDING)
        return at_work or planner.second_try(record, self._clock(), self._policy)


def _described(notice: Notice) -> str:
    step = f" of day {notice.step}" if notice.kind is Kind.REMINDER else ""
    return f"{notice.kind}{step} by {notice.channel}"


def _live(notice: Notice) -> str:
    return ", if the API still says so" if notice.kind in (Kind.INVITATION, Kind.REMINDER) else ""


def _again(letter: DeadLetter, names: Names) -> Message:
    """A notice's attributes are made anew: subscriptions filter by them, and a parked message has none."""
    if letter.topic == names.notices_topic:
        return notice_message(msgspec.json.decode(letter.data, type=Notice))
    return Message(letter.data)
