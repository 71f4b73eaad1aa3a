"""What all calls to Google share: a client made once and on first use, a deadline, errors translated to our own."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from shared.domain.errors import PermanentFailure, RetryLater

if TYPE_CHECKING:
    from google.api_core.retry import Retry as CallRetry
    from requests import Session

T = TypeVar("T")

DEADLINE = 10.0  # seconds for one call and its repetitions: a function has 60 for all it does
# A call on a connection that the network has forgotten would hang for its whole deadline. gRPC also sets the socket's
# TCP_USER_TIMEOUT to the keepalive timeout, so unacknowledged bytes end such a connection after 3 s, and the call is
# repeated on a new one. Pings without a call stay off: a server may answer them with GOAWAY (too_many_pings), and an
# instance has no CPU between requests to send them. Source: https://grpc.io/docs/guides/keepalive/; measured by
# tests/integration/test_forgotten_connection.py (3.4 s; without these options four calls of 10 s each failed).
KEEPALIVE = {"grpc.keepalive_time_ms": 30_000, "grpc.keepalive_timeout_ms": 3_000}


class Lazy(Generic[T]):
    """Makes its value at the first call, once, however many threads call."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make, self._lock = make, Lock()
        self._made: list[T] = []

    def __call__(self) -> T:
        with self._lock:
            if not self._made:
                self._made.append(self._make())
            return self._made[0]


def authorized(scope: str) -> "Session":
    """What sends calls of a REST API as the account that the process runs as."""
    import google.auth
    from google.auth.transport.requests import AuthorizedSession

    credentials, _ = google.auth.default(scopes=[scope])
    return AuthorizedSession(credentials)  # type: ignore[no-untyped-call]


def connected(client: Callable[..., T], transport: Any, variable: str) -> T:
    """One of Google's generated clients, on its gRPC transport with KEEPALIVE.

    Args:
        client: the client's class.
        transport: its gRPC transport's class.
        variable: name of the environment variable that may hold an emulator's host and port.
    """
    emulator = os.environ.get(variable)
    if not emulator:
        return client(transport=kept_alive(transport))
    import grpc

    return client(transport=transport(channel=grpc.insecure_channel(emulator)))


def kept_alive(transport: Any) -> Any:
    """A subclass of a generated gRPC transport whose channels have the options of KEEPALIVE."""

    def create_channel(cls: Any, /, host: str, *, options: Iterable[tuple[str, Any]] = (), **given: Any) -> Any:
        merged = {**dict(options), **KEEPALIVE}
        return transport.create_channel(host, options=list(merged.items()), **given)

    return type(transport.__name__, (transport,), {"create_channel": classmethod(create_channel)})


def limits(on_repeat: Callable[[Exception], None] | None = None) -> dict[str, Any]:
    """How a call of Google's client is bounded: `retry` and `timeout`, its keyword arguments.

    on_repeat: told of each failure after which the client calls again.
    """
    return {"retry": _retry(on_repeat), "timeout": DEADLINE}


def _retry(on_repeat: Callable[[Exception], None] | None) -> "CallRetry":
    """Repeats after errors that may pass. Every write may be repeated, because of its name or version.

    A quota that is used up (ResourceExhausted) is not repeated: the caller decides how long to wait.
    """
    from google.api_core import exceptions
    from google.api_core.retry import Retry as CallRetry
    from google.api_core.retry import if_exception_type

    passing = if_exception_type(
        exceptions.Aborted,
        exceptions.DeadlineExceeded,
        exceptions.InternalServerError,
        exceptions.ServiceUnavailable,
        exceptions.Unknown,
    )
    pace = {"initial": 0.1, "maximum": 2.0, "multiplier": 2.0, "timeout": DEADLINE}
    return CallRetry(predicate=passing, on_error=on_repeat, **pace)


@contextmanager
def reaching(what: str) -> Iterator[None]:
    """Translates the exceptions of Google's clients: PermanentFailure for InvalidArgument, RetryLater for all others.

    Google's own text may hold a link's code, so it is kept in the cause only.
    """
    from google.api_core.exceptions import GoogleAPIError, InvalidArgument
    from google.auth.exceptions import GoogleAuthError

    try:
        yield
    except InvalidArgument as fault:
        raise PermanentFailure(f"{what} refuses it: InvalidArgument (is the document over its limit?)") from fault
    except (GoogleAPIError, GoogleAuthError, TimeoutError) as fault:
        raise RetryLater(f"{what}: {type(fault).__name__}") from fault
