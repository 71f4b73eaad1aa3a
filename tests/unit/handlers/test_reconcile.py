"""Each minute: requests that cannot be read are put off, ended ones forgotten, unknown ones adopted."""

import logging
from datetime import timedelta

import msgspec
import pytest
from msgspec.structs import replace

from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.model import EventType, RelayStatus, Request, Status
from shared.domain.recheck import UNREAD_AGAIN
from shared.handlers import reconcile
from tests.fakes import START, World, answer, one_by_one, seen

SENT, SIGNED, COMPLETE, _ = EventType
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
MOST = int(1_600 * reconcile.MAX_PASS / 60)  # requests of a pass that may make 1,600 calls a minute


def complete() -> World:
    world = World()
    world.says(seen("a", email="a@example.com"))
    world.hear(SENT)
    world.says(seen("a", email="a@example.com", signed=True), status=Status.COMPLETE)
    world.hear(COMPLETE)
    return world


def due(world: World, *names: str) -> None:
    for n, name in enumerate(names):
        world.ledger.put(name, Request(id=name, next_at=START - n * MINUTE), None)


class TestAPass:
    def test_tells_how_it_went_and_when(self):
        world = complete()
        world.now += 21 * MINUTE
        assert world.reconcile.run() == {"rechecked": 1, "postponed": 0}
        control = world.ledger.all(RelayStatus)["relay"]
        assert (control.reconciled_at, control.rechecked, control.postponed) == (world.now, 1, 0)

    def test_puts_off_what_cannot_be_read_so_that_the_others_have_their_turn(self):
        world = World()
        due(world, "poison", "r1")
        world.api.truth["poison"] = RetryLater("garbage")
        world.says(seen("a"))
        assert world.reconcile.run() == {"rechecked": 1, "postponed": 1}
        assert world.ledger.all(Request)["poison"].next_at == world.now + timedelta(seconds=UNREAD_AGAIN)

    def test_asks_no_more_when_nothing_can_be_read_and_goes_on_a_minute_later(self):
        world = World()
        names = [f"r{n}" for n in range(MOST + 2)]
        for name in names:
            due(world, name)
        world.api.truth = dict.fromkeys(names, RetryLater("the API is down"))
        assert world.reconcile.run() == {"rechecked": 0, "postponed": MOST}
        assert world.api.calls == reconcile.MAX_FAILURES_IN_A_ROW
        assert world.reconcile.run()["postponed"] == 2
        assert set(world.ledger.due(world.now + timedelta(seconds=UNREAD_AGAIN), 2_000)) == set(names)

    @pytest.mark.parametrize(("fault", "seconds"), [(RetryLater("403", after=900.0), 0), (RetryLater("no answer"), 15)])
    def test_a_site_that_does_not_answer_costs_the_others_little(self, fault, seconds):
        """Its requests were due first; what it was not asked is put off, not counted as unread."""
        world = World()
        silent = [f"silent{n}" for n in range(150)]
        for n, name in enumerate(silent):
            world.ledger.put(name, Request(id=name, site="1", next_at=START - n * MINUTE - HOUR), None)
        due(world, *[f"own{n}" for n in range(40)])
        world.api.truth = dict.fromkeys(silent, fault) | {f"own{n}": answer(seen("a")) for n in range(40)}
        fetch = world.api.fetch

        def slow(request: str, after=None):
            world.now += timedelta(seconds=seconds if request in silent else 0)
            return fetch(request)

        world.api.fetch = slow
        assert world.reconcile.run() == {"rechecked": 40, "postponed": 150}
        assert world.api.calls == 43
        assert sum(bool(r.unread_since) for r in world.ledger.all(Request).values()) == 3

    def test_a_fault_of_ours_stops_one_request_alone_and_is_told_of(self, caplog):
        world = World()
        due(world, "poison", "r1")
        world.api.truth["poison"] = ZeroDivisionError("+13175550101")
        world.says(seen("a"))
        assert world.reconcile.run() == {"rechecked": 1, "postponed": 1}
        assert [r.json["alert"] for r in caplog.records if "alert" in r.json] == ["reconcile_fault"]
        assert "+1317" not in caplog.text

    def test_a_document_that_cannot_be_decoded_delays_nobody_else_and_is_tried_every_hour(self):
        world = World()
        due(world, "r1", "newer")
        world.ledger.undecodable = {"newer"}
        world.says(seen("a"))
        assert world.reconcile.run() == {"rechecked": 1, "postponed": 1}
        assert world.ledger.due(world.now + 59 * MINUTE, 9) == ["r1"]
        assert world.ledger.due(world.now + HOUR, 9)[-1] == "newer"

    def test_three_refusals_in_a_row_suffice_since_they_concern_every_call(self):
        world = World()
        names = [f"r{n}" for n in range(200)]
        due(world, *names)
        world.api.truth = dict.fromkeys(names, RetryLater("the API answered 429", after=600.0))
        assert world.reconcile.run() == {"rechecked": 0, "postponed": 200}
        assert world.api.calls == 3
        postponed = [r.next_at for r in world.ledger.all(Request).values() if r.unread_since]
        assert postponed == [world.now + timedelta(seconds=600)] * 3

    def test_refusals_of_some_sites_do_not_end_it(self):
        world = World()
        due(world, *[f"{kind}{n}" for n in range(20) for kind in ("own", "refused")])
        for n in range(20):
            world.api.truth[f"own{n}"] = answer(seen("a"))
            world.api.truth[f"refused{n}"] = RetryLater("403", after=900.0)
        assert world.reconcile.run() == {"rechecked": 20, "postponed": 20}

    def test_a_request_that_can_no_longer_be_read_is_asked_for_rarely_and_forgotten_in_the_end(self):
        world = World()
        world.says(seen("a"))
        world.hear(SENT)
        world.api.truth["r1"] = RetryLater("the API refuses CLICKWRAP_API_TOKEN (403)", after=900.0)
        calls = world.api.calls
        for _ in range(140 * 24 * 6):
            world.now += 10 * MINUTE
            world.reconcile.run()
        assert world.api.calls - calls < 70
        assert world.request().forgotten
        assert world.events()[-1]["data"]["status"] == Status.DORMANT

    def test_an_answer_ends_the_backoff(self):
        world = World()
        world.says(seen("a"))
        world.hear(SENT)
        truth, world.api.truth["r1"] = world.api.truth["r1"], RetryLater("503")
        world.advance(10 * HOUR, reconcile=True)
        assert world.request().next_at > world.now + HOUR
        world.api.truth["r1"] = truth
        world.now = world.request().next_at
        world.reconcile.run()
        assert world.request().unread_since is None

    @pytest.mark.parametrize(("calls", "requests"), [(0.5, 1), (60, 55), (320, 293), (640, 586)])
    def test_has_as_many_requests_as_it_may_make_calls_of_the_api(self, calls, requests):
        world = World()
        due(world, *[f"r{n}" for n in range(700)])
        world.api.truth = {f"r{n}": answer(seen("a")) for n in range(700)}
        ports = world.ledger, world.resolve.recheck, world.api, world.sites
        a_pass = reconcile.Reconcile(*ports, world.policy, world.clock, calls, one_by_one)
        assert a_pass.run() == {"rechecked": requests, "postponed": 0}

    def test_ends_before_the_next_one_begins(self):
        world = World()
        due(world, *[f"r{n}" for n in range(5)])
        fetch = world.api.fetch

        def slow(request: str, after=None):
            world.now += timedelta(seconds=30)
            return fetch(request)

        world.api.fetch = slow
        assert sum(world.reconcile.run().values()) == 2


