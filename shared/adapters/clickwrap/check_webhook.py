"""The webhook that begins the check of the whole relay, see shared/handlers/relay_check.py."""

from collections.abc import Callable, Mapping
from datetime import datetime

from shared.adapters.clickwrap.webhook import HEADER
from shared.adapters.http.client import Http
from shared.domain.errors import RetryLater
from shared.domain.model import CHECK, EventType

DEADLINE = 30.0  # seconds


class CheckWebhook:
    """Posts to `receive` as Clickwrap does.

    Args:
        url: of `receive`.
        token: one that it accepts.
        origin: the site and the integration, where `receive` relays only some.
        clock: makes each webhook another one.
    """

    def __init__(self, url: str, token: str, origin: Mapping[str, str], clock: Callable[[], datetime]) -> None:
        self._url, self._token, self._origin, self._clock = url, token, origin, clock
        self._http = Http("receive", clock, DEADLINE)

    def post(self) -> None:
        """Raises RetryLater unless it was taken."""
        key = f"check-{self._clock():%Y-%m-%dT%H:%M:%S}"
        body = {"event_type": EventType.SENT.value, "id": key, "request": CHECK, **self._origin}
        answer = self._http.post_json(self._url, body, {HEADER: self._token}, effect=False)
        if answer.status != 200:
            raise RetryLater(f"receive answered {answer.status} to the check")
