"""Between functions-framework and the handlers: decodes requests and messages, encodes answers, writes logs."""

import gc
import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import flask
import msgspec

from shared import bootstrap, request_body, trace
from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.receipts import ReceiptRequest
from shared.ports import WebhookRejected
from shared.services.deferral import Arrived, arrived
from shared.setting_types import SettingError

if TYPE_CHECKING:
    from cloudevents.http import CloudEvent

    from shared.handlers.receive import Receive
    from shared.services.deferral import Deferral


S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")
R = TypeVar("R")
GC_THRESHOLD = 100_000  # objects: more than until the first answer. The default of 700 costs a seventh of that time
MAX_TASK_RETRIES = 100  # of a deferred message, as many deliveries as Pub/Sub makes of the others
UNREADABLE = {400, 413, 415}  # answers to a webhook whose sender is known: a repetition has no better one
HINTS = {405: {"Allow": "POST"}, 429: {"Retry-After": "10"}}  # header lines of an answer; seconds
log = logging.getLogger(__name__)


def private(function: str) -> Callable[[Callable[[T], R]], Callable[[T], R]]:
    """Decorates an entry point: aborts with 403 unless one of `function`'s own callers calls."""
    callers = partial(bootstrap.callers, function)
    start(callers)

    def decorate(entry: Callable[[T], R]) -> Callable[[T], R]:
        @wraps(entry)
        def guarded(call: T) -> R:
            follow(flask.request)
            if reason := callers().refusal(headers(flask.request), time.time()):
                log.error("a caller is refused", extra={"json": {"alert": "caller_refused", "reason": reason}})
                flask.abort(403, reason)
            return entry(call)

        return guarded

    return decorate


def follow(request: flask.Request) -> None:
    """What is logged and published from now on has the trace that this call brings."""
    trace.follow(request.headers.get(trace.TRACEPARENT))


def subscriber(
    event: "CloudEvent", kind: type[S], handle: Callable[[S], None], deferral: "Callable[[], Deferral]"
) -> None:
    """Handles a message, or defers it. Otherwise aborts with 503, so that Pub/Sub delivers it again.

    Reads both wire forms: the push envelope, and Eventarc's, which also holds the subscription.
    """
    message = arrived(event.data["message"], by_task="X-CloudTasks-TaskName" in flask.request.headers)
    traces = (message.attributes.get(trace.TRACEPARENT), flask.request.headers.get(trace.TRACEPARENT))
    trace.follow(*traces, since=message.published_at)
    try:
        handle(msgspec.json.decode(message.data, type=kind))
    except RetryLater as e:
        if not _deferred(message, e, deferral):
            nack(e.reason)
    except (PermanentFailure, msgspec.DecodeError, UnicodeDecodeError) as e:
        _dead_letter(message.data, str(e), deferral)
    except Exception as e:  # a bug: Pub/Sub limits deliveries, Cloud Tasks would repeat it without end
        if int(flask.request.headers.get("X-CloudTasks-TaskRetryCount", 0)) < MAX_TASK_RETRIES:
            raise
        _dead_letter(message.data, f"unexpected {type(e).__name__}; see the function's log", deferral)


def _dead_letter(data: bytes, reason: str, deferral: "Callable[[], Deferral]") -> None:
    try:
        deferral().dead_letter(data, reason)
    except RetryLater:
        nack(reason)


def _deferred(message: Arrived, retry: RetryLater, deferral: "Callable[[], Deferral]") -> bool:
    try:
        return deferral().defer(message, retry)
    except RetryLater:
        return False


def nack(reason: str) -> None:
    """Aborts with 503, so that the message is delivered again."""
    log.warning("not handled, to come again", extra={"json": {"reason": reason}})
    flask.abort(503, reason)


def webhook(request: flask.Request, limit: int, receive: "Receive") -> flask.Response:
    """Hands a webhook's body to `receive`. limit: bytes."""
    follow(request)
    try:
        return reply(200, {"status": receive.accept(_posted(request, limit, receive))})
    except WebhookRejected as e:
        if e.status in UNREADABLE:
            log.error("a webhook cannot be read", extra={"json": {"alert": "webhook_unreadable", "reason": e.reason}})
        return refuse(e.status, e.reason)