@pytest.mark.parametrize(("calls", "threads"), [(10, 1), (60, 2), (320, 11), (1_000_000, reconcile.MOST_AT_ONCE)])
def test_so_many_rechecks_at_once_that_calls_of_two_seconds_fill_the_share(calls, threads):
    assert reconcile.at_once(calls) == threads


class TestForgetting:
    def test_personal_data_goes_before_the_database_would_drop_it_and_a_stub_stays(self):
        world = complete()
        purge_at = world.request().purge_at
        world.advance(89 * DAY + HOUR, reconcile=True)
        stub = world.request()
        assert world.now < purge_at
        assert (stub.status, stub.forgotten, stub.signers) == (Status.COMPLETE, True, {})
        stored = msgspec.json.encode(stub).decode()
        assert not [word for word in ("Lease", "+1317", "a@example.com", "https") if word in stored]
        assert (stub.next_at, stub.purge_at) == (None, None)

    def test_a_late_event_of_a_forgotten_request_does_nothing(self):
        world = complete()
        world.advance(90 * DAY, reconcile=True)
        sent = len(world.sent())
        for kind in (SENT, SIGNED, COMPLETE):
            world.hear(kind, "a", f"late-{kind}")
        assert (len(world.sent()), world.request().forgotten) == (sent, True)

    def test_a_request_that_lives_is_not_forgotten(self):
        world = World()
        world.says(seen("a"))
        world.hear(SENT)
        for _ in range(10):
            world.advance(20 * DAY, reconcile=True)
            world.hear(SENT, key=f"again-{world.now}")
        assert not world.request().forgotten


