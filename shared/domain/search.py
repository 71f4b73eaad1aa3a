"""The words by which a request is found: stored with it, since the database only compares whole values."""

import re
import unicodedata

from shared.domain.model import Request

MOST = 1_000  # words of a request; each is an entry of two indexes
MAX_WORD = 100  # characters of a word that count
PHONE = re.compile(r"[\d\s()+./-]*\d[\d\s()+./-]*")


def words_of(request: Request) -> tuple[str, ...]:
    """Its id, and of its title, its signers' names, e-mail addresses and mobile numbers every word."""
    found = [request.id, *request.title.split()]
    for signer in request.signers.values():
        found += [*signer.name.split(), signer.email, *_numbers(signer.mobile)]
    return tuple(dict.fromkeys(folded(w) for w in found if folded(w)))[:MOST]


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
    """E.164 without its plus, and the same without the country's code."""
    if not mobile:
        return []
    import phonenumbers

    number = phonenumbers.parse(mobile)
    return [mobile.lstrip("+"), phonenumbers.national_significant_number(number)]
