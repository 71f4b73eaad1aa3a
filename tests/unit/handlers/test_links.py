"""Where the links in messages lead, from the invitation to the signed document."""

import pytest
from msgspec.structs import replace

from shared.domain.errors import RetryLater
from shared.domain.model import Link, Request, Status
from shared.domain.policy import Policy
from tests.fakes import World, seen
from tests.lifecycles import DAY, HOUR, MINUTE, SENT, begun, sign


class TestLinks:
    @pytest.fixture
    def world(self) -> World:
        world = begun("a", "b")
        link = Link(request_id="r1", signer=world.signer("a"), round=1)
        world.ledger.put("c" * 22, link, None)
        world.ledger.put("d" * 22, replace(link, signer="nobody"), None)
        return world

    def follow(self, world: World, code: str = "c" * 22) -> tuple[int, str]:
        followed = world.links.follow(code)
        assert bool(followed.reason) != bool(followed.location)
        return followed.status, followed.location

    def test_leads_to_the_signing_page_then_ends_then_leads_to_the_document(self, world):
        assert self.follow(world) == (302, "https://sign.test/a")
        sign(world, "ab", "a")
        assert self.follow(world) == (410, "")
        sign(world, "ab", "ab")
        assert self.follow(world) == (302, "https://sign.test/a")

    @pytest.mark.parametrize("code", ["", "x", "../../etc", "e" * 22, "é" * 22])
    def test_an_unknown_code_is_404(self, world, code):
        assert self.follow(world, code) == (404, "")

    def test_a_link_of_nobody_is_dead(self, world):
        assert self.follow(world, "d" * 22) == (410, "")

    @pytest.mark.parametrize("status", [Status.EXPIRED, Status.GONE])
    def test_is_dead_once_the_request_is(self, world, status):
        stored = world.ledger.get(Request, "r1")
        world.ledger.put("r1", replace(stored.item, status=status), stored.version)
        assert self.follow(world) == (410, "")

    def test_of_a_completion_prefers_what_the_operator_chose(self, world):
        from shared.services.links import completion_url

        request = replace(world.request(), download_url="https://doc.test")
        signer = request.signers[world.signer("a")]
        assert completion_url(request, signer, "request_url") == "https://sign.test/a"
        assert completion_url(request, signer, "download_url") == "https://doc.test"
        assert completion_url(request, replace(signer, request_url=""), "request_url") == "https://doc.test"
        assert completion_url(replace(request, download_url=""), signer, "auto") == "https://sign.test/a"

    def test_of_a_completion_is_dead_where_nothing_is_known(self, world):
        stored = world.ledger.get(Request, "r1")
        signers = {k: replace(s, request_url="") for k, s in stored.item.signers.items()}
        world.ledger.put("r1", replace(stored.item, status=Status.COMPLETE, signers=signers), stored.version)
        assert self.follow(world) == (410, "")


class TestOpened:
    """A signature may follow a link that was opened, and its webhook may be lost."""

    OWN_LINKS = Policy(opens_seen=True)

    def quiet(self, policy: Policy = OWN_LINKS) -> World:
        """A request of which nothing was heard for a day."""
        world = World(policy)
        world.says(seen("a"), seen("b"))
        world.hear(SENT)
        world.ledger.put("c" * 22, Link(request_id="r1", signer=world.signer("a"), round=1), None)
        world.advance(DAY, reconcile=True)
        return world

    def test_brings_the_recheck_near_and_a_lost_webhook_is_noticed(self):
        world = self.quiet()
        assert world.request().next_at > world.now + HOUR
        assert world.links.follow("c" * 22).status == 302
        assert world.request().next_at == world.now + 20 * MINUTE
        world.says(seen("a", signed=True), seen("b"))
        world.advance(21 * MINUTE, reconcile=True)
        assert "progress" in [kind for kind, *_ in world.told()]

    def test_does_not_announce_the_correction_of_an_address_so_that_is_looked_for_more_often(self):
        world = World(self.OWN_LINKS)
        world.says(seen("a", mobile="12345"))
        world.hear(SENT)
        world.advance(2 * HOUR, reconcile=True)
        assert world.request().next_at <= world.now + 40 * MINUTE
        world.says(seen("a"))
        world.advance(2 * HOUR, reconcile=True)
        assert [kind for kind, *_ in world.told()] == ["invitation"]

    def test_is_followed_by_rechecks_that_grow_rarer_and_are_spread_evenly_until_the_reminder(self):
        """The reminder's own question to the API is one of them."""
        world = self.quiet()
        opened = world.now
        world.links.follow("c" * 22)
        times = []
        for _ in range(4):
            world.now = world.request().next_at
            times.append((world.now - opened) / MINUTE)
            world.reconcile.run()
        reminder = (world.request().next_at - opened) / MINUTE
        assert times == [20, 90, 405, (405 + reminder) / 2]
        assert reminder == pytest.approx(2 * DAY / MINUTE + 2, abs=1)

    def test_never_puts_a_recheck_off(self):
        world = self.quiet()
        world.now = world.request().next_at - 5 * MINUTE
        before = world.request().next_at
        world.links.follow("c" * 22)
        assert (world.request().next_at, world.request().opened_at) == (before, world.now)

    def test_is_counted_once_in_twenty_minutes(self):
        world = self.quiet()
        versions = []
        for _ in range(41):
            world.links.follow("c" * 22)
            versions.append(world.ledger.get(Request, "r1").version)
            world.now += MINUTE
        assert len(set(versions)) == 3

    def test_means_nothing_where_the_links_are_not_our_own(self):
        world = self.quiet(Policy())
        before = world.request()
        world.links.follow("c" * 22)
        assert world.request() == before

    def test_by_somebody_who_has_signed_is_no_hint(self):
        world = self.quiet()
        sign(world, "ab", "a")
        before = world.request()
        assert world.links.follow("c" * 22).status == 410
        assert world.request() == before

    @pytest.mark.parametrize("fault", ["race", "outage"])
    def test_leads_on_though_it_cannot_be_noted(self, fault, monkeypatch):
        world = self.quiet()
        if fault == "race":
            world.ledger.races = 1
        else:
            monkeypatch.setattr(world.ledger, "put", unreachable)
        assert world.links.follow("c" * 22).location == "https://sign.test/a"
        assert world.request().opened_at is None


def unreachable(*_: object) -> None:
    raise RetryLater("the database is away")
