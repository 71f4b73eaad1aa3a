"""What is being handled: its trace, from a webhook through every message that follows, and since when it waits.

A notice's record keeps its trace, so that a later try and its receipts have the same.

Source: https://www.w3.org/TR/trace-context and https://docs.cloud.google.com/logging/docs/structured-logging
"""

import os
import re
from contextvars import ContextVar
from datetime import UTC, datetime

TRACEPARENT = "traceparent"  # the header, and the attribute of a message
FORM = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_current: ContextVar[str] = ContextVar("trace", default="")
_since: ContextVar[datetime | None] = ContextVar("since", default=None)


def follow(*given: str | None, since: datetime | None = None) -> None:
    """Sets this call's trace: the first that is given. One of another form is dropped, since strangers send it too.

    since: when the message was published first, if this is about one.
    """
    found = next(filter(None, given), "")
    _current.set(found if FORM.fullmatch(found) else "")
    _since.set(since)


def current() -> str:
    """This call's trace, to be stored; "" for none."""
    return _current.get()


def resume(stored: str) -> None:
    """Goes on with a trace that was stored, if there is one."""
    _current.set(stored or _current.get())


def attributes() -> dict[str, str]:
    """What a message and a call of an API carry of it; empty without a trace."""
    return {TRACEPARENT: _current.get()} if _current.get() else {}


def log_fields() -> dict[str, object]:
    """What a log line carries of it: the trace, by which Cloud Logging groups lines, and the seconds it has waited."""
    found, since = FORM.fullmatch(_current.get()), _since.get()
    project = os.environ.get("GOOGLE_CLOUD_PROJECT", "")
    return {
        **({"waited": round((datetime.now(UTC) - since).total_seconds(), 3)} if since else {}),
        **({"logging.googleapis.com/trace": f"projects/{project}/traces/{found[1]}"} if found else {}),
    }
