"""Where links lead over a life, and messages that are put off."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from shared.domain.errors import RetryLater
from shared.domain.model import Request, Status
from shared.services.deferral import Deferral
from tests.fakes import World
from tests.lives import DAY, HOUR, MINUTE, begun, sign


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


class TestParking:
    @pytest.fixture
    def world(self) -> World:
        return World()

    def defer(self, world: World, retry: RetryLater, age: timedelta | None = MINUTE) -> bool:
        deferral = Deferral(world.scheduler, "retries", "https://deliver.test", world.bus, "notices", world.clock)
        return deferral.defer(b"{}", world.now - age if age is not None else None, retry)

    @pytest.mark.parametrize(
        ("retry", "age"), [(RetryLater("x", after=60), HOUR), (RetryLater("x"), 2 * MINUTE), (RetryLater("x"), None)]
    )
    def test_up_to_a_minute_a_nack_will_do(self, world, retry, age):
        assert not self.defer(world, retry, age)
        assert world.scheduler.tasks == {}

    @pytest.mark.parametrize(
        ("retry", "age", "seconds"),
        [
            (RetryLater("x", after=61), MINUTE, 61),
            (RetryLater("x", after=10**6), MINUTE, 86_400),
            (RetryLater("x"), 10 * MINUTE, 300),
            (RetryLater("x"), DAY, 900),
            (RetryLater("x", after=90), None, 90),
        ],
    )
    def test_longer_sleeps_in_a_task_that_brings_the_same_message(self, world, retry, age, seconds, caplog):
        caplog.set_level("INFO", "shared.services.deferral")
        assert self.defer(world, retry, age)
        (task,) = world.scheduler.tasks.values()
        assert task.at == world.now + timedelta(seconds=seconds)
        assert b'"data":"e30="' in task.body
        (line,) = [r for r in caplog.records if r.getMessage() == "deferred"]
        assert (line.levelname, line.json["reason"], line.json["until"]) == ("INFO", "x", task.at)
        self.defer(world, retry, age)
        assert len(world.scheduler.tasks) == 1
