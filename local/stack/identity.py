"""Replaces Google's identity tokens and Cloud Run's check of them in the local stack.

In the cloud, Cloud Run checks the signature of the token of Pub/Sub, Cloud Tasks or Cloud Scheduler before a function
gets the call. In the local stack the gateway does, with a key that only this process has. The function then reads
the token's claims, here as there.
"""

import base64
import hmac
import json
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Any

KEY = secrets.token_bytes(32)
LIFETIME = 3_600.0  # seconds, as of Google's tokens
PUSH, TASKS, SCHEDULER = (f"{name}@clickwrap-local.iam.gserviceaccount.com" for name in ("push", "tasks", "scheduler"))

App = Callable[..., Iterable[bytes]]


def bearer(audience: str, account: str) -> dict[str, str]:
    """The header of a call. audience: the function's URL, or the value of OIDC_AUDIENCE. account: who calls."""
    unsigned = _unsigned(audience, account)
    return {"Authorization": f"Bearer {unsigned}.{_signature(unsigned)}"}


def passed_on(audience: str, account: str, **claims: object) -> dict[str, str]:
    """The same as a function gets it from Cloud Run. claims: other than usual."""
    return {"Authorization": f"Bearer {_unsigned(audience, account, **claims)}.SIGNATURE_REMOVED_BY_GOOGLE"}


def guarded(app: App, instead: Callable[[], dict[str, str]] | None = None) -> App:
    """Check the signature: 401 for a wrong one. A call without a token gets `instead`, or 403."""

    def wrapped(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        given = environ.get("HTTP_AUTHORIZATION")
        if given is None:
            if instead is None:
                return _rejected(start, "403 Forbidden")
            given = instead()["Authorization"]
        unsigned, _, signature = given.removeprefix("Bearer ").rpartition(".")
        if not hmac.compare_digest(signature.encode("utf-8", "replace"), _signature(unsigned).encode()):
            return _rejected(start, "401 Unauthorized")
        stripped = f"Bearer {unsigned}.SIGNATURE_REMOVED_BY_GOOGLE"
        return app({**environ, "HTTP_AUTHORIZATION": stripped}, start)

    return wrapped


def _unsigned(audience: str, account: str, **claims: object) -> str:
    usual = {"aud": audience, "email": account, "email_verified": True, "exp": time.time() + LIFETIME}
    return ".".join(_base64(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, usual | claims))


def _signature(unsigned: str) -> str:
    return _base64(hmac.digest(KEY, unsigned.encode("utf-8", "replace"), "sha256"))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _rejected(start: Callable[..., Any], status: str) -> list[bytes]:
    start(status, [("Content-Type", "text/plain")])
    return [b"only Pub/Sub, Cloud Tasks and Cloud Scheduler of this local stack may call this\n"]
