"""Where the links in messages lead, from the invitation to the signed document."""

import pytest
from msgspec.structs import replace

from shared.domain.model import Request, Status
from tests.fakes import World
from tests.lifecycles import begun, sign


class TestLinks:
    @pytest.fixture
    def world(self) -> World:
        from shared.domain.model import Link

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
