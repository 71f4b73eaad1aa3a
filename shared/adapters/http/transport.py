"""One `requests` session a process, whose connections know whether a request has begun to leave.

This decides between RetryLater and OutcomeUnknown, and no exception tells it: a TLS error may come from the handshake
or from reading the answer. The module is imported with the first call.
"""

import threading
import time
from collections.abc import Mapping
from functools import cache
from ipaddress import ip_address
from socket import socket
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from shared.adapters.http.deadline import Deadline

POOL = 32
HEADERS = {**requests.utils.default_headers(), "User-Agent": "clickwrap-relay"}
IDLE = 20.0  # seconds a connection is kept for the next call


class PrivateAddress(Exception):
    """The host's name led to an address that is not public."""


class Exchange(threading.local):
    """State of this thread's request. left: whether bytes of it have been sent."""

    left = False
    sock: socket | None = None
    deadline: Deadline | None = None
    public_only = False

    def begin(self, sock: socket) -> None:
        """Called before bytes of the request are sent. Raises TimeoutError past the deadline, PrivateAddress."""
        self.sock = sock
        if self.public_only and not ip_address(sock.getpeername()[0]).is_global:
            raise PrivateAddress
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
            exchange.left = False  # bytes sent until now were for a proxy


class _Http(_Watched, HTTPConnection):
    pass


class _Https(_Watched, HTTPSConnection):
    pass


class _Fresh:
    """Reopens a connection that was idle for IDLE: a NAT or a server may have dropped it, and no answer would come."""

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
    """Sets the pool classes of each pool manager, the only way to choose urllib3's connection classes."""

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
    return made


def call(method: str, url: str, timeout: tuple[float, float], request: dict[str, Any]) -> requests.Response:
    """Sends by the adapter. `Session.send` would read redirects even when told not to follow them, and keep cookies.

    The session does not prepare it either: it would look for credentials in a .netrc file, at twice the cost.
    """
    prepared = requests.Request(method, url, **{**request, "headers": {**HEADERS, **request["headers"]}}).prepare()
    target = prepared.url or url
    adapter: Any = session().get_adapter(target)
    response: requests.Response = adapter.send(prepared, timeout=timeout, **_environment(*urlsplit(target)[:2]))
    return response


@cache
def _environment(scheme: str, host: str) -> Mapping[str, Any]:
    """Proxies and CA bundle from the process's environment, cached: reading them is a large part of a call's cost."""
    return session().merge_environment_settings(f"{scheme}://{host}", {}, True, None, None)
