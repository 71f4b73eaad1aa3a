"""A small rehearsal: every message arrives, every lost webhook is noticed, and the same seed shows the same."""

import logging

import pytest

from bench.rehearsal.__main__ import Rehearsal
from bench.rehearsal.arithmetic import predicted
from bench.rehearsal.relay import Limits
from shared.domain.model import Kind


@pytest.fixture(autouse=True)
def quiet():
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def rehearsed(size: int = 60, **given) -> Rehearsal:
    rehearsal = Rehearsal(size, signers=2, lost=0.2, **given)
    rehearsal.run()
    return rehearsal


def test_nothing_is_lost_or_dead_lettered_and_lost_webhooks_are_noticed_within_a_day():
    rehearsal = rehearsed()
    assert len(rehearsal.script.lateness[Kind.INVITATION]) == 120
    assert max(rehearsal.script.lateness[Kind.INVITATION]) < 10
    assert not rehearsal.relay.dead
    assert not any(s.waiting for s in rehearsal.relay.subscriptions.values())
    assert rehearsal.noticed()
    assert len(rehearsal.noticed()) == len(rehearsal.script.unheard)
    assert max(rehearsal.noticed()) < 25 * 3_600


def test_the_same_seed_shows_the_same_and_another_one_does_not():
    first, again, other = (rehearsed(20, seed=seed).rows() for seed in (3, 3, 4))
    assert first == again != other


def test_with_a_small_budget_invitations_are_late_and_nothing_is_lost():
    late = rehearsed(limits=Limits(api=10))
    assert max(late.script.lateness[Kind.INVITATION]) > 60
    assert not late.relay.dead
    assert not any(s.waiting for s in late.relay.subscriptions.values())


def test_a_provider_that_takes_less_than_comes_loses_nothing_and_no_event_waits_for_it():
    """As 100,000 messages over a long code at 1 a second: 28 hours."""
    slow = Rehearsal(60, lost=0.0, over=60.0, limits=Limits(provider=60 / (28 * 3_600)))
    slow.run(3)
    assert not slow.failed()
    assert slow.deepest["deferred messages"] > 20
    assert max(slow.waiting) < 10


def test_the_arithmetic_ends_where_more_sign_than_may_be_handled():
    """Those who sign on the first day are counted until then, and no longer."""
    said = predicted(300_000, 800.0)
    assert 240 < said.empty < (300_000 + 0.7 * 300_000) / 800 + 60


@pytest.fixture(scope="module")
def bulk() -> Rehearsal:
    """As 100,000 within an hour with all calls: so much smaller, and with so many fewer calls in one common budget."""
    logging.disable(logging.CRITICAL)
    sent = Rehearsal(5_000, lost=0.0, over=3_000.0, limits=Limits(api=96, shared=True))
    sent.run(days=0.2)
    return sent


def test_the_arithmetic_of_a_bulk_send_is_what_the_handlers_do(bulk):
    """Every row that docs/scale.md gives by arithmetic."""
    compared = bulk.compared()
    assert [c.label for c in compared] == [
        "events waiting, most",
        "minutes until no more wait",
        "API calls a minute, most",
    ]
    for label, said, shown in compared:
        assert shown == pytest.approx(said, rel=0.1), label
    assert bulk.picture().count("<polyline") == 4


def test_the_arithmetic_is_silent_of_a_send_that_is_over_within_a_few_backoffs():
    assert Rehearsal(3_000, over=108.0).compared() == []
    assert Rehearsal(12_000).compared() == []


def test_a_recheck_is_made_within_the_minute_in_which_it_is_due():
    late = rehearsed().rechecks_late()
    assert len(late) > 60
    assert max(late) < 60


def test_in_the_first_hours_after_a_bulk_send_more_rechecks_are_due_than_the_calls_allow(bulk):
    late = sorted(bulk.rechecks_late())
    assert 1_800 < late[len(late) // 2] < 3 * 3_600
    assert bulk.relay.ledger.waiting(bulk.now()) < bulk.deepest["due for a recheck"]
