"""The customer's own endpoint for changes of status: an HTTPS POST, signed as Standard Webhooks describes.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hmac
from collections.abc import Callable
from datetime import datetime

import msgspec

from shared.adapters.clickwrap.link_hosts import on_loopback
from shared.adapters.http.client import Http
from shared.domain.errors import PermanentFailure, RetryLater

DEADLINE = 15.0  # seconds


class StatusWebhook:
    """Implements the port StatusEndpoint. An address that is not public is refused, and no redirect is followed.

    Args:
        url: the endpoint.
        keys: secrets; each signs, so that the receiver may change theirs at any time during a rotation.
        clock: time of the signature.
    """

    def __init__(self, url: str, keys: tuple[bytes, ...], clock: Callable[[], datetime]) -> None:
        self._url, self._keys, self._clock = url, keys, clock
        self._http = Http("the status endpoint", clock, DEADLINE, public_only=not on_loopback(url))

    def post(self, key: str, body: bytes) -> None:
        """Raises RetryLater, PermanentFailure."""
        headers = {"Content-Type": "application/cloudevents+json", **self._signed(key, body)}
        answer = self._http.post_json(self._url, msgspec.Raw(body), headers, effect=False)
        if answer.status == 410:
            raise PermanentFailure("the status endpoint answered 410: it takes no more, remove STATUS_WEBHOOK_URL")
        if 300 <= answer.status < 400:
            raise RetryLater(f"the status endpoint answered {answer.status}: STATUS_WEBHOOK_URL must not redirect")
        if not 200 <= answer.status < 300:
            raise RetryLater(f"the status endpoint answered {answer.status}")

    def _signed(self, key: str, body: bytes) -> dict[str, str]:
        at = str(int(self._clock().timestamp()))
        content = b".".join((key.encode(), at.encode(), body))
        signatures = (base64.b64encode(hmac.digest(k, content, "sha256")).decode() for k in self._keys)
        return {
            "webhook-id": key,
            "webhook-timestamp": at,
            "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
        }
