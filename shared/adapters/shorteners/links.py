"""Short links of our own, served by the function `links`. No third party learns the signing URL."""

import base64
import hmac
from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import msgspec

from shared.domain.errors import PermanentFailure
from shared.domain.model import Link
from shared.ports import Ledger, Shortener, Target
from shared.setting_types import Setting, ShortenerSpec, Values, domain, secret, url

DOMAIN: Setting[str] = Setting(
    name="LINKS_DOMAIN",
    meaning="the domain of your short links, like `go.acme.example`: carriers filter texts with shared domains; "
    "`make infra` sets up what serves it",
    parse=domain,
    wanted="a domain, like go.acme.example",
)
BASE_URL = url(
    "LINKS_BASE_URL",
    "public base of `links` where it is not `https://LINKS_DOMAIN`; one of the two is required",
    example="http://127.0.0.1:8080/l",
)
SECRET = secret("LINKS_SECRET", "key of the links' codes", example="local-links-secret")
SPEC = ShortenerSpec(title="Our own links", documentation="architecture.md", settings=(DOMAIN, BASE_URL, SECRET))

CODE_LENGTH = 16  # base64url characters, 96 bits: docs/adr/0015-short-codes.md
SHARED_DOMAINS = ("cloudfunctions.net", "run.app")  # of Google: every project has links there


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
        """Returns the same link for a signer and round, so that a retry or reminder reuses it.

        Raises RetryLater; PermanentFailure where another signer has the code.
        """
        code = self.code(target)
        link = Link(
            request_id=target.request,
            signer=target.signer,
            round=target.round,
            purge_at=self._clock() + self._retention,
        )
        if self._ledger.put(code, link, None) is None:
            self._keep(code, link)
        return f"{f'https://{target.domain}' if target.domain else self._base_url}/{code}"

    def _keep(self, code: str, link: Link) -> None:
        """Extends the retention, so that a link outlasts the last message with it. Only `purge_at` changes."""
        stored = self._ledger.get(Link, code)
        if stored and (stored.item.request_id, stored.item.signer) != (link.request_id, link.signer):
            raise PermanentFailure("another signer's link has the same code")  # the long link is sent
        soon = self._clock() + self._retention / 2
        if stored and stored.item.purge_at and stored.item.purge_at < soon:
            self._ledger.put(code, link, stored.version)

    def code(self, target: Target) -> str:
        """The path of a target's link, the same for the same signer and round."""
        named = msgspec.json.encode([target.request, target.signer, target.round])
        return base64.urlsafe_b64encode(hmac.digest(self._secret, named, "sha256")).decode()[:CODE_LENGTH]


def make(values: Values, ledger: Ledger, retention: timedelta, clock: Callable[[], datetime]) -> Shortener:
    return OwnLinks(base_url(values), values.strong(SECRET), ledger, retention, clock)


def base_url(values: Values) -> str:
    """The public base of our links. Raises SettingError."""
    return f"https://{values[DOMAIN]}" if values[DOMAIN] else values.required(BASE_URL)


def on_shared_domain(base: str) -> bool:
    """Whether links with this base are on a domain that Google shares among all its customers."""
    return (urlsplit(base).hostname or "").endswith(SHARED_DOMAINS)
