"""The tunnel of `make console`: who may use it, and what reaches the console."""

import http.client
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from infra.ops import console as console_command
from infra.ops.shell import Stop
from infra.ops.tunnel import Tunnel
from tests.infra.tools import Tools
from tests.stand_in import Reply, StandIn


@pytest.fixture
def console() -> Iterator[StandIn]:
    with StandIn(Reply(body=b"a page", headers={"Set-Cookie": "console=x", "Content-Type": "text/html"})) as server:
        yield server


@pytest.fixture
def tunnel(console: StandIn) -> Iterator[Tunnel]:
    with Tunnel(0, f"{console.url}/console", lambda: "an-identity") as tunnel:
        threading.Thread(target=tunnel.serve_forever, daemon=True).start()
        yield tunnel
        tunnel.shutdown()


def asked(tunnel: Tunnel, method: str = "GET", body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", tunnel.server_port, timeout=20)
    try:
        connection.request(method, "/requests/r1?q=a", body, {k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_a_page_comes_with_the_operators_identity(tunnel: Tunnel, console: StandIn) -> None:
    assert asked(tunnel) == (200, b"a page")
    assert console.asked[0].path == "/console/requests/r1?q=a"
    assert console.asked[0].headers["authorization"] == "Bearer an-identity"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", ""])
def test_another_host_is_refused(tunnel: Tunnel, console: StandIn, host: str) -> None:
    """A name that is made to mean 127.0.0.1 is still another name."""
    assert asked(tunnel, Host=host.format(port=tunnel.server_port))[0] == 421
    assert console.asked == []


def test_a_form_of_another_site_is_refused_and_ours_comes_as_the_consoles_own(tunnel: Tunnel, console: StandIn) -> None:
    for origin in ("http://evil.example", f"http://evil.example:{tunnel.server_port}", "null", "http://127.0.0.1:1"):
        assert asked(tunnel, "POST", b"why=x", Origin=origin)[0] == 403
    assert console.asked == []
    assert asked(tunnel, "POST", b"why=x", Origin=f"http://127.0.0.1:{tunnel.server_port}")[0] == 200
    assert (console.asked[0].headers["origin"], console.asked[0].body) == (console.url, b"why=x")


def test_a_large_body_is_refused(tunnel: Tunnel, console: StandIn) -> None:
    assert asked(tunnel, "POST", b"", Content_Length="99999999")[0] == 413


def test_a_login_that_has_expired_meanwhile_is_told_in_the_browser(tunnel: Tunnel) -> None:
    def expired() -> str:
        raise Stop("the gcloud login has expired: run `gcloud auth login`")

    tunnel._identity = expired
    status, page = asked(tunnel)
    assert status == 502
    assert b"run `gcloud auth login`" in page


def test_a_console_that_cannot_be_reached_is_told_in_the_browser(tunnel: Tunnel, console: StandIn) -> None:
    tunnel.target = urlsplit("http://127.0.0.1:9")
    status, page = asked(tunnel)
    assert status == 502
    assert b"the console cannot be reached" in page


def test_a_second_console_says_that_there_is_one(here: Tools, tunnel: Tunnel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_command, "PORT", tunnel.server_port)
    with pytest.raises(Stop, match="is a console open already"):
        console_command.console()
