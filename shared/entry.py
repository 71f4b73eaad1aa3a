"""Between functions-framework and the handlers: decoding what came in, encoding what became of it, and logs."""

import base64
import json
import logging
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import flask
import msgspec
from werkzeug.exceptions import RequestEntityTooLarge

from shared.domain.outcomes import GiveUp, Retry
from shared.settings import SettingError

if TYPE_CHECKING:
    from cloudevents.http import CloudEvent

    from shared.handlers.parking import Parking

T = TypeVar("T", bound=msgspec.Struct)
log = logging.getLogger(__name__)


def subscriber(
    event: "CloudEvent", kind: type[T], handle: Callable[[T], None], parking: "Callable[[], Parking]"
) -> None:
    """Returns (200) once the message is handled or parked; else aborts with 503, and Pub/Sub brings it again.

    Both wire forms are read: the push envelope, and Eventarc's, which also holds the subscription.
    """
    message = event.data["message"]
    data = base64.b64decode(message.get("data") or b"")
    published_at = _when(message.get("publishTime"))
    try:
        handle(msgspec.json.decode(data, type=kind))
    except Retry as e:
        if not _parked(data, published_at, e, parking):
            nack(e.reason)
    except (GiveUp, msgspec.DecodeError) as e:  # ends in the dead-letter topic, where an operator sees it
        nack(str(e))


def _parked(data: bytes, published_at: datetime | None, retry: Retry, parking: "Callable[[], Parking]") -> bool:
    try:
        return parking().park(data, published_at, retry)
    except Retry:
        return False


def _when(text: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def nack(reason: str) -> None:
    log.warning("not handled, to come again", extra={"json": {"reason": reason}})
    flask.abort(503, reason)


def body_of(request: flask.Request, limit: int) -> bytes | None:
    """The raw body; None when it is larger than `limit` bytes, whether it says so or not."""
    request.max_content_length = limit
    try:
        body = request.get_data()
    except RequestEntityTooLarge:
        request.max_content_length = None  # the framework reads the rest before it answers
        return None
    return body if len(body) <= limit else None


def reply(status: int, document: dict[str, Any], **headers: str) -> flask.Response:
    response = flask.Response(json.dumps(document) + "\n", status, mimetype="application/json")
    response.headers.update(headers)
    return response


class JsonLines(logging.Formatter):
    """Cloud Logging's structured form: one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"severity": record.levelname, "message": record.getMessage(), **getattr(record, "json", {})}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def start(make: Callable[[], object]) -> None:
    """At import of an entry point: a wrong setting stops the start, with one line. Makes no client, see wiring."""
    logs_to()
    try:
        make()
    except SettingError as e:
        raise SystemExit(f"cannot start: {e}") from None


def logs_to(stream: Any = sys.stderr) -> None:
    """Our own loggers only: a library's debug output may hold what must not be logged."""
    root = logging.getLogger("shared")
    if not root.handlers:
        handler = logging.StreamHandler(stream)
        handler.setFormatter(JsonLines())
        root.addHandler(handler)
        root.setLevel(os.environ.get("LOG_LEVEL", "INFO").upper())
        root.propagate = False
