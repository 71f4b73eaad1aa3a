"""The trace of what is being handled: from a webhook through every message that follows from it, to their log lines.

Source: https://www.w3.org/TR/trace-context and https://docs.cloud.google.com/logging/docs/structured-logging
"""

import os
import re
from contextvars import ContextVar

TRACEPARENT = "traceparent"  # the header, and the attribute of a message
FORM = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_current: ContextVar[str] = ContextVar("trace", default="")


def follow(*given: str | None) -> None:
    """Sets this call's trace: the first that is given. One of another form is dropped, since strangers send it too."""
    found = next(filter(None, given), "")
    _current.set(found if FORM.fullmatch(found) else "")


def attributes() -> dict[str, str]:
    """What a message carries of it; empty without a trace."""
    return {TRACEPARENT: _current.get()} if _current.get() else {}


def log_fields() -> dict[str, str]:
    """What a log line carries of it, by which Cloud Logging shows the lines of one trace together."""
    found = FORM.fullmatch(_current.get())
    project = os.environ.get("GOOGLE_CLOUD_PROJECT", "")
    return {"logging.googleapis.com/trace": f"projects/{project}/traces/{found[1]}"} if found else {}
