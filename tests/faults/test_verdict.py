"""The table tells each thing that can go wrong: a run that is right shows nothing, one with a fault shows that one."""

import dataclasses
import time
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec.structs import replace

from shared.domain.model import ChannelName, Kind, NoticeRecord, NoticeState, Request, Transition
from shared.domain.notice_event import notice_event
from shared.domain.policy import Policy, address_key
from tests.fakes import FakeLedger
from tests.fakes import Faults as Crashes
from tests.faults.api import Api, Told
from tests.faults.consumer import Consumer
from tests.faults.oracle import due
from tests.faults.provider import BOSS, Provider, Sent
from tests.faults.script import SILENT, Person, Play, plays
from tests.faults.script import Step as Act
from tests.faults.serving import Faults
from tests.faults.table import Row, table
from tests.faults.verdict import KEYED, Decision

START = datetime(2026, 3, 2, tzinfo=UTC)
ANN = Person(1, "Ann", "ann@example.com", "+13172000001", ("sms",))
BOB = Person(2, "Bob", "bob@example.com", "+13172000002", ("email",))
SENT, SIGNED, COMPLETE = (f"request_{word}" for word in ("sent", "signed", "complete"))
PLAY = Play(
    "r1",
    (ANN, BOB),
    ordered=False,
    eager=False,
    end="complete",
    starts=0.0,
    steps=(
        Act(SENT, None, 0.0, (0.0,)),
        Act(SIGNED, ANN, 1.0, (0.0,)),
        Act(SIGNED, BOB, 1.0, (0.0,)),
        Act(COMPLETE, None, 0.0, (0.0,)),
    ),
)
WAITS = Play("r2", (ANN, BOB), ordered=False, eager=False, end="open", starts=0.0, steps=PLAY.steps[:2])
CHECKS = (
    "second_tries",
    "doubled",
    "undue",
    "untrue",
    "against_the_api",
    "second_tries_owed",
    "not_at_rest",
    "book_differs",
)


class Book:
    """A run as it might have been, a minute of the day between any two things."""

    def __init__(self, play: Play) -> None:
        self.play, self.now, self.at = play, START, time.monotonic()
        self.api, self.provider = Api(1, [play], lambda: self.now), Provider(1, lambda: self.now)
        self.ledger, self.consumer = FakeLedger(Crashes()), Consumer(1)
        self.ledger.put(play.id, Request(id=play.id, changed_at=START), None)
        self.taken = {(play.id, n) for n in range(len(play.steps))}

    def passes(self, seconds: float = 60.0) -> None:
        self.now, self.at = self.now + timedelta(seconds=seconds), self.at + seconds

    def happens(self, kind: str, who: Person | None = None) -> None:
        self.passes()
        self.api.happens(self.play, kind, who)
        self.says()

    def says(self) -> None:
        self.api.told[self.play.id].append(Told(self.at, self.api.facts[self.play.id][-1]))

    def leaves(self, kind: str, person: Person, *, step: int = 0, about: str = "", notice: str = "") -> str:
        """Claimed and accepted."""
        self.passes(1)
        key = notice or f"{kind}-{person.number}-{step}-{about}"
        self.records(key, kind, person, step, NoticeState.SENDING, NoticeState.ACCEPTED)
        self.arrives(key, kind, person, about)
        return key

    def arrives(self, key: str, kind: str, person: Person, about: str = "") -> None:
        sent = Sent(self.at, self.now, key, person.addresses[0], kind, about)
        self.provider._accept(sent)

    def records(self, key: str, kind: str, person: Person, step: int, *states: NoticeState) -> None:
        channel = ChannelName(person.channels[0])
        stored = self.ledger.get(NoticeRecord, key)
        record = stored.item if stored else None
        history = (*(record.history if record else ()), *(Transition(at=self.now, state=s) for s in states))
        fresh = NoticeRecord(
            request_id=self.play.id,
            signer=str(person.number),
            kind=Kind(kind),
            reminder_day=step if kind == "reminder" else 0,
            about=step if kind == "progress" else 0,
            channel=channel,
            round=1,
            state=states[-1],
            history=history,
            address=address_key(channel, person.addresses[0], KEYED),
            changed_at=self.now,
        )
        self.ledger.put(key, fresh, stored.version if stored else None)

    def decision(self) -> Decision:
        expected = due([self.play], self.taken)
        return Decision([self.play], expected, self.api, self.provider, self.consumer, self.ledger)

    def shows(self, status: str, signatures: int, sequence: int) -> None:
        data = {"request": self.play.id, "status": status, "signatures": signatures, "sequence": sequence}
        self.consumer._take({"id": f"{sequence}", "type": f"clickwrap.request.{status}", "data": data})

    def found(self) -> dict[str, int]:
        """What is wrong, by name."""
        verdict = self.decision()
        counts = {name: len(getattr(verdict, name)()) for name in CHECKS}
        counts |= {f"lost {kind}": len(verdict.lost(kind)) for kind in ("invitation", "completion", "reminder")}
        return {name: n for name, n in counts.items() if n} | ({"unknown": n} if (n := verdict.unknowns()) else {})


