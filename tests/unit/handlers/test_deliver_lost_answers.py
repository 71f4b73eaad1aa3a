"""A provider that can be asked what it took: nothing is sent twice, and nothing that never left stays unsent."""

from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from shared.domain.errors import Accepted, CannotSay, OutcomeUnknown, RetryLater
from shared.domain.lost_answers import fingerprint
from shared.domain.model import EventType, NoticeRecord, NoticeState
from shared.domain.receipts import Receipt
from shared.handlers.deliver import Deliver
from shared.handlers.receipts import Receipts
from shared.ports import Outgoing, Sought
from shared.services.links import LinkService
from tests.fakes import FakeChannel, World, render, seen

LAG, MINUTE = 60.0, timedelta(minutes=1)
LOST = OutcomeUnknown("time-out")


class Askable(FakeChannel):
    """Lists what it took after `late`; `answers` come first. taken: the next lost message arrived all the same."""

    lag = LAG

    def __init__(self, world: World) -> None:
        super().__init__("sms", world.faults)
        self.world, self.late, self.taken = world, timedelta(0), True
        self.listed: list[tuple[datetime, Outgoing]] = []
        self.answers: list[Exception] = []
        self.sought: list[Sought] = []
        self.slow = timedelta(0)

    def send(self, message: Outgoing) -> Accepted:
        try:
            accepted = super().send(message)
        except OutcomeUnknown:
            if self.taken:
                self.listed.append((self.world.now, message))
            raise
        self.listed.append((self.world.now, message))
        return accepted

    def find(self, sought: Sought) -> Accepted | None:
        self.sought.append(sought)
        self.world.now += self.slow
        if self.answers:
            raise self.answers.pop(0)
        there = [m for at, m in self.listed if m.notice == sought.notice and at + self.late <= self.world.now]
        return Accepted("found") if there else None


class ByText(Askable):
    """Keeps no reference of ours, as Twilio: a message is known again by its number and text.

    loses: once it has taken so many messages, the next one's answer is lost.
    """

    loses = 0

    def send(self, message: Outgoing) -> Accepted:
        if self.loses and len(self.sent) == self.loses:
            self.loses, self.outcomes = 0, [LOST]
        return super().send(message)

    def find(self, sought: Sought) -> Accepted | None:
        self.sought.append(sought)
        ids = {f"sms-{n}": m for n, (_, m) in enumerate(self.listed, 1)}
        alike = (i for i, m in ids.items() if (m.to, fingerprint(m.text)) == (sought.to, sought.fingerprint))
        return next((Accepted(i) for i in alike if i not in sought.others), None)


class Asked(World):
    """A world whose SMS provider can be asked."""

    def __init__(self, provider: type[Askable] = Askable) -> None:
        super().__init__()
        self.sms = self.provider = provider(self)
        links = LinkService(self.shortener, self.policy.completion_link)
        channels = {"sms": self.sms, "email": self.email}
        ports = self.ledger, self.api, channels, links, render, self.fallback, self.outcomes, self.policy, self.clock
        self.deliver = Deliver(*ports)  # type: ignore[arg-type]

    @property
    def left(self) -> int:
        return len(self.provider.listed)


def invited(*, taken: bool, late: float = 0.0) -> Asked:
    """The answer to the first invitation was lost."""
    world = Asked()
    world.provider.outcomes, world.provider.taken = [LOST], taken
    world.provider.late = timedelta(seconds=late)
    world.says(seen("a"))
    world.hear(EventType.SENT)
    assert world.states("invitation") == [NoticeState.UNKNOWN]
    return world


@pytest.mark.parametrize("late", [0.0, 70.0])
def test_what_the_provider_took_is_found_and_not_sent_again(late: float) -> None:
    world = invited(taken=True, late=late)
    world.advance(timedelta(hours=1), reconcile=True)
    assert world.states("invitation") == [NoticeState.ACCEPTED]
    assert world.records()[0].provider_id == "found"
    assert world.left == 1


