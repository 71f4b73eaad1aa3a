"""Reads the body of a public call: no more than its limit, within a deadline, and few slow ones at a time.

gunicorn gives each call a thread until its body is read or given up, so senders who are slow could hold all of them
(docs/adr/0012-slow-senders.md).
"""

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import flask
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge
from werkzeug.wsgi import get_content_length

SLOW_DEADLINE = 5.0  # seconds for a body that has one of the places
DEADLINE = 0.1  # seconds for any other, and for the rest of a body that is refused
PLACES = max(1, int(os.environ.get("THREADS") or 4) // 4)  # bodies that may be slow or large at a time
LARGE = 64 * 1024  # bytes; a larger body needs a place, so that the memory of all calls together is bounded
CHUNK, DRAINED = 16 * 1024, 1024 * 1024  # bytes

_places = threading.BoundedSemaphore(PLACES)


class BodyRefused(Exception):
    """413, 408 or 429, with a one-line reason. Never 5xx: nobody has proved yet who they are."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


def read(request: flask.Request, limit: int) -> bytes:
    """The raw body, with or without a Content-Length. limit: bytes.

    Raises:
        BodyRefused: 413, larger than `limit`; 408, not there in time; 429, large, and too many such are being read.
    """
    with _place() as has_place:
        allowed = limit if has_place else min(limit, LARGE)
        body = _read(request, allowed, SLOW_DEADLINE if has_place else DEADLINE)
    if body is not None:
        return body
    if allowed == limit or (request.content_length or 0) > limit:
        raise BodyRefused(413, f"the body is larger than {limit} bytes")
    raise BodyRefused(429, "too many large bodies at once; send it again")


@contextmanager
def _place() -> Iterator[bool]:
    """Whether one of the places was free; it is held meanwhile."""
    got = _places.acquire(blocking=False)
    try:
        yield got
    finally:
        if got:
            _places.release()


def _read(request: flask.Request, limit: int, deadline: float) -> bytes | None:
    """None for a larger body."""
    request.max_content_length = limit + 1  # a body without a length is cut there without an error
    with WATCH.over(request.environ, deadline) as watched:
        try:
            body = request.get_data()
        except RequestEntityTooLarge:
            return None
        except BadRequest:  # the sender is gone
            body = b""
    if watched.cut and len(body) != request.content_length:
        raise BodyRefused(408, f"the body was not there within {deadline:g} seconds")
    return body if len(body) <= limit else None


def drop_rest(environ: dict[str, Any]) -> None:
    """After an answer: what is still to come of the body is read for a moment, then refused.

    Otherwise gunicorn waits for it, 5 seconds in the call's thread and 2 more in the one that accepts connections.
    """
    length, chunked = get_content_length(environ) or 0, "HTTP_TRANSFER_ENCODING" in environ
    if "gunicorn.socket" in environ and (length or chunked):
        with WATCH.over(environ, DEADLINE), suppress(OSError, ValueError):
            if length <= LARGE and not chunked:
                environ["wsgi.input"].read(LARGE)  # all of it: the connection serves the next call
            else:
                environ["wsgi.input"].failed = True  # so gunicorn reads no further MiB, and ends the connection
                _drain(environ["gunicorn.socket"])


def _drain(connection: socket.socket) -> None:
    """The answer would be lost if the connection ended with much of the call unread."""
    for _ in range(DRAINED // CHUNK):
        if not connection.recv(CHUNK):
            break
    # The end is a reset: a sender who waits for room in our buffer would not notice another one.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.shutdown(socket.SHUT_RD)


class Watched:
    """A connection that may send until `end`, in seconds of the monotonic clock. cut: it had not ended by then."""

    def __init__(self, connection: socket.socket, end: float) -> None:
        self.connection, self.end, self.cut = connection, end, False


class Watch:
    """One thread that stops reading from connections past their deadline, however they trickle.

    A time-out of the socket would begin anew with each byte.
    """

    def __init__(self) -> None:
        self._watched: set[Watched] = set()
        self._some, self._lock = threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def over(self, environ: Mapping[str, Any], deadline: float) -> Iterator[Watched]:
        """deadline: seconds from now. Only gunicorn shows its connections; other servers are for one machine."""
        connection: Any = environ.get("gunicorn.socket")
        watched = Watched(connection, time.monotonic() + deadline)
        if connection is not None:
            self._add(watched)
        try:
            yield watched
        finally:
            with self._lock:
                self._watched.discard(watched)

    def _add(self, watched: Watched) -> None:
        with self._lock:
            self._watched.add(watched)
            if self._thread is None:  # not at import: gunicorn forks after that
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()
        self._some.set()

    def _run(self) -> None:
        while True:
            self._some.wait()
            time.sleep(DEADLINE / 4)
            with self._lock:
                for watched in [w for w in self._watched if w.end <= time.monotonic()]:
                    self._watched.discard(watched)
                    watched.cut = True
                    with suppress(OSError):
                        watched.connection.shutdown(socket.SHUT_RD)
                if not self._watched:
                    self._some.clear()


WATCH = Watch()
