"""The words by which a request is found: stored with it, since the database only compares whole values."""

import re
import unicodedata

from shared.domain.model import Request, Signer, digest
from shared.domain.policy import normal_email

MOST = 1_000  # words of a request; each is an entry of two indexes
MAX_WORD = 100  # characters of a word that count
MIN_PART, MAX_PART = 3, 6  # characters of a beginning of a word that is stored beside the word
PHONE = re.compile(r"[\d\s()+./-]*\d[\d\s()+./-]*")


def words_of(request: Request) -> tuple[str, ...]:
    """Its sender's; its id, every word of its title, of its signers' names, addresses and numbers; how these begin."""
    found = [request.id, *request.title.split()]
    for signer in request.signers.values():
        mail = [signer.email, *re.split(r"[._+@-]", signer.email), signer.email.partition("@")[2]]
        found += [*signer.name.split(), *mail, *_numbers(signer.mobile), *_as_given(signer)]
    whole = dict.fromkeys(folded(w) for w in found if folded(w))
    parts = (w[:n] for w in whole for n in range(MIN_PART, min(len(w), MAX_PART) + 1))
    return tuple({sender_word(request.site, normal_email(request.sender_email)): None} | whole | dict.fromkeys(parts))[
        :MOST
    ]


def sender_word(site: str, address: str) -> str:
    """What all requests of a sender on a site have. No title or name holds it, since their words have no space.

    address: "" for none.
    """
    return f"sender {digest(site, address)[:32]}"


def matches(request: Request, words: tuple[str, ...]) -> bool:
    """Whether each of these begins one of the request's words."""
    return all(any(stored.startswith(word) for stored in request.search) for word in words)


def words_in(text: str) -> tuple[str, ...]:
    """What an operator typed: a number is one word however it is written, else each word counts."""
    digits = re.sub(r"\D", "", text).lstrip("0")  # trunk and international prefixes
    if PHONE.fullmatch(text.strip()) and len(digits) >= 7:
        return (digits,)
    return tuple(dict.fromkeys(folded(w) for w in text.split() if folded(w)))


def folded(word: str) -> str:
    """Lower-case, without accents and without the punctuation around it."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))
    return plain.casefold().strip(".,;:!?\"'()[]{}<>“”’&")[:MAX_WORD]


def _numbers(mobile: str) -> list[str]:
    """E.164 without its plus, the same without the country's code, and the last four digits."""
    if not mobile:
        return []
    import phonenumbers

    number = phonenumbers.parse(mobile)
    return [mobile.lstrip("+"), phonenumbers.national_significant_number(number), mobile[-4:]]


def _as_given(signer: Signer) -> list[str]:
    """What is no address, as it was given and by its digits."""
    return [word for given in signer.unusable.values() for word in (*given.split(), re.sub(r"\D", "", given))]
