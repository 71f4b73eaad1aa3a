"""What an operator types finds a request by the words stored with it."""

import pytest

from shared.domain.model import Request, Signer
from shared.domain.search import MOST, words_in, words_of

ERIC = Signer(number=1, name="Eric Müller-Smith", email="eric@example.com", mobile="+13175550101")
REQUEST = Request(id="Req_42-x", title='Employment "Agreement", 2026', signers={"k": ERIC})


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
    ],
)
def test_a_request_is_found_by_a_name_a_number_an_address_its_id_and_its_title(typed: str) -> None:
    assert set(words_in(typed)) <= set(words_of(REQUEST))


@pytest.mark.parametrize("typed", ["smit", "5550101", "0", "317 555 0102"])
def test_a_part_of_a_word_finds_nothing(typed: str) -> None:
    assert not set(words_in(typed)) <= set(words_of(REQUEST))


def test_a_number_with_its_trunk_zero_is_found() -> None:
    german = Request(id="r", signers={"k": Signer(number=1, mobile="+4915112345678")})
    assert set(words_in("0151 12345678")) <= set(words_of(german))
    assert set(words_in("0049 151 12345678")) <= set(words_of(german))


def test_nothing_typed_is_no_word() -> None:
    assert words_in("  ' \" ") == ()


def test_a_thousand_signers_do_not_break_the_database() -> None:
    many = {str(n): Signer(number=n, name=f"Name{n} Family{n}", email=f"s{n}@example.com") for n in range(1000)}
    assert len(words_of(Request(id="r", signers=many))) == MOST
