"""What a signer texts back: a word that stops our messages, lets them start again, or asks for help."""

from datetime import datetime
from enum import StrEnum

import msgspec


class Keyword(StrEnum):
    """What the words of a text ask for."""

    STOP = "STOP"
    START = "START"
    HELP = "HELP"


# The words that carriers and providers agree on, and the French one that Canada asks for.
WORDS: dict[str, Keyword] = {
    **dict.fromkeys(
        ("STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT", "ARRET", "ARRÊT"), Keyword.STOP
    ),
    **dict.fromkeys(("START", "UNSTOP", "YES"), Keyword.START),
    **dict.fromkeys(("HELP", "INFO"), Keyword.HELP),
}

NORTH_AMERICA = "+1"


class InboundText(msgspec.Struct, frozen=True, kw_only=True):
    """A verified text of a signer's.

    number: E.164. keyword: None for a text that asks for nothing of the relay's. at: when it was sent, or ours.
    answer: the body that the provider wants for an answer, in XML; "" where it wants none.
    """

    number: str
    keyword: Keyword | None
    at: datetime
    answer: str = ""


def keyword_of(text: str) -> Keyword | None:
    """The keyword that a text consists of, whatever its case, spaces and marks; "stop texting me" is none."""
    return WORDS.get("".join(c for c in text.upper() if c.isalnum()))


def needs_opt_out(number: str) -> bool:
    """Whether the first text to a number must say how to opt out.

    CTIA's messaging principles ask for it, and the carriers of the US and Canada enforce them.
    """
    return number.startswith(NORTH_AMERICA)
