"""Events that come together share one call; one that needs a newer answer makes its own."""

import threading
from datetime import timedelta

import pytest

from shared.adapters.clickwrap.coalescing import KEPT, MOST_A_MINUTE, CoalescingApi
from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.model import EventType
from shared.handlers.resolve import Resolve
from shared.ports import NotFound
from tests.fakes import CALLS, START, FakeApi, World, answer, seen

SECOND = timedelta(seconds=1)


class Slow(FakeApi):
    """Answers when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.began, self.go = threading.Event(), threading.Event()

    def fetch(self, request, after=None):
        self.began.set()
        assert self.go.wait(5)
        return super().fetch(request)


@pytest.fixture
def now() -> list:
    return [START]


def coalesced(api: FakeApi, now: list) -> CoalescingApi:
    api.truth["r1"] = answer(seen("a"))
    return CoalescingApi(api, lambda: now[0])


def test_events_received_before_the_call_began_share_its_answer(now):
    api = FakeApi()
    shared = coalesced(api, now)
    answers = [shared.fetch("r1", START - n * SECOND) for n in (1, 2, 3)]
    assert (api.calls, len(set(map(id, answers)))) == (1, 1)


def test_one_received_since_then_asks_anew(now):
    api = FakeApi()
    shared = coalesced(api, now)
    shared.fetch("r1", START - SECOND)
    now[0] += SECOND
    shared.fetch("r1", START)
    assert api.calls == 2


@pytest.mark.parametrize("fault", [PermanentFailure("1,001 signers"), ZeroDivisionError()])
def test_an_answer_from_before_the_event_is_not_given_after_a_call_that_was_refused(now, fault):
    api = FakeApi()
    shared = coalesced(api, now)
    shared.fetch("r1", START - SECOND)
    now[0] += 2 * SECOND
    api.truth["r1"] = fault
    for at in (SECOND, SECOND + SECOND / 2):
        with pytest.raises(type(fault)):
            shared.fetch("r1", START + at)


def test_the_events_of_one_request_have_so_many_calls_a_minute_and_then_share_one(now, caplog):
    """Whoever has the webhook's token can send any number of them."""
    api = FakeApi()
    shared = coalesced(api, now)
    api.truth["r2"] = answer(seen("a"))
    waiting = []
    for _ in range(10 * MOST_A_MINUTE):
        now[0] += SECOND / 10
        try:
            shared.fetch("r1", now[0] - SECOND / 100)
        except RetryLater as e:
            waiting.append((now[0] - SECOND / 100, e.after))
    assert (api.calls, len(waiting)) == (MOST_A_MINUTE, 9 * MOST_A_MINUTE)
    assert caplog.text.count("many webhooks of one request") == 1
    assert shared.fetch("r2", now[0])
    now[0] += timedelta(seconds=waiting[-1][1])
    for at, _ in waiting:
        assert shared.fetch("r1", at)
    assert api.calls == MOST_A_MINUTE + 2


def test_who_names_no_time_asks_now(now):
    api = FakeApi()
    shared = coalesced(api, now)
    shared.fetch("r1", START - SECOND)
    shared.fetch("r1")
    assert api.calls == 2


def test_an_event_that_comes_again_was_not_content_with_the_answer(now):
    api = FakeApi()
    shared = coalesced(api, now)
    for _ in range(2):
        shared.fetch("r1", START - SECOND)
        shared.fetch("r1", START - 2 * SECOND)
    assert api.calls == 3


def test_an_event_that_comes_again_asks_anew_though_another_event_has_asked_since(now):
    api = FakeApi()
    shared = coalesced(api, now)
    shared.fetch("r1", START - SECOND)
    now[0] += SECOND
    shared.fetch("r1", START)
    shared.fetch("r1", START - SECOND)
    assert api.calls == 3


def test_an_answer_is_kept_for_seconds_only_and_so_is_the_memory_of_it(now):
    api = FakeApi()
    shared = coalesced(api, now)
    for n in range(50):
        api.truth[f"r{n}"] = answer(seen("a"))
        shared.fetch(f"r{n}", START - SECOND)
    now[0] += KEPT
    shared.fetch("r1", START - SECOND)
    assert api.calls == 51
    assert len(shared._kept) == 1


def test_a_failed_call_is_nobodys_answer(now):
    api = FakeApi()
    shared = coalesced(api, now)
    api.truth["r1"] = RetryLater("503")
    for _ in range(2):
        with pytest.raises(RetryLater):
            shared.fetch("r1", START - SECOND)
    assert api.calls == 2


@pytest.mark.parametrize("truth", [answer(seen("a")), RetryLater("time-out"), NotFound()])
def test_events_that_wait_for_a_slow_call_get_its_outcome_and_make_none_of_their_own(now, truth):
    """A call may take 15 s: eight events, one after the other, would take two minutes."""
    api, outcomes = Slow(), []
    shared = coalesced(api, now)
    api.truth["r1"] = truth

    def ask(n):
        try:
            outcomes.append(shared.fetch("r1", START - n * SECOND))
        except (RetryLater, NotFound) as e:
            outcomes.append(e)

    waiting = [threading.Thread(target=ask, args=(n,)) for n in range(1, 9)]
    for thread in waiting:
        thread.start()
    assert api.began.wait(5)
    now[0] += 15 * SECOND
    api.go.set()
    for thread in waiting:
        thread.join(5)
    assert (api.calls, outcomes) == (1, [truth] * 8)


def test_a_burst_of_webhooks_costs_one_call_and_tells_the_same():
    world = World()
    api = CoalescingApi(world.api, world.clock)
    world.resolve = Resolve(world.ledger, api, world.publisher, world.policy, world.clock, CALLS)
    world.says(seen("a", signed=True), seen("b"))
    events = [world.event(EventType.SENT)]
    world.now += SECOND
    events.append(world.event(EventType.SIGNED, "a"))
    world.now += SECOND
    for event in events:
        world.resolve.event(event)
    world.pump()
    assert world.api.calls == 1
    assert ("invitation", "b", 0) in world.told()
