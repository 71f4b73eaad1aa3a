"""What a provider's word changes of a notice whose answer was lost, before anything is sent a second time."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from shared.domain import notice_record
from shared.domain.errors import Accepted, CannotSay, RetryLater
from shared.domain.lost_answers import MAX_UNANSWERED, Answer, answered, fingerprint
from shared.domain.model import ChannelName, Kind, NoticeRecord, NoticeState, Transition
from shared.domain.notice_record import NOT_THERE, ask_wait
from shared.domain.policy import Policy
from tests.fakes import START

POLICY, LAG, MINUTE = Policy(), 120.0, timedelta(minutes=1)
SENDING, UNKNOWN, PLANNED = NoticeState.SENDING, NoticeState.UNKNOWN, NoticeState.PLANNED


def lost(kind: Kind = Kind.INVITATION, *earlier: Transition) -> NoticeRecord:
    """Claimed and lost at START; its provider lists what it took within two minutes."""
    history = (*earlier, Transition(at=START, state=SENDING), Transition(at=START, state=UNKNOWN))
    record = NoticeRecord(
        request_id="r", signer="s", kind=kind, channel=ChannelName.SMS, round=1, state=UNKNOWN, history=history
    )
    return replace(record, ask_at=START + 2 * MINUTE)


def told(record: NoticeRecord, *answers: Answer) -> NoticeRecord:
    """Asked as often as there are answers, each time when it is due."""
    for answer in answers:
        assert record.ask_at
        record = answered(record, answer, record.ask_at, LAG, POLICY)
    return record


BUSY, REFUSED, FOUND = RetryLater("busy"), CannotSay("it keeps no list"), Accepted("SM1")


@pytest.mark.parametrize(
    ("answers", "state", "asked_again_after"),
    [
        ((FOUND,), NoticeState.ACCEPTED, None),
        ((None,), UNKNOWN, 2 * MINUTE),
        ((None, FOUND), NoticeState.ACCEPTED, None),
        ((None, None), PLANNED, None),
        ((None, BUSY), UNKNOWN, 2 * MINUTE),
        ((None, BUSY, None), PLANNED, None),
        ((BUSY,), UNKNOWN, 2 * MINUTE),
        ((BUSY, FOUND), NoticeState.ACCEPTED, None),
        ((RetryLater("busy", after=600),), UNKNOWN, 10 * MINUTE),
        ((REFUSED,), UNKNOWN, None),
        ((None, REFUSED), UNKNOWN, None),
        ((BUSY,) * MAX_UNANSWERED, UNKNOWN, None),
        ((None, *(BUSY,) * (MAX_UNANSWERED - 1), None), PLANNED, None),
    ],
)
def test_nothing_is_sent_again_unless_the_provider_denies_it_twice(
    answers: tuple[Answer, ...], state: NoticeState, asked_again_after: timedelta | None
) -> None:
    before = told(lost(), *answers[:-1])
    after = told(before, answers[-1])
    assert after.state is state
    assert before.ask_at
    assert (after.ask_at and after.ask_at - before.ask_at) == asked_again_after
    assert after.provider_id == ("SM1" if state is NoticeState.ACCEPTED else "")
    if state is not UNKNOWN:
        assert (after.changed_at, after.history[-1].at, after.ask_at) == (before.ask_at, before.ask_at, None)


@pytest.mark.parametrize(("attempts", "state"), [(19, PLANNED), (20, UNKNOWN)])
def test_what_was_tried_too_often_is_not_planned_again(attempts: int, state: NoticeState) -> None:
    found = told(replace(lost(), attempts=attempts), None, None)
    assert (found.state, found.ask_at) == (state, None)


def test_the_longer_a_provider_does_not_answer_the_rarer_it_is_asked_for_about_a_day() -> None:
    record, waits = lost(), []
    while record.ask_at:
        before, record = record.ask_at, told(record, BUSY)
        waits += [(record.ask_at - before) / MINUTE] if record.ask_at else []
    assert waits[:5] == [2, 4, 8, 15, 15]
    assert 24 * 60 < sum(waits) < 25 * 60


@pytest.mark.parametrize("kind", Kind)
def test_while_it_is_asked_no_second_try_is_due_and_afterwards_todays_rule_holds(kind: Kind) -> None:
    late = START + timedelta(hours=1)
    assert not notice_record.second_try_due(lost(kind), late, POLICY)
    given_up = told(lost(kind), REFUSED)
    expected = kind in (Kind.INVITATION, Kind.COMPLETION, Kind.UNREACHED)
    assert notice_record.second_try_due(given_up, START + 15 * MINUTE, POLICY) is expected


def test_one_to_be_asked_about_is_idle_when_its_time_has_come() -> None:
    for wait, idle in ((timedelta(0), False), (2 * MINUTE, True)):
        assert notice_record.is_idle(lost(Kind.REMINDER), START + wait, POLICY) is idle
    assert ask_wait(lost(), START) == 2 * MINUTE
    assert ask_wait(told(lost(), FOUND), START) is None
    assert ask_wait(replace(lost(), state=NoticeState.DELIVERED), START) is None, "a receipt was faster"


@pytest.mark.parametrize(("answers", "state"), [((None, None), NoticeState.SUPPRESSED), ((REFUSED,), UNKNOWN)])
def test_what_was_never_taken_is_not_called_unknown_when_it_is_due_no_longer(
    answers: tuple[Answer, ...], state: NoticeState
) -> None:
    again = told(lost(), *answers)
    assert notice_record.closed(again, NoticeState.SUPPRESSED, START + MINUTE, "signed").state is state


def test_a_try_that_was_denied_leaves_the_next_lost_one_its_second_try() -> None:
    denied = Transition(at=START - MINUTE, state=PLANNED, why=NOT_THERE)
    first = Transition(at=START - 2 * MINUTE, state=UNKNOWN)
    due = START + 15 * MINUTE
    assert notice_record.second_try_due(told(lost(Kind.INVITATION, first, denied), REFUSED), due, POLICY)
    assert not notice_record.second_try_due(told(lost(Kind.INVITATION, first), REFUSED), due, POLICY)


@pytest.mark.parametrize(
    ("text", "listed", "same"),
    [
        ("Zoë’s “Lease” – sign: https://l/a_b", 'Zoe\'s "Lease" - sign: https://l/a_b', True),
        ("Please sign\n", " Please  sign", True),
        ("Подпишите: https://l/a", "Подписано: https://l/a", False),
        ("Please sign https://l/a", "Please sign https://l/b", False),
    ],
)
def test_a_text_is_known_again_by_its_letters_and_digits(text: str, listed: str, same: bool) -> None:
    assert (fingerprint(text) == fingerprint(listed)) is same


def test_a_text_without_any_has_no_fingerprint() -> None:
    assert fingerprint("") == fingerprint("***") == ""


def test_what_the_provider_lists_was_accepted_under_its_id_and_says_how_that_is_known():
    found = answered(lost(), FOUND, START, LAG, POLICY)
    assert (found.state, found.provider_id, found.ask_at) == (NoticeState.ACCEPTED, "SM1", None)
    assert found.reason == found.history[-1].why == "found at the provider, which was asked"


def test_what_is_planned_again_begins_anew():
    again = told(lost(), None, None)
    assert (again.state, again.missing_since, again.ask_at) == (PLANNED, None, None)
