"""Replaces OIDC in the local stack with tokens that only this process can create.

In the cloud, Cloud Run checks the identity token of Pub/Sub, Cloud Tasks and Cloud Scheduler before a function gets
the call. In the local stack the gateway does, so that a missing token is noticed before a deployment.
"""

import hmac
import secrets
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

KEY = secrets.token_bytes(32)

App = Callable[..., Iterable[bytes]]


def bearer(audience: str) -> dict[str, str]:
    """The header of a call. audience: the called URL, or the value of OIDC_AUDIENCE."""
    return {"Authorization": f"Bearer {_token(audience)}"}


def guarded(app: App, audience: str = "", *, anonymous: bool = False) -> App:
    """Check the token: 401 unless it is for the called URL or `audience`; 403 without one, unless `anonymous`."""

    def wrapped(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        given = environ.get("HTTP_AUTHORIZATION")
        if given is None:
            return app(environ, start) if anonymous else _rejected(start, "403 Forbidden")
        called = environ["SCRIPT_NAME"] + environ["PATH_INFO"]
        known = [bearer(to)["Authorization"] for to in (called, audience or called)]
        if any(hmac.compare_digest(given.encode("utf-8", "replace"), k.encode()) for k in known):
            return app(environ, start)
        return _rejected(start, "401 Unauthorized")

    return wrapped


def _token(audience: str) -> str:
    """Only the path of a URL is used, because one machine has several host names."""
    parts = urlsplit(audience)
    return hmac.new(KEY, (parts.path.rstrip("/") or audience).encode(), "sha256").hexdigest()


def _rejected(start: Callable[..., Any], status: str) -> list[bytes]:
    start(status, [("Content-Type", "text/plain")])
    return [b"only Pub/Sub, Cloud Tasks and Cloud Scheduler of this local stack may call this\n"]
