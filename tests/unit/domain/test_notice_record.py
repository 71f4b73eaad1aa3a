"""The life of a record: what each change writes, and what a receipt moves it to."""

from datetime import timedelta

import msgspec
import pytest
from msgspec.structs import replace

from shared.domain.model import ChannelName, Kind, Notice, NoticeState, Transition
from shared.domain.notice_record import (
    MAX_HISTORY,
    NOT_THERE,
    Attempt,
    answered,
    attempts,
    changed_to,
    closed,
    first_record,
    is_idle,
    lease_left,
    notice_of,
    second_try_due,
    second_try_wait,
    settled,
    shortened,
)
from shared.domain.policy import Policy
from shared.domain.receipts import Receipt
from tests.fakes import START

PLANNED, SENDING, ACCEPTED, DELIVERED, UNDELIVERED, FAILED, UNKNOWN, SUPPRESSED = NoticeState
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
POLICY = Policy()
NOTICE = Notice(
    notice="n1",
    request="r1",
    signer="s1",
    kind=Kind.REMINDER,
    reminder_day=7,
    about=2,
    channel=ChannelName.EMAIL,
    round=3,
    instead_of="n0",
)


def record(*states: NoticeState, why: str = "", kind: Kind = Kind.INVITATION):
    """In these states, a minute apart."""
    first, *others = states
    made = first_record(replace(NOTICE, kind=kind), first, START, POLICY, why)
    for n, state in enumerate(others, 1):
        made = changed_to(made, state, START + n * MINUTE, why)
    return made


@pytest.mark.parametrize("notice", [NOTICE, replace(NOTICE, instead_of=msgspec.UNSET)])
def test_a_record_is_about_its_notice(notice):
    made = first_record(notice, PLANNED, START, POLICY, "why", attempts=4)
    assert notice_of("n1", made) == notice
    assert (made.state, made.reason, made.attempts, made.changes) == (PLANNED, "why", 4, 1)
    assert made.history == (Transition(at=START, state=PLANNED, why="why"),)
    assert (made.changed_at, made.purge_at) == (START, START + 90 * DAY)


def test_each_change_is_a_transition():
    made = changed_to(record(PLANNED), SENDING, START + MINUTE, "why", attempts=2)
    assert (made.state, made.reason, made.attempts, made.changes) == (SENDING, "why", 2, 2)
    assert made.history == (*record(PLANNED).history, Transition(at=START + MINUTE, state=SENDING, why="why"))
    assert (made.changed_at, made.purge_at) == (START + MINUTE, record(PLANNED).purge_at)
    assert (changed_to(made, PLANNED, START).reason, first_record(NOTICE, PLANNED, START, POLICY).reason) == ("", "")


def test_the_answer_of_a_provider_is_kept_with_the_last_transition():
    made = record(SENDING, ACCEPTED)
    last = replace(made.history[1], status=202, milliseconds=1234)
    assert answered(made, 202, 1.2344 * SECOND).history == (made.history[0], last)


@pytest.mark.parametrize(
    ("before", "state"),
    [
        ((SENDING, PLANNED), FAILED),
        ((SENDING, UNKNOWN), UNKNOWN),
        ((SENDING, UNKNOWN, SENDING), UNKNOWN),
    ],
)
def test_what_may_have_arrived_is_closed_as_unknown(before, state):
    made = closed(record(*before), FAILED, START + DAY, "why", attempts=5)
    assert (made.state, made.attempts, made.changed_at) == (state, 5, START + DAY)
    assert made.reason == ("why" if state is FAILED else "not sent a second time: why")


@pytest.mark.parametrize(
    ("told", "moved"),
    [  # by a receipt: accepted, delivered, undelivered
        ((ACCEPTED, DELIVERED, UNDELIVERED), (PLANNED, SENDING, UNKNOWN)),
        ((None, DELIVERED, UNDELIVERED), (ACCEPTED,)),
        ((None, None, UNDELIVERED), (DELIVERED,)),
        ((None, None, None), (UNDELIVERED, FAILED, SUPPRESSED)),
    ],
)
def test_a_receipt_moves_a_record_never_backwards(told, moved):
    for before in moved:
        made = replace(record(SENDING, before), provider_id="p")
        for state, expected in zip((ACCEPTED, DELIVERED, UNDELIVERED), told, strict=True):
            receipt = Receipt(notice="n1", provider_id="", state=state, reason="why", at=START + 2 * MINUTE)
            found = settled(made, receipt, START + DAY)
            assert (found and found.state) == expected
            if found:
                last = Transition(at=receipt.at, state=state, why="why")
                fields = {"reason": "why", "changed_at": START + DAY, "changes": made.changes + 1, "state": state}
                assert found == replace(made, history=(*made.history, last), **fields)


