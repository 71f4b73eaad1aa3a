"""Events whose request the API does not know, answers late or wrongly; and commits that fail."""

import pytest

from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.model import Status
from tests.fakes import World, seen
from tests.lifecycles import COMPLETE, DAY, HOUR, MINUTE, SENT, SIGNED, begun


class TestResolve:
    def test_a_404_is_taken_for_lag_for_ten_minutes(self):
        world = World()
        world.hear(SENT)
        world.advance(5 * MINUTE)
        world.says(seen("a"))
        world.advance(5 * MINUTE)
        assert world.told() == [("invitation", "a", 0)]

    def test_a_404_that_lasts_stops_everything_visibly(self):
        world = begun("a")
        world.api.truth.clear()
        world.hear(SIGNED, "a")
        world.advance(20 * MINUTE)
        assert world.request().status is Status.GONE
        world.advance(20 * DAY)
        assert len(world.sent()) == 1

    def test_a_stray_404_does_not_cost_a_reminder(self):
        world = begun("a")
        said = world.api.truth.pop("r1")
        world.advance(17 * MINUTE, reconcile=True)
        world.api.truth["r1"] = said
        world.advance(4 * DAY, reconcile=True)
        assert world.told() == [("invitation", "a", 0), ("reminder", "a", 3)]

    @pytest.mark.parametrize("refusal", [RetryLater("401", after=900), RetryLater("429", after=30), RetryLater("503")])
    def test_what_is_no_answer_is_waited_for_and_loses_nothing(self, refusal):
        world = World()
        world.api.truth["r1"] = refusal
        world.hear(SENT)
        world.advance(HOUR)
        world.says(seen("a"))
        world.advance(HOUR)
        assert world.told() == [("invitation", "a", 0)]

    def test_a_lying_complete_sends_nothing_and_is_disputed(self):
        world = begun("a", "b")
        world.hear(COMPLETE)
        world.advance(15 * MINUTE)
        assert world.request().status is Status.DISPUTED
        assert {kind for kind, _, _ in world.told()} == {"invitation"}

    def test_more_than_a_thousand_signers_end_among_the_dead_letters(self):
        world = begun(*map(str, range(1001)))
        assert world.dead == [(world.names.events_topic, "the request has 1001 signers; at most 1000 are supported")]

    def test_a_stale_event_is_given_up(self):
        world = World()
        event = world.event(SENT)
        world.now += 32 * DAY
        with pytest.raises(PermanentFailure, match="stale"):
            world.resolve.event(event)

    def test_a_lost_commit_publishes_nothing_and_is_planned_again(self):
        world = World()
        world.says(seen("a"))
        world.ledger.races = 2
        world.hear(SENT)
        assert len(world.bus.topics[world.names.notices_topic]) == 1
        world.ledger.races = 5
        world.says(seen("a", signed=True))
        with pytest.raises(RetryLater, match="keep changing"):
            world.resolve.event(world.event(SIGNED, "a"))
