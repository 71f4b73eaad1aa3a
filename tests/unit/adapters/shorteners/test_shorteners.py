from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.adapters.shorteners.bitly import Bitly
from shared.adapters.shorteners.common.remembered import Remembered
from shared.adapters.shorteners.links import OwnLinks, base_url
from shared.adapters.shorteners.none import NoShortener
from shared.adapters.shorteners.rebrandly import Rebrandly
from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.model import Link, NoticeRecord
from shared.handlers.links import CODE
from shared.ports import Mark, Only, Shortener, Stored, T, Target
from shared.setting_types import SettingError, Values
from tests.fakes import FakeLedger
from tests.stand_in import Reply, StandIn, closed_port

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TARGET = Target(request="r1", signer="ann@example.com", round=1, url="https://sign.example/secret")


class Links:
    """A ledger that keeps links and nothing else."""

    def __init__(self, fault: RetryLater | None = None) -> None:
        self.kept: dict[str, msgspec.Struct] = {}
        self.fault = fault

    def put(self, key: str, item: msgspec.Struct, version: object | None) -> bool:
        if self.fault:
            raise self.fault
        assert version is None, "links never change"
        return self.kept.setdefault(key, item) is item

    def get(self, kind: type[T], key: str) -> Stored[T] | None:
        raise NotImplementedError

    def due(self, now: datetime, limit: int) -> Sequence[str]:
        raise NotImplementedError

    def records(self, request: str) -> dict[str, NoticeRecord]:
        raise NotImplementedError

    def newest(
        self, kind: type[T], limit: int, *, only: Only | None = None, after: Mark | None = None
    ) -> Sequence[tuple[str, T]]:
        raise NotImplementedError

    def count(self, kind: type[msgspec.Struct], only: Only, *, most: int, since: datetime | None = None) -> int:
        raise NotImplementedError


def own(links: Links, secret: str = "s3cret") -> OwnLinks:
    return OwnLinks("https://go.example/l/", secret, links, timedelta(days=90), lambda: NOW)


def test_without_a_shortener_the_url_stays_as_it_is() -> None:
    assert NoShortener().shorten(TARGET) == TARGET.url


def test_a_link_of_ours_is_kept_and_leads_to_the_signer_not_to_the_url() -> None:
    links = Links()
    base, _, code = own(links).shorten(TARGET).rpartition("/")
    assert base == "https://go.example/l"
    assert links.kept == {
        code: Link(request_id="r1", signer="ann@example.com", round=1, purge_at=NOW + timedelta(days=90))
    }


def test_a_code_is_16_url_safe_characters_which_hold_96_bits() -> None:
    code = own(Links()).code(TARGET)
    assert len(code) == 16
    assert set(code) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_a_code_is_the_one_openssl_computes() -> None:
    # printf '["r1","ann@example.com",1]' | openssl dgst -sha256 -hmac s3cret -binary | base64 | tr +/ -_
    assert own(Links()).code(TARGET) == "opZQ6GalADUWBjxC"


def test_a_reminder_reuses_the_link_of_the_invitation() -> None:
    links = Links()
    assert own(links).shorten(TARGET) == own(links).shorten(TARGET)
    assert len(links.kept) == 1


@pytest.mark.parametrize("other", [{"request": "r2"}, {"signer": "bo@example.com"}, {"round": 2}])
def test_another_request_signer_or_round_has_another_link(other: dict[str, object]) -> None:
    codes = own(Links())
    assert codes.code(msgspec.structs.replace(TARGET, **other)) != codes.code(TARGET)


def test_another_secret_makes_another_link() -> None:
    assert own(Links(), "other").code(TARGET) != own(Links()).code(TARGET)


@settings(deadline=None)
@given(st.text(max_size=9), st.text(max_size=9), st.text(max_size=9), st.text(max_size=9))
def test_no_two_signers_share_a_link(request_a: str, signer_a: str, request_b: str, signer_b: str) -> None:
    codes = own(Links())
    a = codes.code(Target(request=request_a, signer=signer_a, round=1, url=""))
    b = codes.code(Target(request=request_b, signer=signer_b, round=1, url=""))
    assert (a == b) == ((request_a, signer_a) == (request_b, signer_b))


def test_a_link_that_could_not_be_kept_is_not_given_out() -> None:
    with pytest.raises(RetryLater):
        own(Links(RetryLater("the database is away"))).shorten(TARGET)


