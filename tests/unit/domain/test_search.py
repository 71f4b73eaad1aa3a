"""What an operator types finds a request by the words stored with it."""

import pytest
from msgspec.structs import replace

from shared.domain.model import ChannelName, Request, Signer
from shared.domain.search import MAX_PART, MOST, folded, matches, sender_word, words_in, words_of

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


def test_the_words_of_a_request_are_its_whole_words_in_their_order_and_then_how_they_begin():
    signer = Signer(
        number=1,
        name="Éva (O'Neil-Smithers)",
        email="eva.o+x_y@mail.org",
        mobile="+13175550101",
        unusable={ChannelName.SMS: "12 34-5"},
    )
    whole = """req-1 lease eva-&-co 13175550101 3175550101 eva.o+x_y@mail.org eva o'neil-smithers 0101 o x y mail org
        mail.org 12 34-5 12345"""
    beginnings = """req req- lea leas eva- eva-& eva-&- 131 1317 13175 131755 317 3175 31755 317555 eva. eva.o eva.o+
        o'n o'ne o'nei o'neil 010 mai mail. mail.o 34- 123 1234"""
    _, *found = words_of(Request(id="Req-1", title='"Lease" Éva-&-Co &', signers={"k": signer}))
    assert tuple(found) == (*whole.split(), *beginnings.split())


def test_a_signer_without_a_name_an_address_or_a_number_adds_no_word():
    assert words_of(Request(id="r", signers={"k": Signer(number=1)})) == (sender_word("", ""), "r")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("317 555 0", ("3175550",)),  # seven digits are a number
        ("317 555", ("317", "555")),
        ("+1 (317) 555-0101", ("13175550101",)),
        ("  00 1.317/555 0101 ", ("13175550101",)),
        ("0000000", ("0000000",)),  # nothing but prefixes
        ("Lease, lease  LEASE", ("lease",)),
        ("'Agreement' & (Co.)", ("agreement", "co")),
        ("room 3175550101", ("room", "3175550101")),
    ],
)
def test_what_is_typed_is_one_number_or_each_of_its_words(typed, words):
    assert words_in(typed) == words


def test_a_word_counts_up_to_its_hundredth_character_and_loses_the_marks_around_it():
    assert folded("x" * 101) == "x" * 100
    assert folded("@.,;:!?\"'()[]{}<>“”’&Straße-ﬁx&’”“><}{][)('\"?!:;,.") == "strasse-fix"


@pytest.mark.parametrize("apostrophe", ["'", "’", "‘", "ʼ"])
def test_an_apostrophe_is_one_however_it_is_typed(apostrophe):
    assert folded(f"O{apostrophe}Brien") == "o'brien"


def test_all_words_that_are_typed_must_begin_one_of_the_requests():
    request = Request(id="r", search=("alpha", "beta"))
    assert [matches(request, words) for words in (("al", "be"), ("al", "x"), ("lpha",), ())] == [
        True,
        False,
        False,
        True,
    ]
