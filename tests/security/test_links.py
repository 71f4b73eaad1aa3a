"""The public page of short links: it leads where the state says, and nowhere a visitor can name."""

import io
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import functions_framework
import pytest
from msgspec.structs import replace

from shared import bootstrap
from shared.adapters.shorteners.links import OwnLinks
from shared.domain.model import Link, Request, Signer, SignerState, Status
from shared.domain.policy import Policy
from shared.handlers.links import Links
from shared.ports import Target
from tests.fakes import START, FakeLedger

ROOT = Path(__file__).parents[2]
CODE = "abcdefghijklmnopqrstuv"
HOME = "https://sign.test/a?token=t"
REQUEST = Request(
    id="r1",
    signers={"a": Signer(number=1, request_url=HOME, state=SignerState.INVITED)},
    download_url="https://doc.test",
)


class Endless(io.RawIOBase):
    """A body that nobody may wait for."""

    def readinto(self, buffer: Any) -> int:
        raise AssertionError("the body is read")


@pytest.fixture
def ledger() -> FakeLedger:
    ledger = FakeLedger()
    ledger.put("r1", REQUEST, None)
    ledger.put(CODE, Link(request_id="r1", signer="a", round=1), None)
    return ledger


@pytest.fixture
def client(ledger: FakeLedger, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(bootstrap, "links", lambda: Links(ledger, Policy(), lambda: START))
    return functions_framework.create_app("links", str(ROOT / "functions/links/main.py")).test_client()


def test_a_known_code_leads_where_the_state_says(client: Any) -> None:
    answer = client.get(f"/{CODE}")
    assert (answer.status_code, answer.headers["Location"]) == (302, HOME)


@pytest.mark.parametrize(
    "path",
    [
        "//evil.test",
        "///evil.test/%2f..",
        "/https://evil.test",
        "/\\evil.test",
        "/evil.test",
        "/..%2f..%2fetc%2fpasswd",
        "/%0d%0aLocation:%20https://evil.test",
        f"/{CODE}%0d%0aX: y",
        f"/{CODE}%00",
        f"/{CODE}/x",
        f"/{CODE.upper()}",
        f"/{CODE[:-1]}",
        "/" + "a" * 15,
        "/" + "a" * 5000,
        "/",
    ],
)
def test_no_path_leads_anywhere_else(client: Any, path: str) -> None:
    """Werkzeug tidies double slashes by a redirect, which stays on our own host."""
    answer = client.get("/", environ_overrides={"PATH_INFO": unquote(path), "RAW_URI": path})
    leads = urlsplit(urljoin("http://relay.test/", answer.headers.get("Location", "")))
    assert (answer.status_code, leads.hostname) in ((404, "relay.test"), (308, "relay.test"), (308, "localhost"))


@pytest.mark.parametrize("query", ["?next=https://evil.test", "?url=//evil.test", "?request_url=https://evil.test"])
def test_no_parameter_or_header_changes_where_it_leads(client: Any, query: str) -> None:
    forged = {
        "Host": "evil.test",
        "X-Forwarded-Host": "evil.test",
        "Referer": "https://evil.test",
        "Forwarded": "host=evil.test",
    }
    assert client.get(f"/{CODE}{query}", headers=forged).headers["Location"] == HOME


@pytest.mark.parametrize("status", [Status.EXPIRED, Status.GONE])
def test_a_link_that_leaked_is_dead_once_the_request_is_over(client: Any, ledger: FakeLedger, status: Status) -> None:
    ledger.documents[Request, "r1"] = (replace(REQUEST, status=status), 99)
    answer = client.get(f"/{CODE}")
    assert (answer.status_code, answer.headers.get("Location")) == (410, None)


def test_a_visitor_who_sends_a_body_is_answered_before_it_is_read(client: Any) -> None:
    for method, path, status in (("GET", CODE, 302), ("GET", "unknown", 404), ("POST", CODE, 405)):
        endless = {"wsgi.input": Endless(), "CONTENT_LENGTH": "30000000"}
        answer = client.open(f"/{path}", method=method, environ_overrides=endless)
        assert answer.status_code == status


def test_a_fault_of_ours_is_no_500_and_logs_no_code(
    client: Any, ledger: FakeLedger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ledger, "get", None)
    answer = client.get(f"/{CODE}")
    assert (answer.status_code, CODE in answer.text) == (503, False)
    assert "a link could not be followed" in caplog.text
    assert CODE not in caplog.text


def test_codes_are_not_guessed_from_ids_nor_from_one_another() -> None:
    def code(request: str, signer: str, secret: str = "s", round: int = 1) -> str:
        links = OwnLinks("https://l.test", secret, FakeLedger(), START - START, lambda: START)
        return links.code(Target(request=request, signer=signer, round=round, url=HOME))

    codes = [
        code("r1", "a"),
        code("r1", "b"),
        code("r1a", ""),
        code("r", "1a"),
        code("r1", "a", "t"),
        code("r1", "a", round=2),
    ]
    assert len(set(codes)) == len(codes)
    assert {len(c) for c in codes} == {16}