def test_a_code_that_another_signer_has_already_is_not_given_out() -> None:
    """At 96 bits it will not happen; if it did, one signer would be shown another's document."""
    ledger = FakeLedger()
    links = OwnLinks("https://go.example", "s3cret", ledger, timedelta(days=90), lambda: NOW)
    ledger.put(links.code(TARGET), Link(request_id="r9", signer="bo@example.com", round=1, purge_at=NOW), None)
    with pytest.raises(PermanentFailure, match="same code"):
        links.shorten(TARGET)


def test_a_link_is_on_the_domain_of_its_sites_brand() -> None:
    assert own(Links()).shorten(replace(TARGET, domain="go.acme.example")).startswith("https://go.acme.example/opZQ")


@pytest.mark.parametrize(
    ("environ", "base"),
    [
        ({"LINKS_DOMAIN": "Go.Acme.example"}, "https://go.acme.example"),
        ({"LINKS_DOMAIN": "go.acme.example", "LINKS_BASE_URL": "https://x.example/l"}, "https://go.acme.example"),
        ({"LINKS_BASE_URL": "https://x.example/l/"}, "https://x.example/l"),
    ],
)
def test_the_base_of_the_links_is_the_domain_where_there_is_one(environ: dict[str, str], base: str) -> None:
    assert base_url(Values(environ)) == base


@pytest.mark.parametrize("environ", [{}, {"LINKS_DOMAIN": "https://go.acme.example"}, {"LINKS_DOMAIN": "go"}])
def test_no_base_and_a_domain_that_is_none_stop_the_start(environ: dict[str, str]) -> None:
    with pytest.raises(SettingError, match="LINKS_"):
        base_url(Values(environ))


def test_an_empty_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="LINKS_SECRET"):
        own(Links(), "")


def bitly(url: str) -> Bitly:
    return Bitly("t0ken", "go.acme.example", url, lambda: NOW, 1.0)


def rebrandly(url: str) -> Rebrandly:
    return Rebrandly("k3y", "go.acme.example", url, lambda: NOW, 1.0)


Make = Callable[[str], Shortener]
both = pytest.mark.parametrize("make", [bitly, rebrandly])


@pytest.mark.parametrize("status", [200, 201])
def test_bitly_is_asked_as_its_guide_shows_and_an_old_link_is_as_good_as_a_new_one(status: int) -> None:
    with StandIn(Reply(status, {"link": "https://bit.ly/2131NDa", "id": "bit.ly/2131NDa"})) as server:
        assert bitly(server.url).shorten(TARGET) == "https://bit.ly/2131NDa"
        [asked] = server.asked
    assert (asked.method, asked.path, asked.headers["authorization"]) == ("POST", "/v4/shorten", "Bearer t0ken")
    assert asked.json() == {"long_url": TARGET.url, "domain": "go.acme.example"}


def test_rebrandly_is_asked_as_its_guide_shows_and_its_link_gets_the_scheme_it_lacks() -> None:
    with StandIn(Reply(200, {"shortUrl": "go.acme.example/x7", "destination": TARGET.url})) as server:
        assert rebrandly(server.url).shorten(TARGET) == "https://go.acme.example/x7"
        [asked] = server.asked
    assert (asked.method, asked.path, asked.headers["apikey"]) == ("POST", "/v1/links", "k3y")
    assert "authorization" not in asked.headers
    assert asked.json() == {"destination": TARGET.url, "domain": {"fullName": "go.acme.example"}}


def test_without_a_domain_of_ours_theirs_is_left_to_them() -> None:
    with StandIn(Reply(200, {"link": "https://bit.ly/x", "shortUrl": "rebrand.ly/x"})) as server:
        assert Bitly("t", "", server.url, lambda: NOW).shorten(TARGET) == "https://bit.ly/x"
        assert Rebrandly("k", "", server.url, lambda: NOW).shorten(TARGET) == "https://rebrand.ly/x"
        assert [asked.json().keys() for asked in server.asked] == [{"long_url"}, {"destination"}]


@both
@pytest.mark.parametrize("link", ["http://bit.ly/x", "https://bit.ly/x", "bit.ly/x"])
def test_a_short_link_is_always_https(make: Make, link: str) -> None:
    with StandIn(Reply(200, {"link": link, "shortUrl": link})) as server:
        assert make(server.url).shorten(TARGET) == "https://bit.ly/x"