@pytest.mark.parametrize(
    ("states", "state", "told_of", "seconds", "news"),
    [
        ((SENDING, DELIVERED), UNDELIVERED, "p", 60, False),  # a bounce that came with the delivery
        ((SENDING, DELIVERED), UNDELIVERED, "p", 61, True),
        ((SENDING, UNKNOWN, SENDING, ACCEPTED), UNDELIVERED, "first", 999, False),
        ((SENDING, UNKNOWN, SENDING, ACCEPTED), UNDELIVERED, "p", 999, True),
        ((SENDING, UNKNOWN, SENDING, ACCEPTED), UNDELIVERED, "", 999, True),
        ((SENDING, UNKNOWN, SENDING, ACCEPTED), DELIVERED, "first", 999, True),
        ((SENDING, PLANNED, SENDING, ACCEPTED), UNDELIVERED, "first", 999, True),
    ],
)
def test_a_receipt_of_a_try_that_was_repeated_takes_nothing_away(states, state, told_of, seconds, news):
    receipt = Receipt(notice="n1", provider_id=told_of, state=state, at=START + seconds * SECOND)
    found = settled(replace(record(*states), provider_id="p"), receipt, START + DAY)
    assert (found is not None) is news
    assert not found or found.provider_id == (told_of or "p")


def test_a_long_history_keeps_its_ends_and_the_lost_answers_and_denials():
    steps = [Transition(at=START + n * SECOND, state=PLANNED) for n in range(MAX_HISTORY + 30)]
    assert shortened(tuple(steps[:MAX_HISTORY])) == tuple(steps[:MAX_HISTORY])
    steps[10], steps[20] = replace(steps[10], state=UNKNOWN), replace(steps[20], why=NOT_THERE)
    steps[40] = replace(steps[40], state=UNKNOWN)  # the first of those at the end
    kept = (*steps[:11], steps[20], *steps[-(MAX_HISTORY - 10) :])
    assert shortened(tuple(steps)) == kept
    bare = [replace(step, state=PLANNED, why="") for step in steps[: MAX_HISTORY + 1]]
    assert shortened(tuple(bare)) == tuple(bare[:10] + bare[11:])


def test_attempts_are_the_calls_of_the_provider():
    made = answered(record(SENDING, PLANNED, SENDING, ACCEPTED, DELIVERED, SENDING, why="why"), 0, 0 * SECOND)
    history = list(made.history)
    history[3] = replace(history[3], status=202, milliseconds=1500)
    assert attempts(replace(made, history=tuple(history))) == [
        Attempt(START, PLANNED, "why", MINUTE, 0),
        Attempt(START + 2 * MINUTE, ACCEPTED, "why", 1.5 * SECOND, 202),
        Attempt(START + 5 * MINUTE, SENDING),
    ]


@pytest.mark.parametrize(
    ("states", "kind", "wait"),
    [
        ((SENDING, UNKNOWN), Kind.INVITATION, 15 * MINUTE),
        ((SENDING, UNKNOWN), Kind.COMPLETION, 15 * MINUTE),
        ((SENDING, UNKNOWN), Kind.UNREACHED, 15 * MINUTE),
        ((SENDING, UNKNOWN), Kind.REMINDER, None),
        ((SENDING, UNKNOWN), Kind.PROGRESS, None),
        ((SENDING, PLANNED), Kind.INVITATION, None),
        ((SENDING, UNKNOWN, SENDING), Kind.INVITATION, None),
        ((SENDING, UNKNOWN, SENDING, UNKNOWN), Kind.INVITATION, None),
    ],
)
def test_only_what_is_worth_a_double_is_tried_once_more(states, kind, wait):
    made = record(*states, kind=kind)
    last = made.history[-1].at
    assert second_try_wait(made, last, POLICY) == wait
    assert second_try_wait(replace(made, ask_at=last), last, POLICY) is None
    for seconds, due in ((-1, False), (0, True), (1, True)):
        now = last + 15 * MINUTE + seconds * SECOND
        assert second_try_due(made, now, POLICY) is (due and wait is not None)
    if wait:
        assert second_try_wait(made, last, Policy(day=60.0)) == 2 * SECOND


@pytest.mark.parametrize("state", list(NoticeState))
def test_a_lease_holds_while_it_is_being_sent_and_is_waited_for(state):
    made = replace(record(SENDING, state), lease_until=START + MINUTE)
    for seconds in (59, 60, 61):
        now = START + seconds * SECOND
        assert lease_left(made, now) == (60 - seconds if state is SENDING else 0)
        assert is_idle(made, now, POLICY) is (state in (PLANNED, SENDING) and seconds >= 60)
    assert lease_left(replace(made, lease_until=None), START) == 0
    assert not is_idle(replace(made, lease_until=None), START, POLICY)


def test_a_bounce_from_before_the_delivery_says_nothing_new():
    delivered = record(SENDING, ACCEPTED, DELIVERED)
    bounces = (Receipt(notice=None, provider_id="", state=UNDELIVERED, at=START + s * SECOND) for s in (90, 121))
    assert [settled(delivered, bounce, START) is None for bounce in bounces] == [True, False]