def invited(play: Play = PLAY) -> Book:
    book = Book(play)
    book.happens(SENT)
    for person in (ANN, BOB):
        book.leaves("invitation", person)
    return book


def complete(book: Book) -> Book:
    book.happens(SIGNED, ANN)
    book.leaves("progress", BOB, step=1, about="Ann")
    book.happens(SIGNED, BOB)
    book.happens(COMPLETE)
    for person in (ANN, BOB):
        book.leaves("completion", person)
    return book


def test_a_run_without_fault_shows_none() -> None:
    assert complete(invited()).found() == {}


def test_an_invitation_that_never_left_is_lost() -> None:
    book = Book(PLAY)
    book.happens(SENT)
    book.leaves("invitation", ANN)
    assert complete(book).found() == {"lost invitation": 1}


def test_a_completion_that_never_left_is_lost() -> None:
    book = invited()
    for fact in ((SIGNED, ANN), (SIGNED, BOB), (COMPLETE, None)):
        book.happens(*fact)
    assert book.found() == {"lost completion": 2}


def test_each_reminder_of_a_request_left_open_is_due() -> None:
    book = invited(WAITS)
    book.happens(SIGNED, ANN)
    book.says()
    book.leaves("reminder", BOB, step=3)
    assert book.found() == {"lost reminder": 2}


def test_an_invitation_recorded_as_unknown_twice_is_not_lost() -> None:
    book = Book(PLAY)
    book.happens(SENT)
    book.leaves("invitation", ANN)
    book.records("x", "invitation", BOB, 0, *[NoticeState.SENDING, NoticeState.UNKNOWN] * 2)
    assert complete(book).found() == {"unknown": 2}


def test_a_completion_left_unknown_without_a_second_try_is_told() -> None:
    book = complete(invited())
    book.provider.book.pop()
    book.records("completion-2-0-", "completion", BOB, 0, NoticeState.SENDING, NoticeState.UNKNOWN)
    assert book.found() == {"second_tries_owed": 1, "unknown": 1}


def test_what_is_left_unknown_is_counted_apart_from_what_is_still_to_be_asked_about() -> None:
    book = invited()
    book.records("x", "progress", BOB, 1, NoticeState.SENDING, NoticeState.UNKNOWN)
    verdict = book.decision()
    assert (verdict.unknown_for_good(), verdict.to_be_asked()) == (1, 0)
    stored = book.ledger.get(NoticeRecord, "x")
    assert stored
    book.ledger.put("x", replace(stored.item, ask_at=book.now), stored.version)
    verdict = book.decision()
    assert verdict.to_be_asked() == 1


def test_a_provider_that_is_asked_lists_a_message_only_after_a_while() -> None:
    book = invited()
    query = b'{"filter": {"AND": [{"values": [{"value": "bob@example.com"}]}]}}'
    book.provider.questions = Faults(1, "questions", (("", 0.0),))
    assert book.provider.answer("/v1/analytics/logs", {}, query).body == {"items": []}
    book.passes()
    [row] = book.provider.answer("/v1/analytics/logs", {}, query).body["items"]
    assert row["message"]["headers"]["message-id"] == "2@mg.example.com"


def test_a_double_after_a_lost_answer_is_excused_only_by_its_record() -> None:
    book = Book(PLAY)
    book.happens(SENT)
    book.leaves("invitation", BOB)
    book.records("x", "invitation", ANN, 0, NoticeState.SENDING, NoticeState.UNKNOWN)
    book.arrives("x", "invitation", ANN)
    book.leaves("invitation", ANN, notice="x")
    assert complete(book).found() == {"second_tries": 1, "unknown": 1}


def test_the_same_invitation_twice_is_a_double() -> None:
    book = invited()
    book.leaves("invitation", ANN)
    assert complete(book).found() == {"doubled": 1}


def test_a_second_progress_message_is_a_double_even_after_a_lost_answer() -> None:
    book = complete(invited())
    book.records("progress-2-1-Ann", "progress", BOB, 1, NoticeState.UNKNOWN)
    book.arrives("progress-2-1-Ann", "progress", BOB, "Ann")
    assert "doubled" in book.found()


def test_nobody_may_be_invited_when_the_webhook_of_the_sending_was_lost() -> None:
    book = invited()
    book.taken.discard((PLAY.id, 0))
    assert complete(book).found() == {"undue": 2}


def test_news_of_a_signature_ahead_of_the_fact_is_told() -> None:
    book = invited()
    book.leaves("progress", BOB, step=1, about="Ann")
    assert "untrue" in book.found()


def test_a_reminder_after_the_api_has_said_signed_is_told() -> None:
    book = invited(WAITS)
    book.happens(SIGNED, ANN)
    book.leaves("reminder", ANN, step=3)
    assert book.found()["against_the_api"] == 1


def test_a_reminder_that_asked_nobody_is_told() -> None:
    book = invited(WAITS)
    book.passes(3_600)
    book.leaves("reminder", BOB, step=3)
    assert book.found()["against_the_api"] == 1