def test_what_it_has_denied_twice_is_sent_again_long_before_a_second_try_would_be() -> None:
    world = invited(taken=False)
    world.advance(timedelta(seconds=LAG + 30))
    assert (world.states("invitation"), world.left) == ([NoticeState.UNKNOWN], 0), "denied once"
    world.advance(timedelta(seconds=LAG))
    assert (world.states("invitation"), world.left) == ([NoticeState.ACCEPTED], 1)
    world.advance(timedelta(days=2), reconcile=True)
    assert world.left == 1


def test_it_is_asked_about_the_very_text_that_left() -> None:
    world = invited(taken=True)
    world.advance(timedelta(minutes=2))
    [sought] = world.provider.sought
    [(at, message)] = world.provider.listed
    assert (sought.notice, sought.to, sought.fingerprint) == (message.notice, message.to, fingerprint(message.text))
    assert sought.since <= at


@pytest.mark.parametrize("kind", ["progress", "reminder"])
@pytest.mark.parametrize(("taken", "due", "left"), [(True, True, 1), (False, True, 1), (False, False, 0)])
def test_progress_and_reminders_are_sent_again_if_they_are_still_due(
    kind: str, taken: bool, due: bool, left: int
) -> None:
    world = Asked()
    world.says(seen("a"), seen("b", mobile="", email="b@example.com"))
    world.hear(EventType.SENT)
    before = world.left
    world.provider.outcomes, world.provider.taken = [LOST], taken
    if kind == "progress":
        world.says(seen("a"), seen("b", mobile="", email="b@example.com", signed=True))
        world.hear(EventType.SIGNED, "b")
    else:
        world.advance(timedelta(days=3) - MINUTE)
        while world.provider.outcomes:
            world.advance(MINUTE / 3)
    if not due:
        world.says(seen("a", signed=True), seen("b", mobile="", email="b@example.com", signed=True))
        world.hear(EventType.SIGNED, "b")
        world.hear(EventType.SIGNED, "a")
    world.advance(timedelta(minutes=10), reconcile=True)
    records = [r for r in world.records() if r.kind == kind and r.channel == "sms"]
    expected = NoticeState.ACCEPTED if due else NoticeState.SUPPRESSED
    assert [r.state for r in records] == [expected]
    assert world.left - before == left


def test_a_provider_that_cannot_say_leaves_the_second_try_to_its_time() -> None:
    world = invited(taken=True)
    world.provider.answers = [CannotSay("it keeps no list")]
    world.advance(timedelta(minutes=14))
    assert world.left == 1
    world.advance(timedelta(minutes=2))
    assert world.left == 2
    assert len(world.provider.sought) == 1


def test_a_denial_of_the_first_try_counts_nothing_against_the_second() -> None:
    world = invited(taken=False)
    world.provider.answers = []
    world.advance(timedelta(seconds=LAG + 30))  # denied once
    world.provider.answers = [CannotSay("it keeps no list")]
    world.provider.outcomes, world.provider.late = [LOST], timedelta(seconds=LAG + 10)
    world.provider.taken = True
    world.advance(timedelta(hours=1), reconcile=True)
    assert (world.states("invitation"), world.left) == ([NoticeState.ACCEPTED], 1)


def test_the_text_as_it_left_is_asked_for_though_the_state_has_changed_since() -> None:
    world = invited(taken=True)
    before = world.provider.listed[0][1].text
    world.says(seen("a"), seen("b", mobile="", email="b@example.com"))
    world.hear(EventType.SENT, key="again")
    world.advance(timedelta(minutes=2))
    assert world.provider.sought[0].fingerprint == fingerprint(before)


def test_a_provider_that_fails_is_asked_until_it_answers() -> None:
    world = invited(taken=True)
    world.provider.answers = [RetryLater("503")] * 20
    world.advance(timedelta(hours=5), reconcile=True)
    assert (world.states("invitation"), world.left) == ([NoticeState.ACCEPTED], 1)


