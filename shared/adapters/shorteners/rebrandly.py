"""Rebrandly v1. After a failure the message is sent with the long URL.

https://developers.rebrandly.com/docs/create-a-new-link, /docs/validation-errors, /docs/api-limits
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from shared.adapters.http.client import Http
from shared.adapters.shorteners.common.base import DEADLINE, code, https
from shared.adapters.shorteners.common.remembered import Remembered
from shared.domain.errors import PermanentFailure
from shared.ports import Ledger, Shortener, Target
from shared.setting_types import ShortenerSpec, Values, secret, text, url

API_KEY = secret("REBRANDLY_API_KEY", "the account's key")
DOMAIN = text("REBRANDLY_DOMAIN", "a domain of your own; without one rebrand.ly, which carriers block")
API_URL = url("REBRANDLY_API_URL", "another base", "https://api.rebrandly.com")
SPEC = ShortenerSpec(
    title="Rebrandly",
    documentation="https://developers.rebrandly.com/docs/create-a-new-link",
    settings=(API_KEY, DOMAIN, API_URL),
)


class Rebrandly:
    """domain: a branded one of the account, or "" for rebrand.ly."""

    def __init__(
        self, api_key: str, domain: str, api_url: str, clock: Callable[[], datetime], deadline: float = DEADLINE
    ) -> None:
        self._url, self._login = f"{api_url.rstrip('/')}/v1/links", {"apikey": api_key}
        self._domain = {"domain": {"fullName": domain}} if domain else {}
        self._http = Http("Rebrandly", clock, deadline)

    def shorten(self, target: Target) -> str:
        """A new link with each call. Raises RetryLater or PermanentFailure."""
        body = {"destination": target.url, **self._domain}
        answer = self._http.post_json(self._url, body, self._login, effect=False)
        if answer.status not in (200, 201):
            told = code(answer.json().get("code"))  # a 403 may mean a wrong field as well as a wrong key
            raise PermanentFailure(
                f"Rebrandly answered {answer.status} {told}; check REBRANDLY_API_KEY, REBRANDLY_DOMAIN"
            )
        return https("Rebrandly", answer.json().get("shortUrl"))


def make(values: Values, ledger: Ledger, retention: timedelta, clock: Callable[[], datetime]) -> Shortener:
    made = Rebrandly(values[API_KEY], values[DOMAIN], values[API_URL], clock)
    return Remembered("rebrandly", made, ledger, retention, clock)
