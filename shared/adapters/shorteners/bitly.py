"""Bitly v4. After a failure the message is sent with the long URL.

https://dev.bitly.com/docs/getting-started/shorten, .../rate-limits, .../errors
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from shared.adapters.http.client import Http, HttpResponse, bearer
from shared.adapters.shorteners.common.base import DEADLINE, code, https
from shared.adapters.shorteners.common.remembered import Remembered
from shared.domain.errors import PermanentFailure
from shared.ports import Ledger, Shortener, Target
from shared.setting_types import ShortenerSpec, Values, secret, text, url

TOKEN = secret("BITLY_TOKEN", "the account's token")
DOMAIN = text("BITLY_DOMAIN", "a domain of your own; without one bit.ly, which carriers block")
API_URL = url("BITLY_API_URL", "another base", "https://api-ssl.bitly.com")
SPEC = ShortenerSpec(
    title="Bitly", documentation="https://dev.bitly.com/docs/getting-started/shorten", settings=(TOKEN, DOMAIN, API_URL)
)

# Codes of a 429 for the month's quota, which an hour's wait does not restore.
EXHAUSTED = {"API_USAGE_LIMIT_EXCEEDED", "MONTHLY_LIMIT_EXCEEDED", "MONTHLY_ENCODE_LIMIT_EXCEEDED"}


class Bitly:
    """domain: a custom one, or "" for bit.ly."""

    def __init__(
        self, token: str, domain: str, api_url: str, clock: Callable[[], datetime], deadline: float = DEADLINE
    ) -> None:
        self._url, self._login = f"{api_url.rstrip('/')}/v4/shorten", bearer(token)
        self._domain = {"domain": domain} if domain else {}
        self._http = Http("Bitly", clock, deadline, _check)

    def shorten(self, target: Target) -> str:
        """Returns the same link for the same URL; Bitly answers 200 instead of 201 the second time."""
        body = {"long_url": target.url, **self._domain}
        answer = self._http.post_json(self._url, body, self._login, effect=False)
        if answer.status not in (200, 201):
            told = code(answer.json().get("message"))
            raise PermanentFailure(f"Bitly answered {answer.status} {told}; check BITLY_TOKEN, BITLY_DOMAIN")
        return https("Bitly", answer.json().get("link"))


def _check(answer: HttpResponse) -> None:
    told = code(answer.json().get("message"))
    if answer.status == 429 and told in EXHAUSTED:
        raise PermanentFailure(f"Bitly: the plan's limit is used up ({told})")


def make(values: Values, ledger: Ledger, retention: timedelta, clock: Callable[[], datetime]) -> Shortener:
    made = Bitly(values[TOKEN], values[DOMAIN], values[API_URL], clock)
    return Remembered("bitly", made, ledger, retention, clock)
