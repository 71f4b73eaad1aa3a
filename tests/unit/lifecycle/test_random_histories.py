"""Sixty days of random events: an independent model of what is due checks each message.

The oracle keeps its own calendar and its own diary of who had signed when. It reads of the relay only what left, and to
whom.
"""

from collections import Counter
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.errors import RetryLater
from shared.domain.model import EventType, NoticeState, Status
from tests.fakes import START, seen
from tests.simulated_time import DAY, HOUR, SECOND, Days, Left

SENT, SIGNED, COMPLETE, EXPIRED = EventType
PEOPLE = {"a": ("+13174037298", "America/New_York"), "b": ("+61291234567", "Australia/Sydney")}
STEPS = {3: 7, 7: 14, 14: 21}  # until the day on which it is no longer worth sending
FRESH = 60 * SECOND  # for so long an invitation may rest on an answer
CALM = 3 * DAY  # after so long of nothing in the way, whatever is due must have left
ENDED = (Status.COMPLETE, Status.EXPIRED)
QUICK = settings(max_examples=60, deadline=None, derandomize=True)

Change = tuple[datetime, Status, frozenset[str], bool]


class Life(Days):
    """The request, its truth, and what stands in the way of the relay."""

    def __init__(self) -> None:
        super().__init__()
        self.status, self.signed, self.round = Status.OPEN, frozenset[str](), 1
        self.down: set[str] = set()
        self.diary: list[Change] = []
        self.event_count = 0
        self._truth()
        self.webhook(SENT)

    # -- what may happen

    def _truth(self) -> None:
        people = [seen(n, mobile=mobile, signed=n in self.signed) for n, (mobile, _) in PEOPLE.items()]
        self.says(*people, status=self.status)
        if "api" in self.down:
            self.api.truth["r1"] = RetryLater("down")
        self.diary.append((self.now, self.status, self.signed, bool(self.down)))

    def webhook(self, kind: EventType, signer: str | None = None, *, lost: bool = False) -> None:
        self.event_count += 1
        if not lost:
            self.hear(kind, signer, f"e{self.event_count}")

    def sign(self, who: str, lost: bool) -> None:
        if self.status is Status.OPEN and who not in self.signed:
            self.signed |= {who}
            done = self.signed == set(PEOPLE)
            self.status = Status.COMPLETE if done else Status.OPEN
            self._truth()
            self.webhook(SIGNED, who, lost=lost)
            if done:
                self.webhook(COMPLETE, lost=lost)

    def becomes(self, status: Status, lost: bool) -> None:
        if self.status not in (Status.COMPLETE, status):
            self.status = status
            self._truth()
            if status is Status.EXPIRED:
                self.webhook(EXPIRED, lost=lost)

    def toggles(self, part: str) -> None:
        self.down ^= {part}
        self.reconciling = "reconcile" not in self.down
        self.sms.always = RetryLater("down") if "provider" in self.down else None
        self._truth()

    def queue(self, late: timedelta) -> None:
        self.queue_late = late

    def loses_tasks(self) -> None:
        self.scheduler.tasks.clear()

    def mends(self) -> None:
        self.queue_late = timedelta()
        for part in list(self.down):
            self.toggles(part)

    # -- what must hold of each message

    def _handle(self, topic: str, data: bytes) -> None:
        """Checked here, since an adapter that fails, as a failed assertion would make it, is no more than `unknown`."""
        before = len(self.left)
        super()._handle(topic, data)
        for m in self.left[before:]:
            self._check(m)

    def _check(self, m: Left) -> None:
        assert Counter(x[1:] for x in self.left)[m[1:]] == 1, f"{m} left twice"
        if m.kind == "reminder":
            self._check_reminder(m.signer, m.step, m.round)
        if m.kind == "invitation" and self.now - self.diary[-1][0] > FRESH:
            assert self.status not in ENDED
            assert m.signer not in self.signed
        if m.kind == "completion":
            assert self.status is Status.COMPLETE

    def _check_reminder(self, signer: str, step: int, round_: int) -> None:
        assert self.status is Status.OPEN
        assert signer not in self.signed
        assert 8 <= self.now.astimezone(ZoneInfo(PEOPLE[signer][1])).hour < 21
        assert self.now >= START + step * DAY - 2 * SECOND
        mine = [x for x in self.left[:-1] if (x.signer, x.round) == (signer, round_)]
        assert [x for x in mine if x.kind == "invitation"]
        assert all(x.step < step for x in mine if x.kind == "reminder")

    # -- what must hold in the end

    def calm(self, since: datetime, until: datetime, signer: str) -> bool:
        """Whether there was a long enough time in which this signer's reminder had nothing in its way."""
        ends = [at for at, *_ in self.diary[1:]] + [self.now]
        for (start, status, signed, hindered), end in zip(self.diary, ends, strict=True):
            free = status is Status.OPEN and signer not in signed and not hindered
            if free and min(end, until) - max(start, since) >= CALM:
                return True
        return False

    def expired_before(self, at: datetime) -> bool:
        """Steps that fall due while a request is expired are not made up for: then the oracle asks for none."""
        return any(when < at and status is Status.EXPIRED for when, status, *_ in self.diary)

    def check_end(self) -> None:
        assert not self.dead
        assert all(r.state not in (NoticeState.PLANNED, NoticeState.SENDING) for r in self.records())
        for signer in PEOPLE:
            for step, until in STEPS.items():
                due, end = START + step * DAY, START + until * DAY
                if self.calm(due, end, signer) and not self.expired_before(end):
                    assert step in self.steps(signer), f"{signer} was owed the reminder of day {step}"
        if self.status is Status.COMPLETE:
            done = sorted(m.signer for m in self.left if m.kind == "completion")
            too_late = [r for r in self.records() if r.kind == "completion" and r.reason == "too late"]
            assert done == sorted(PEOPLE) or too_late


