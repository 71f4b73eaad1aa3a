"""Asking a provider what became of a message whose answer was lost, before anything is sent a second time."""

import unicodedata
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.domain.errors import Accepted, CannotSay, RetryLater
from shared.domain.model import NoticeRecord, NoticeState, digest
from shared.domain.notice_record import NOT_THERE, changed_to
from shared.domain.policy import Policy

MAX_UNANSWERED = 100  # questions to a provider that does not answer, about a day; then it counts as one that cannot say
LONGEST_PAUSE = (
    900.0  # seconds between two of them; the first follow each other after `lag`, then twice that, and so on
)
SHORTEST_LAG = 5.0  # seconds, however short a day is
# Seconds after which a question needs no further call: with the last one (20 s), and the API's before them, it ends
# within the function's 60 s, so that what got no answer is counted.
ASK_WITHIN = 15.0
FOUND = "found at the provider, which was asked"

Answer = Accepted | CannotSay | RetryLater | None  # None: it has no such message


def fingerprint(text: str) -> str:
    """Of a text's letters and digits: a provider may list it with plain punctuation and without some spaces."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if c.isalnum())
    return digest(plain) if plain else ""


def ask_after(lag: float, policy: Policy) -> timedelta:
    """How long a provider is left to list what it took. lag: seconds, the provider's own."""
    return policy.span(lag, floor=SHORTEST_LAG)


def answered(record: NoticeRecord, answer: Answer, now: datetime, lag: float, policy: Policy) -> NoticeRecord:
    """The record of an unknown outcome after its provider was asked: `ask_at` is None once no question is left.

    A provider may list a message late, so only its second denial, `lag` after the first, is believed. Then the notice
    is planned again, and sent if it is still due.
    """
    if isinstance(answer, Accepted):
        found = {"provider_id": answer.provider_id, "ask_at": None}
        return changed_to(record, NoticeState.ACCEPTED, now, FOUND, **found)
    if isinstance(answer, CannotSay):
        return replace(record, ask_at=None)
    if isinstance(answer, RetryLater):
        pause = ask_after(min(lag * 2**record.unanswered, max(lag, LONGEST_PAUSE)), policy)
        return _asked_later(record, now + max(pause, timedelta(seconds=answer.after or 0)))
    if record.missing_since and record.attempts >= policy.max_attempts:
        return replace(record, ask_at=None)
    if record.missing_since:
        return changed_to(record, NoticeState.PLANNED, now, NOT_THERE, ask_at=None, missing_since=None)
    return replace(record, missing_since=now, ask_at=now + ask_after(lag, policy))


def _asked_later(record: NoticeRecord, at: datetime) -> NoticeRecord:
    unanswered = record.unanswered + 1
    return replace(record, unanswered=unanswered, ask_at=at if unanswered < MAX_UNANSWERED else None)