def test_a_receipt_settles_it_first_and_nobody_is_asked() -> None:
    world = invited(taken=True)
    (key,) = world.ledger.all(NoticeRecord)
    told = Receipt(notice=key, provider_id="r", state=NoticeState.DELIVERED, at=world.now)
    receipts = Receipts(
        world.ledger, {"sms": Verifier(told)}, world.fallback, world.outcomes, world.clock, world.policy
    )
    receipts.take("sms", None)  # type: ignore[arg-type]
    world.advance(timedelta(hours=1), reconcile=True)
    assert (world.states("invitation"), world.left) == ([NoticeState.DELIVERED], 1)
    assert world.provider.sought == []


@pytest.mark.parametrize("taken", [True, False])
def test_the_same_words_to_two_people_at_one_number_are_two_messages(taken: bool) -> None:
    """Of the second the answer was lost; the first is in the list, and is not taken for it."""
    world = Asked(ByText)
    assert isinstance(world.provider, ByText)
    people = [seen("a"), seen("b", mobile="+13175550101")]
    world.says(*people, seen("c", mobile="", email="c@example.com"))
    world.hear(EventType.SENT)
    world.says(*people, seen("c", mobile="", email="c@example.com", signed=True))
    world.provider.taken, world.provider.loses = taken, len(world.provider.sent) + 1
    world.hear(EventType.SIGNED, "c")
    texts = [m.text for m in world.provider.sent if m.text.startswith("progress")]
    world.advance(timedelta(minutes=10))
    told = [r for r in world.records() if r.kind == "progress" and r.channel == "sms"]
    assert [r.state for r in told] == [NoticeState.ACCEPTED] * 2
    assert len({r.provider_id for r in told}) == 2
    assert [m.text for _, m in world.provider.listed].count(texts[0]) == 2


def test_a_provider_that_takes_long_for_each_of_several_questions_is_asked_again_later() -> None:
    world = invited(taken=True)
    [key] = world.ledger.all(NoticeRecord)
    record, version = world.ledger.documents[NoticeRecord, key]
    world.ledger.documents[NoticeRecord, "another"] = (replace(record, provider_id="found"), version)
    world.provider.slow = timedelta(seconds=19)
    world.advance(timedelta(seconds=LAG + 1))
    assert len(world.provider.sought) == 1
    [record] = [r for k, r in world.ledger.all(NoticeRecord).items() if k == key]
    assert (record.state, record.unanswered) == (NoticeState.UNKNOWN, 1)


class Verifier:
    name = "sms"

    def __init__(self, receipt: Receipt) -> None:
        self.receipt = receipt

    def receipts(self, *_: object) -> list[Receipt]:
        return [self.receipt]


def test_after_a_change_of_provider_nobody_is_asked_who_never_had_the_message() -> None:
    world = invited(taken=True)
    world.provider.name = "other"
    links = LinkService(world.shortener, world.policy.completion_link)
    ports = (
        world.ledger,
        world.api,
        {"sms": world.sms},
        links,
        render,
        world.fallback,
        world.outcomes,
        world.policy,
        world.clock,
    )
    world.deliver = Deliver(*ports)  # type: ignore[arg-type]
    world.advance(timedelta(minutes=14))
    assert world.provider.sought == []
    assert world.states("invitation") == [NoticeState.UNKNOWN]


def test_a_provider_that_never_takes_it_and_loses_every_answer_is_tried_a_bounded_number_of_times() -> None:
    world = invited(taken=False)
    world.provider.always = LOST
    world.advance(timedelta(days=8), reconcile=True)
    [record] = [r for r in world.records() if r.kind == "invitation"]
    assert record.state is NoticeState.UNKNOWN
    assert record.attempts <= world.policy.max_attempts + 1
