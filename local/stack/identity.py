"""What stands in for OIDC on one machine, where no Google vouches for a caller: a token only this process can make.

In the cloud, Cloud Run checks the identity token of Pub/Sub, Cloud Tasks and Cloud Scheduler before a function sees
the call. Here the gateway does, so that a call made without one is found on a laptop.
"""

import hmac
import secrets
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

KEY = secrets.token_bytes(32)

App = Callable[..., Iterable[bytes]]


def bearer(audience: str) -> dict[str, str]:
    """The header of a call. audience: the URL called, or another that both sides agree on."""
    return {"Authorization": f"Bearer {_token(audience)}"}


def guarded(app: App, audience: str = "", *, anonymous: bool = False) -> App:
    """401 for a token not made for the URL called, nor for `audience`; 403 without one, unless `anonymous`."""

    def wrapped(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        given = environ.get("HTTP_AUTHORIZATION")
        if given is None:
            return app(environ, start) if anonymous else _refused(start, "403 Forbidden")
        called = environ["SCRIPT_NAME"] + environ["PATH_INFO"]
        known = [bearer(to)["Authorization"] for to in (called, audience or called)]
        if any(hmac.compare_digest(given.encode("utf-8", "replace"), k.encode()) for k in known):
            return app(environ, start)
        return _refused(start, "401 Unauthorized")

    return wrapped


def _token(audience: str) -> str:
    """Of a URL its path counts: one machine has many names."""
    parts = urlsplit(audience)
    return hmac.new(KEY, (parts.path.rstrip("/") or audience).encode(), "sha256").hexdigest()


def _refused(start: Callable[..., Any], status: str) -> list[bytes]:
    start(status, [("Content-Type", "text/plain")])
    return [b"only for this machine's own Pub/Sub, Cloud Tasks and Cloud Scheduler\n"]