class TestListing:
    def listed(self, *ids: str) -> World:
        world = World()
        world.sites.append("site-1")
        world.api.lists["site-1"] = list(ids)
        return world

    def test_adopts_what_no_webhook_ever_told_of(self):
        world = self.listed("r1")
        world.says(seen("a"), created_at=START - 5 * DAY)
        world.reconcile.run()
        assert world.request().adopted
        world.advance(3 * DAY, reconcile=True)
        assert [kind for kind, _, _ in world.told()] == ["reminder"]

    def test_leaves_what_is_known_alone(self):
        world = self.listed("r1")
        world.says(seen("a"))
        world.hear(SENT)
        calls = world.api.calls
        world.reconcile.run()
        assert world.api.calls == calls
        assert not world.request().adopted

    def test_is_done_once_an_hour(self):
        world = self.listed()
        lists = []
        world.api.listed = lambda site, limit: lists.append(site) or []
        for _ in range(61):
            world.reconcile.run()
            world.now += MINUTE
        assert len(lists) == 2

    def test_is_not_ended_by_a_request_that_cannot_be_decoded(self, caplog):
        world = self.listed("newer", "r1")
        due(world, "newer")
        world.ledger.undecodable = {"newer"}
        world.says(seen("a"))
        world.reconcile.run()
        assert world.request().adopted
        assert not [r for r in caplog.records if r.levelno >= logging.ERROR]

    def test_of_a_site_that_has_none_costs_the_others_nothing(self):
        world = self.listed("r1")
        world.sites.insert(0, "site-0")
        world.api.lists["site-0"] = PermanentFailure("the API does not list requests")
        world.says(seen("a"))
        world.reconcile.run()
        assert world.request().adopted

    @pytest.mark.parametrize("fault", [PermanentFailure("the API does not list requests"), RetryLater("busy")])
    def test_is_only_warned_of_where_the_api_has_no_such_list(self, fault, caplog):
        world = self.listed()
        world.api.lists["site-1"] = fault
        due(world, "r1")
        world.api.truth["r1"] = answer(seen("a"))
        assert world.reconcile.run() == {"rechecked": 1, "postponed": 0}
        assert caplog.records


def test_a_control_document_of_a_later_version_is_read():
    assert (
        msgspec.convert(msgspec.to_builtins(replace(RelayStatus(), rechecked=3)) | {"more": 1}, RelayStatus).rechecked
        == 3
    )
