"""Made-up ids cost little, and leave the API to what is known."""

import logging
from contextlib import ExitStack, suppress
from datetime import timedelta

import msgspec
import pytest

from shared.domain.errors import RetryLater
from shared.domain.model import Event, EventType, RelayStatus
from shared.ports import NotFound
from shared.services.account_answers import AnswerHistory
from shared.services.relay_status import RELAY
from shared.services.unknown_ids import MANY, UnknownIds
from tests.fakes import START, FakeLedger, World, answer, seen

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


class TestUnknownIds:
    @pytest.fixture
    def world(self) -> World:
        return World()

    def ids(self, world: World, name: str, age: timedelta = 0 * SECOND) -> Event:
        received = world.now - age
        return Event(event=name, type=EventType.SENT, request=name, received_at=received)

    def asked(self, unknown: UnknownIds, event: Event, *, found: bool) -> None:
        with suppress(NotFound), unknown.call(event):
            if not found:
                raise NotFound

    @pytest.mark.parametrize(("age", "most"), [(0 * SECOND, 75), (10 * SECOND, 10)])
    def test_have_a_share_of_the_calls_and_less_of_them_when_they_come_again(self, world, age, most):
        unknown = UnknownIds(100, world.clock)
        for n in range(most):
            self.asked(unknown, self.ids(world, f"{n}", age), found=False)
        with pytest.raises(RetryLater) as refused:
            self.asked(unknown, self.ids(world, "one more", age), found=False)
        assert refused.value.after == 60
        world.now += MINUTE
        self.asked(unknown, self.ids(world, "one more", age), found=False)

    @pytest.mark.parametrize("age", [0 * SECOND, 10 * MINUTE])
    def test_do_not_count_once_they_are_found_as_those_of_a_bulk_send_are(self, world, age):
        unknown = UnknownIds(100, world.clock)
        for n in range(300):
            self.asked(unknown, self.ids(world, f"{n}", age), found=True)

    @pytest.mark.parametrize(("age", "most"), [(0 * SECOND, 75), (10 * SECOND, 10)])
    def test_count_while_their_calls_are_under_way(self, world, age, most):
        unknown = UnknownIds(100, world.clock)
        with ExitStack() as under_way:
            for n in range(most):
                under_way.enter_context(unknown.call(self.ids(world, f"{n}", age)))
            with pytest.raises(RetryLater) as refused:
                self.asked(unknown, self.ids(world, "one more", age), found=True)
            assert refused.value.after == 1  # those under way may find theirs
        self.asked(unknown, self.ids(world, "one more", age), found=True)

    def test_raise_one_alert_a_minute_when_they_are_many(self, world, caplog):
        unknown = UnknownIds(100, world.clock)
        for n in range(2 * MANY):
            self.asked(unknown, self.ids(world, f"{n}"), found=False)
        assert caplog.text.count("requests that do not exist") == 1

    def test_three_hundred_of_them_leave_a_known_request_its_calls(self, world):
        """At 60 calls a minute: the events of the known one are never told to wait."""
        world.says(seen("a"), seen("b"))
        world.hear(EventType.SENT)
        world.resolve._unknown = UnknownIds(60, world.clock)
        world.api.truth |= {f"x{n}": NotFound() for n in range(300)}
        began, calls = world.now, world.api.calls
        for n in range(300):
            made_up = self.ids(world, f"x{n}")
            world.bus.pending.append((world.names.events_topic, msgspec.json.encode(made_up)))
        world.pump()
        assert world.api.calls - calls == 45
        world.says(seen("a", signed=True), seen("b"))
        world.hear(EventType.SIGNED, "a")
        assert ("progress", "b", 1) in world.told()
        assert world.now - began < MINUTE


class TestAnswerHistory:
    def test_writes_each_answer_until_enough_are_known_and_then_twenty_at_a_time(self):
        now = [START]
        ledger = FakeLedger()
        history = AnswerHistory(ledger, lambda: now[0])
        stored = lambda: ledger.get(RelayStatus, RELAY).item.answers.read  # noqa: E731
        for n in range(1, 21):
            history.add(answer(seen("a")))
            assert stored() == n
        for _ in range(19):
            history.add(answer(seen("a")))
        assert stored() == 20
        history.add(answer(seen("a")))
        assert (stored(), history.usual().read) == (40, 40)

    def test_reads_what_others_have_learnt_once_a_minute(self):
        now, ledger = [START], FakeLedger()
        mine, other = AnswerHistory(ledger, lambda: now[0]), AnswerHistory(ledger, lambda: now[0])
        assert mine.usual().read == 0
        other.add(answer(seen("a")))
        assert mine.usual().read == 0
        now[0] += MINUTE
        assert mine.usual().read == 1

    def test_costs_nothing_but_what_is_learnt_while_the_database_is_away(self, caplog):
        ledger = FakeLedger()
        history = AnswerHistory(ledger, lambda: START)
        ledger.races = 1_000
        for _ in range(100):
            history.add(answer(seen("a")))
        assert len(history._new) == 20
        assert history.usual().read == 0
        assert not [r for r in caplog.records if r.levelno >= logging.ERROR]