def _posted(request: flask.Request, limit: int, receive: "Receive") -> bytes:
    """The body, read only once the sender is known and the type is right. Raises WebhookRejected."""
    if request.method != "POST":
        raise WebhookRejected(405, "only POST is accepted: set the webhook's HTTP method to POST")
    receive.authenticate(headers(request))
    if request.mimetype != "application/json" or request.content_encoding not in (None, "identity"):
        raise WebhookRejected(415, "only plain application/json is accepted")
    try:
        return request_body.read(request, limit)
    except request_body.BodyRefused as e:
        raise WebhookRejected(e.status, e.reason) from e


def headers(request: flask.Request) -> Mapping[str, str]:
    """Its headers, whose names ignore case."""
    return cast("Mapping[str, str]", request.headers)


def tail(request: flask.Request) -> str:
    """The last part of the path; the part before it depends on the URL by which a function is called."""
    return request.path.rstrip("/").rpartition("/")[2]


def as_sent(request: flask.Request, base: str, body: bytes) -> ReceiptRequest:
    """The request as the provider sent it. base: the public URL, which it may have signed and no request shows."""
    query = f"?{request.query_string.decode(errors='replace')}" if request.query_string else ""
    return ReceiptRequest(f"{base or request.root_url.rstrip('/')}{request.path}{query}", headers(request), body)


def reply(status: int, document: dict[str, Any], **headers: str) -> flask.Response:
    """A JSON answer on one line. An error is sent before the rest of the request is read."""
    response = flask.Response(msgspec.json.encode(document) + b"\n", status, mimetype="application/json")
    response.headers.update(headers)
    return early(response) if status >= 400 else response


def refuse(status: int, reason: str) -> flask.Response:
    """An error, with the header that says what else to do."""
    return reply(status, {"error": reason}, **HINTS.get(status, {}))


def early(response: flask.Response) -> flask.Response:
    """Makes the response a streamed one, which the framework sends before it has read the rest of the request.

    Otherwise it would read that into memory, however slowly it arrives.
    """
    body = response.get_data()
    response.content_length, response.response = len(body), iter([body])
    response.call_on_close(partial(request_body.drop_rest, flask.request.environ))
    return response


class JsonLines(logging.Formatter):
    """Cloud Logging's structured form: one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record and its `json` extra as one line."""
        line = {"severity": record.levelname, "message": record.getMessage(), **getattr(record, "json", {})}
        line |= trace.log_fields()
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def start(make: Callable[[], object]) -> None:
    """Called when an entry point is imported: a wrong setting ends the process with one line. Makes no client.

    functions-framework then reads CLOUD_RUN_TIMEOUT_SECONDS for the heartbeat of gunicorn's worker.
    An instance without requests gets no CPU: after a pause longer than that, gunicorn would kill the worker in the
    moment in which a request arrives. 0 is no time-out: Cloud Run itself ends a request that takes too long.
    """
    os.environ["CLOUD_RUN_TIMEOUT_SECONDS"] = "0"
    gc.set_threshold(GC_THRESHOLD)
    try:
        logs()
        make()
    except SettingError as e:
        raise SystemExit(f"cannot start: {e}") from None


class Stderr(logging.Handler):
    """Writes each line at once, without logging's lock, which cost `receive` a seventh of its throughput."""

    def handle(self, record: logging.LogRecord) -> bool:
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        try:
            os.write(2, f"{self.format(record)}\n".encode(errors="backslashreplace"))
        except Exception:  # a log line that fails must not fail its request
            self.handleError(record)


def _level() -> str:
    level = (os.environ.get("LOG_LEVEL") or "INFO").upper()
    if level not in logging.getLevelNamesMapping():
        raise SettingError(f"LOG_LEVEL '{level}' must be one of DEBUG, INFO, WARNING, ERROR")
    return level


def logs() -> None:
    """Our own loggers only: a library's debug output may hold what must not be logged."""
    root = logging.getLogger("shared")
    if not root.handlers:
        handler = Stderr()
        handler.setFormatter(JsonLines())
        root.addHandler(handler)
        root.setLevel(_level())
        root.propagate = False