def test_progress_after_the_relay_knew_the_end_is_told() -> None:
    book = complete(invited())
    stored = book.ledger.get(Request, PLAY.id)
    assert stored
    book.ledger.put(PLAY.id, replace(stored.item, completed_at=book.now, changed_at=book.now), stored.version)
    book.passes()
    book.leaves("progress", ANN, step=2, about="Bob")
    assert book.found() == {"against_the_api": 1}


def test_a_notice_left_in_the_middle_is_told() -> None:
    book = complete(invited())
    book.records("y", "progress", ANN, 2, NoticeState.PLANNED)
    assert book.found() == {"not_at_rest": 1}


def test_a_record_that_claims_what_the_provider_never_took_is_told() -> None:
    book = complete(invited())
    book.records("z", "progress", ANN, 2, NoticeState.SENDING, NoticeState.ACCEPTED)
    assert book.found() == {"book_differs": 1}


def test_an_invitation_of_a_round_that_the_script_does_not_have_is_told() -> None:
    book = invited()
    book.leaves("invitation", ANN, notice="again")
    assert book.found() == {"doubled": 1, "lost completion": 2}
    stored = book.ledger.get(NoticeRecord, "again")
    book.ledger.put("again", replace(stored.item, round=2), stored.version)
    assert book.found() == {"undue": 1, "lost completion": 2}


def test_whoever_has_delegated_is_reminded_of_nothing() -> None:
    cyd = dataclasses.replace(ANN, number=3, name="Cyd", mobile="+13172000003", instead_of=1)
    steps = (Act(SENT, None, 0.0, (0.0,)), Act("delegate", ANN, 1.0, ()), Act(SIGNED, cyd, 1.0, (0.0,)))
    book = invited(dataclasses.replace(WAITS, people=(ANN, BOB, cyd), steps=steps))
    assert "lost reminder" in book.found()  # Bob's
    book.happens("delegate", ANN)
    book.leaves("invitation", cyd)
    for day in (3, 7, 14):
        book.passes()
        book.says()
        book.leaves("reminder", BOB, step=day)
    assert book.found() == {}
    book.passes()
    book.says()
    book.leaves("reminder", ANN, step=3)
    assert book.found() == {"against_the_api": 1}


def test_a_change_of_status_that_another_system_does_not_show_is_told() -> None:
    book = complete(invited())
    stored = book.ledger.get(Request, PLAY.id)
    book.ledger.put(PLAY.id, replace(stored.item, status_sequence=4), stored.version)
    book.shows("open", 1, 3)
    assert (book.decision().not_shown(), book.decision().shown_wrong()) == ([PLAY.id], [PLAY.id])
    book.shows("complete", 2, 4)
    assert (book.decision().not_shown(), book.decision().shown_wrong()) == ([], [])


def test_a_message_of_which_another_system_shows_another_end_is_told() -> None:
    book = invited()
    book.records("invitation-1-0-", "invitation", ANN, 0, NoticeState.UNDELIVERED)
    assert len(book.decision().messages_shown_wrong()) == 2
    policy = Policy()
    for person, shown in ((ANN, ()), (BOB, (("r1", "1", "sms"),))):
        key = f"invitation-{person.number}-0-"
        event = notice_event(key, book.ledger.get(NoticeRecord, key).item, book.now, policy)
        book.consumer._take(msgspec.json.decode(msgspec.json.encode(event)))
        assert len(book.decision().messages_shown_wrong()) == (0 if shown else 1)


def test_a_signer_who_was_not_reached_and_of_whom_no_mail_tells_is_told() -> None:
    book = invited(WAITS)
    book.provider.receipts.bounced.add("invitation-2-0-")
    assert book.decision().untold(book.now) == ["Bob"]
    book.provider._accept(Sent(book.at, book.now, "mail", BOSS, "unreached", "", "Bob, by e-mail"))
    assert book.decision().untold(book.now) == []


def test_the_same_seed_makes_the_same_script() -> None:
    assert plays(3, 50, 0.1) == plays(3, 50, 0.1) != plays(4, 50, 0.1)


def test_the_script_has_the_shares_it_should() -> None:
    steps = [s for p in plays(1, 2_000, 0.1) for s in p.steps]
    hooks = sum(len(s.hooks) for s in steps)
    steps = [s for s in steps if s.type not in SILENT]
    lost, doubled = sum(not s.hooks for s in steps), sum(len(s.hooks) == 2 for s in steps)
    late = sum(bool(s.hooks) and s.hooks[0] > 0 for s in steps)
    assert 8_500 < hooks < 11_500
    assert 0.04 < lost / len(steps) < 0.06
    assert all(0.17 < n / len(steps) < 0.23 for n in (doubled, late))


def test_a_figure_above_its_bound_is_marked() -> None:
    assert "WRONG" in table([Row("lost", 1, 0)], 1)
    assert "WRONG" not in table([Row("lost", 0, 0), Row("told", 5)], 1)
