from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.shorteners.links import OwnLinks
from shared.adapters.shorteners.none import NoShortener
from shared.domain.model import Link, Record, Request
from shared.domain.outcomes import Retry
from shared.ports import Stored, T, Target

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TARGET = Target(request="r1", signer="ann@example.com", round=1, url="https://sign.example/secret")


class Links:
    """A ledger that keeps links and nothing else."""

    def __init__(self, fault: Retry | None = None) -> None:
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

    def records(self, request: str) -> dict[str, Record]:
        raise NotImplementedError

    def recent(self, limit: int) -> Sequence[Request]:
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


def test_a_code_is_22_url_safe_characters_which_hold_128_bits() -> None:
    code = own(Links()).code(TARGET)
    assert len(code) == 22
    assert set(code) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_a_code_is_the_one_openssl_computes() -> None:
    # printf '["r1","ann@example.com",1]' | openssl dgst -sha256 -hmac s3cret -binary | base64 | tr +/ -_
    assert own(Links()).code(TARGET) == "opZQ6GalADUWBjxCUWDwc6"


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


@given(st.text(max_size=9), st.text(max_size=9), st.text(max_size=9), st.text(max_size=9))
def test_no_two_signers_share_a_link(request_a: str, signer_a: str, request_b: str, signer_b: str) -> None:
    codes = own(Links())
    a = codes.code(Target(request=request_a, signer=signer_a, round=1, url=""))
    b = codes.code(Target(request=request_b, signer=signer_b, round=1, url=""))
    assert (a == b) == ((request_a, signer_a) == (request_b, signer_b))


def test_a_link_that_could_not_be_kept_is_not_given_out() -> None:
    with pytest.raises(Retry):
        own(Links(Retry("the database is away"))).shorten(TARGET)


def test_an_empty_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="LINKS_SECRET"):
        own(Links(), "")
