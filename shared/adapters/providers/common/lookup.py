"""Asking a provider for a message it may have taken: what its list says, and when it cannot tell."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shared.adapters.http.client import HttpResponse
from shared.adapters.providers.common.rules import SKEW
from shared.domain.errors import CannotSay, RetryLater
from shared.ports import Sought

PAGE = 100  # messages that are asked for; one address hardly gets more in the minutes in question


def listed(answer: HttpResponse, who: str, name: str) -> list[Mapping[str, Any]]:
    """The list of messages in an answer. Raises CannotSay for a refusal, RetryLater for what cannot be read.

    A row that is no object might be the message that is sought: no part of the list is taken for a denial then.
    """
    if answer.status in (408, 425):
        raise RetryLater(f"{who} did not wait for the whole question")
    if answer.status >= 300:
        raise CannotSay(f"{who} refuses to be asked (HTTP {answer.status})")
    told = answer.json().get(name)
    if not isinstance(told, list) or not all(isinstance(row, dict) for row in told):
        raise RetryLater(f"{who} was asked, and its answer makes no sense")
    return told


def earliest(sought: Sought) -> datetime:
    """No message created before this can be the one that is sought, even where the clocks differ."""
    return sought.since - SKEW