@both
@pytest.mark.parametrize(
    "link", [None, "", 7, "javascript:alert(1)", "ftp://bit.ly/x", "bit.ly", "https:///x", "bit.ly/a b"]
)
def test_what_is_no_link_is_not_put_into_a_message(make: Make, link: object) -> None:
    with StandIn(Reply(200, {"link": link, "shortUrl": link})) as server, pytest.raises(PermanentFailure):
        make(server.url).shorten(TARGET)


@both
@pytest.mark.parametrize("reply", [Reply(200, b"<html>"), Reply(201, b""), Reply(202, {}), Reply(302), Reply(404)])
def test_an_answer_that_makes_no_sense_is_given_up(make: Make, reply: Reply) -> None:
    with StandIn(reply) as server, pytest.raises(PermanentFailure):
        make(server.url).shorten(TARGET)


@both
@pytest.mark.parametrize("reply", [Reply(429), Reply(500), Reply(502), Reply(503), Reply(504), Reply(fault="reset")])
def test_a_passing_fault_is_worth_a_retry_and_is_never_unknown_as_a_spare_link_does_no_harm(
    make: Make, reply: Reply
) -> None:
    with StandIn(reply) as server:
        with pytest.raises(RetryLater):
            make(server.url).shorten(TARGET)
        assert len(server.asked) == 1


@both
def test_a_shortener_that_cannot_be_reached_or_hangs_is_worth_a_retry(make: Make) -> None:
    with pytest.raises(RetryLater):
        make(f"http://127.0.0.1:{closed_port()}").shorten(TARGET)
    with StandIn(Reply(fault="hang")) as server, pytest.raises(RetryLater):
        make(server.url).shorten(TARGET)


@both
@pytest.mark.parametrize("status", [400, 401, 402, 403, 417, 422])
def test_a_refusal_is_given_up_with_its_code_and_the_setting_to_check(make: Make, status: int) -> None:
    reply = Reply(status, {"message": "FORBIDDEN", "code": "FORBIDDEN", "description": TARGET.url})
    with (
        StandIn(reply) as server,
        pytest.raises(PermanentFailure, match=f"{status} FORBIDDEN; check (BITLY|REBRANDLY)_") as raised,
    ):
        make(server.url).shorten(TARGET)
    assert "sign.example" not in raised.value.reason


@both
def test_a_refusal_that_quotes_the_url_is_not_repeated(make: Make) -> None:
    with (
        StandIn(Reply(400, {"message": TARGET.url, "code": TARGET.url})) as server,
        pytest.raises(PermanentFailure) as raised,
    ):
        make(server.url).shorten(TARGET)
    assert "sign.example" not in raised.value.reason


@pytest.mark.parametrize("code", ["API_USAGE_LIMIT_EXCEEDED", "MONTHLY_LIMIT_EXCEEDED"])
def test_bitlys_monthly_limit_is_given_up_as_waiting_does_not_help(code: str) -> None:
    with StandIn(Reply(429, {"message": code})) as server, pytest.raises(PermanentFailure, match="limit is used up"):
        bitly(server.url).shorten(TARGET)
    with StandIn(Reply(429, {"message": "RATE_LIMIT_EXCEEDED"})) as server, pytest.raises(RetryLater):
        bitly(server.url).shorten(TARGET)


class Counting:
    def __init__(self) -> None:
        self.calls = 0

    def shorten(self, target: Target) -> str:
        self.calls += 1
        return f"https://go.example/{self.calls}"


def remembered(shortener: Counting, ledger: FakeLedger) -> Remembered:
    return Remembered("bitly", shortener, ledger, timedelta(days=90), lambda: NOW)


def test_a_public_short_link_is_asked_for_once_and_reused_by_another_instance():
    shortener, ledger = Counting(), FakeLedger()
    first = remembered(shortener, ledger).shorten(TARGET)
    assert remembered(shortener, ledger).shorten(TARGET) == first
    assert shortener.calls == 1


def test_a_new_round_or_another_address_of_the_document_gets_a_short_link_of_its_own():
    shortener, ledger = Counting(), FakeLedger()
    targets = [TARGET, replace(TARGET, round=2), replace(TARGET, url="https://sign.example/other")]
    assert len({remembered(shortener, ledger).shorten(t) for t in targets}) == 3


def test_what_is_remembered_is_no_code_that_our_own_links_would_follow():
    shortener, ledger = Counting(), FakeLedger()
    remembered(shortener, ledger).shorten(TARGET)
    [key] = ledger.all(Link)
    assert not CODE.fullmatch(key)
