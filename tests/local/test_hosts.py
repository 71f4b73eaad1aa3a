"""The local stack's own pages answer to this machine's names only."""

import stat
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

from local.stack.gateway import for_this_machine


def page(environ: dict[str, Any], start: Any) -> list[bytes]:
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"a signing link"]


HOSTS = {"127.0.0.1:8080": 200, "localhost": 200, "LOCALHOST:1": 200, "[::1]:8080": 200} | dict.fromkeys(
    ("evil.example", "evil.example:8080", "127.0.0.1.evil.example", "evil@127.0.0.1.x", "[", "0.0.0.0"), 421
)


@pytest.mark.parametrize(("host", "status"), HOSTS.items())
def test_a_page_answers_to_loopback_names_only(host: str, status: int) -> None:
    answer = Client(for_this_machine(page)).get("/", headers={"Host": host})
    assert answer.status_code == status
    assert (b"link" in answer.data) is (status == 200)


def test_what_the_stack_stores_is_its_owners_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import suppress

    from local.stack.gateway import Stack

    class Stopped(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stopped

    for name in ("CLICKWRAP_API_URL", "LINKS_BASE_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setattr("local.stack.gateway.configure", lambda environ, port: None)
    monkeypatch.setattr(Stack, "_serve", stop)
    with suppress(Stopped), Stack(tmp_path / "local", 1):
        pass
    assert stat.S_IMODE((tmp_path / "local").stat().st_mode) == 0o700
