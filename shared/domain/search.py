"""The words by which a request is found: stored with it, since the database only compares whole values."""

import re
import unicodedata

import msgspec

from shared.domain.model import Request, Signer, digest
from shared.domain.policy import normal_email

MOST = 5_500  # words of a request; each is an entry of two indexes, of which Firestore allows 40,000
FEW, LARGE = 800, 800_000  # so many words, where the signers take more bytes than these: the document has a limit too
MAX_WORD = 100  # characters of a word that count
MIN_PART, MAX_PART = 3, 6  # characters of a beginning of a word that is stored beside the word
APOSTROPHE = re.compile("[’‘ʼ]")
PHONE = re.compile(r"[\d\s()+./-]*\d[\d\s()+./-]*")


def words_of(request: Request) -> tuple[str, ...]:
    """Its sender's; its id, every word of its title, its signers' names, addresses and numbers; then how these begin.

    Where there are more than MOST, the least telling of all signers are left out first: with 1,000 signers how a word
    begins, parts of an address and the last digits of a number.
    """
    telling, others = [request.id, *request.title.split()], list[str]()
    for signer in request.signers.values():
        numbers = _numbers(signer.mobile)
        telling += [*numbers[:2], signer.email, *signer.name.split()]
        others += [
            *numbers[2:],
            *re.split(r"[._+@-]", signer.email),
            signer.email.partition("@")[2],
            *_as_given(signer),
        ]
    whole = dict.fromkeys(filter(None, map(folded, (*telling, *others))))
    parts = (w[:n] for w in whole for n in range(MIN_PART, min(len(w), MAX_PART) + 1))
    first = {sender_word(request.site, normal_email(request.sender_email)): None}
    return tuple(first | whole | dict.fromkeys(parts))[: _room(request)]


def _room(request: Request) -> int:
    return FEW if len(msgspec.json.encode(request.signers)) > LARGE else MOST


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
    """Lower-case, without accents and without the punctuation around it; every apostrophe a plain one."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))
    return APOSTROPHE.sub("'", plain.casefold()).strip("@.,;:!?\"'()[]{}<>“”’&")[:MAX_WORD]


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
