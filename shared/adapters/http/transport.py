"""One `requests` session a process, whose connections know whether a request has begun to leave.

That one bit decides between "try again" and "nobody knows", and no exception carries it: a TLS error, say, may come
from the handshake or from reading the answer. Imported with the first call.
"""

import threading
import time
from collections.abc import Mapping
from functools import cache
from socket import socket
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from shared.adapters.http.deadline import Deadline

POOL = 32
IDLE = 20.0  # seconds a connection is kept for the next call


class Exchange(threading.local):
    """The request under way on this thread."""

    left = False
    sock: socket | None = None
    deadline: Deadline | None = None

    def begin(self, sock: socket) -> None:
        """Called before bytes of the request are sent. Raises TimeoutError past the deadline."""
        self.sock = sock
        if self.deadline and not self.left:
            self.deadline.check()
        self.left = True


exchange = Exchange()


class _Watched:
    sock: Any

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        exchange.begin(self.sock)
        super().send(data)  # type: ignore[misc]

    def connect(self) -> None:
        try:
            super().connect()  # type: ignore[misc]
        finally:
            exchange.left = False  # what has left so far was for a proxy


class _Http(_Watched, HTTPConnection):
    pass


class _Https(_Watched, HTTPSConnection):
    pass


class _Fresh:
    """A NAT or a server forgets idle connections, and what is sent into one is lost without an answer."""

    def _put_conn(self, conn: Any) -> None:
        if conn:
            conn.idle_since = time.monotonic()
        super()._put_conn(conn)  # type: ignore[misc]

    def _get_conn(self, timeout: float | None = None) -> Any:
        conn = super()._get_conn(timeout)  # type: ignore[misc]
        if time.monotonic() - getattr(conn, "idle_since", time.monotonic()) > IDLE:
            conn.close()  # the next use opens it anew
        return conn


class _HttpPool(_Fresh, HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(_Fresh, HTTPSConnectionPool):
    ConnectionCls = _Https


class _Adapter(HTTPAdapter):
    """urllib3 may only be told its connection classes through its pools, and those through each manager."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
        return manager


@cache
def session() -> requests.Session:
    """The process's session, made with the first call."""
    made = requests.Session()
    made.mount("http://", _Adapter(pool_maxsize=POOL))
    made.mount("https://", _Adapter(pool_maxsize=POOL))
    made.headers["User-Agent"] = "clickwrap-relay"
    return made


def call(method: str, url: str, timeout: tuple[float, float], request: dict[str, Any]) -> requests.Response:
    """Past the session's own `send`, which looks into redirects even when told not to follow, and keeps cookies."""
    prepared = session().prepare_request(requests.Request(method, url, auth=_as_is, **request))
    target = prepared.url or url
    adapter: Any = session().get_adapter(target)
    response: requests.Response = adapter.send(prepared, timeout=timeout, **_environment(*urlsplit(target)[:2]))
    return response


@cache
def _environment(scheme: str, host: str) -> Mapping[str, Any]:
    """Proxies and authorities as the process was started with: to read them costs a large part of a call."""
    return session().merge_environment_settings(f"{scheme}://{host}", {}, True, None, None)


def _as_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Without an `auth`, requests would take one from a stray .netrc over the headers given."""
    return request