ACTS = {
    "a signs": lambda life, lost: life.sign("a", lost),
    "b signs": lambda life, lost: life.sign("b", lost),
    "paused": lambda life, lost: life.becomes(Status.PAUSED, lost),
    "open again": lambda life, lost: life.becomes(Status.OPEN, lost),
    "expired": lambda life, lost: life.becomes(Status.EXPIRED, lost),
    "reconcile": lambda life, lost: life.toggles("reconcile"),
    "provider": lambda life, lost: life.toggles("provider"),
    "api": lambda life, lost: life.toggles("api"),
    "queue late": lambda life, lost: life.queue(HOUR if lost else 12 * HOUR),
    "queue ahead": lambda life, lost: life.queue(-5 * SECOND),
    "tasks lost": lambda life, lost: life.loses_tasks(),
    "sent again": lambda life, lost: life.webhook(SENT, lost=lost),
    "a forged expiry": lambda life, lost: life.webhook(EXPIRED),
    "all mended": lambda life, lost: life.mends(),
}
DRAWN = [*ACTS, *["reconcile", "a signs", "b signs"] * 2]  # these more often
HAPPENINGS = st.lists(st.tuples(st.sampled_from(DRAWN), st.booleans(), st.integers(1, 120)), max_size=10)


@given(HAPPENINGS)
@QUICK
def test_whatever_happens_each_message_is_true_timely_and_alone_and_none_that_is_owed_is_missing(happenings):
    life = Life()
    for act, lost, hours in happenings:
        ACTS[act](life, lost)
        life.live(hours * HOUR)
    life.mends()
    life.live_until(max(START + 60 * DAY, life.now + 10 * DAY))
    life.check_end()


@given(HAPPENINGS)
@settings(QUICK, max_examples=5)
def test_the_same_happenings_make_the_same_messages(happenings):
    lives = [Life(), Life()]
    for life in lives:
        for act, lost, hours in happenings[:6]:
            ACTS[act](life, lost)
            life.live(hours * HOUR)
    assert lives[0].left == lives[1].left


def test_left_alone_it_is_three_reminders_each():
    life = Life()
    life.live(60 * DAY)
    life.check_end()
    assert life.steps("a") == life.steps("b") == [3, 7, 14]
