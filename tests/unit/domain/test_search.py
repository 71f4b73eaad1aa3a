"""What an operator types finds a request by the words stored with it."""

import pytest
from msgspec.structs import replace

from shared.domain.model import ChannelName, Request, Signer
from shared.domain.search import MAX_PART, MOST, matches, words_in, words_of

ERIC = Signer(number=1, name="Eric Müller-Smith", email="eric@example.com", mobile="+13175550101")
WRONG = Signer(number=2, unusable={ChannelName.SMS: "123-45"})
REQUEST = Request(id="Req_42-x", title='Employment "Agreement", 2026', signers={"k": ERIC, "j": WRONG})


@pytest.mark.parametrize(
    "typed",
    [
        "eric",
        "ERIC muller-smith",
        "Müller-Smith",
        "eric@example.com",
        "+1 317 555-0101",
        "(317) 555 0101",
        "13175550101",
        "req_42-X",
        "agreement",
        "  Employment   2026 ",
        "Eri",
        "mülle",
        "Employm",
        "0101",
        "example.com",
        "examp",
        "317555",
        "req_",
        "12345",
        "eric agree",
    ],
)
def test_a_request_is_found_by_a_name_a_number_an_address_its_id_and_its_title(typed: str) -> None:
    words = words_in(typed)
    assert matches(replace(REQUEST, search=words_of(REQUEST)), words)
    assert {word[:MAX_PART] for word in words} <= set(words_of(REQUEST))


@pytest.mark.parametrize("typed", ["mith", "5550101", "101", "317 555 0102", "erica", "employmentx"])
def test_the_middle_of_a_word_and_another_word_find_nothing(typed: str) -> None:
    assert not matches(replace(REQUEST, search=words_of(REQUEST)), words_in(typed))


def test_a_number_with_its_trunk_zero_is_found() -> None:
    german = Request(id="r", signers={"k": Signer(number=1, mobile="+4915112345678")})
    assert set(words_in("0151 12345678")) <= set(words_of(german))
    assert set(words_in("0049 151 12345678")) <= set(words_of(german))


def test_nothing_typed_is_no_word() -> None:
    assert words_in("  ' \" ") == ()


def someone(n: int) -> Signer:
    return Signer(number=n, name=f"Ann{n}o Family{n}o", email=f"s{n}@example.com", mobile=f"+1317{5550000 + n}")


@pytest.mark.parametrize("signers", [20, 200, 1000])
def test_every_signer_of_a_large_request_is_found(signers: int) -> None:
    many = {str(n): someone(n) for n in range(signers)}
    stored = words_of(Request(id="r", title="Lease", signers=many))
    assert len(stored) <= MOST
    found = set(stored)
    typed = (
        text
        for s in many.values()
        for text in (
            *s.name.split(),
            s.email,
            s.mobile,
            s.mobile[2:],
            *([s.name[:5], s.mobile[-4:]] if signers < 1000 else []),
        )
    )
    assert [text for text in typed if not set(words_in(text)) <= found] == []


def test_a_domain_is_found_with_and_without_its_at_sign() -> None:
    assert words_in("@example.com") == words_in("example.com")
