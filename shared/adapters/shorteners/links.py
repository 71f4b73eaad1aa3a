"""Short links of our own, served by the function `links`. No third party learns the signing URL."""

import base64
import hmac
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from shared.domain.model import Link
from shared.ports import Ledger, Shortener, Target
from shared.setting_types import ShortenerSpec, Values, secret, url

BASE_URL = url("LINKS_BASE_URL", "public base of `links`", None, example="http://127.0.0.1:8080/l")
SECRET = secret("LINKS_SECRET", "key of the links' codes", example="local-links-secret")
SPEC = ShortenerSpec(title="Our own links", documentation="architecture.md", settings=(BASE_URL, SECRET))

CODE_LENGTH = 22  # base64url characters, 132 bits, so that another signer's cannot be guessed


class OwnLinks:
    """base_url: public base of `links`. secret: LINKS_SECRET. retention: how long a link is kept."""

    def __init__(
        self, base_url: str, secret: str, ledger: Ledger, retention: timedelta, clock: Callable[[], datetime]
    ) -> None:
        if not secret:
            raise ValueError("LINKS_SECRET is empty")
        self._base_url = base_url.rstrip("/")
        self._secret = secret.encode()
        self._ledger, self._retention, self._clock = ledger, retention, clock

    def shorten(self, target: Target) -> str:
        """Returns the same link for a signer and round, so that a retry or reminder reuses it. Raises RetryLater."""
        code = self.code(target)
        link = Link(
            request_id=target.request,
            signer=target.signer,
            round=target.round,
            purge_at=self._clock() + self._retention,
        )
        if self._ledger.put(code, link, None) is None:
            self._keep(code, link)
        return f"{self._base_url}/{code}"

    def _keep(self, code: str, link: Link) -> None:
        """Extends the retention, so that a link outlasts the last message with it. Only `purge_at` changes."""
        stored = self._ledger.get(Link, code)
        soon = self._clock() + self._retention / 2
        if stored and stored.item.purge_at and stored.item.purge_at < soon:
            self._ledger.put(code, link, stored.version)

    def code(self, target: Target) -> str:
        """The path of a target's link, the same for the same signer and round."""
        named = msgspec.json.encode([target.request, target.signer, target.round])
        return base64.urlsafe_b64encode(hmac.digest(self._secret, named, "sha256")).decode()[:CODE_LENGTH]


def make(values: Values, ledger: Ledger, retention: timedelta, clock: Callable[[], datetime]) -> Shortener:
    return OwnLinks(values[BASE_URL], values.strong(SECRET), ledger, retention, clock)
