"""The console as functions-framework runs it, on the embedded ledger, with its settings alone."""

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import functions_framework
import pytest
from msgspec.structs import replace

from infra.ops.why import main as why
from local.emulation.embedded import Embedded
from local.emulation.http_push import Pace
from local.emulation.topology import Subscription
from local.sandbox.outbox import Outbox
from local.stack.backends import LocalBackend
from shared.domain.model import ChannelName, Request, Signer, SignerState
from shared.domain.search import words_of
from shared.ports import Message

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)
ERIC = Signer(
    number=1,
    name="Eric Smith",
    mobile="+13175550101",
    channels=(ChannelName.SMS,),
    request_url="https://sign.example/1",
    state=SignerState.INVITED,
    invited_at=NOW,
)
LEASE = Request(id="r1", title="Lease", signers={"k": ERIC}, changed_at=NOW)
LEASE = replace(LEASE, search=words_of(LEASE))


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compose: Any) -> Iterator[Embedded]:
    """What `make run` would have left."""
    environ = {"BACKEND": "embedded", "REMIND_URL": "http://127.0.0.1:1/remind", "LOCAL_DIR": str(tmp_path)} | {
        "ADDRESS_SECRET": "s"
    }
    monkeypatch.setattr(os, "environ", {**os.environ, **environ})  # a command adds its defaults to it
    embedded = Embedded(tmp_path / "relay.db", lambda: NOW, Pace(1, 1))
    resolve = Subscription(name="resolve", topic="clickwrap-events", endpoint="", dead_letter_topic="dead")
    embedded.bus.subscribe(resolve)
    ports = embedded.bus, embedded.ledger, embedded.scheduler, embedded.dead_letters
    local = LocalBackend(*ports, Outbox(tmp_path / "outbox.db"), embedded.scheduler.next_due, flows=embedded.bus)
    compose(environ, _local=local, _time=lambda: NOW)
    embedded.ledger.put("r1", LEASE, None)
    yield embedded
    embedded.stop()


@pytest.fixture
def client(state: Embedded) -> Any:
    return functions_framework.create_app("console", str(ROOT / "functions" / "console" / "main.py")).test_client()


def test_the_pages_and_the_stylesheet_come_through_the_framework(client: Any) -> None:
    assert "Lease" in client.get("/requests").text
    assert client.get("/style.css").content_type.startswith("text/css")
    for path in (
        "/",
        "/requests/r1",
        "/messages",
        "/days",
        "/words",
        "/live.js",
        "/suppressions",
        "/dead-letters",
        "/health",
    ):
        assert client.get(path).status_code == 200


def test_the_first_page_tells_of_a_burst_that_waits_in_pub_sub(client: Any, state: Embedded) -> None:
    assert "wait to be handled" not in client.get("/").text
    state.bus.publish("clickwrap-events", [Message(b"{}")] * 120)
    assert "120 events wait to be handled." in client.get("/").text


def test_links_follow_where_the_function_is_mounted(client: Any) -> None:
    page = client.get("/requests", base_url="http://127.0.0.1/console").text
    assert 'href="/console/requests/r1"' in page
    assert 'href="/console/style.css"' in page


def test_a_form_comes_through_the_framework_with_its_cookie(client: Any, state: Embedded) -> None:
    token = re.search(r'name="token" value="([\w-]+)"', client.get("/").text)
    assert token
    answer = client.post("/search", data={"token": token[1], "q": "Smith"})
    assert "/requests/r1" in client.get(answer.location).text
    assert client.post("/requests/r1/stop", data={"token": token[1], "why": "asked for it"}).status_code == 303
    stored = state.ledger.get(Request, "r1")
    assert stored is not None
    assert stored.item.reminders_stopped


def test_why_prints_the_time_line_with_personal_data_masked(state: Embedded, capsys: Any) -> None:
    assert why("r1") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("1. E. S.: Not reached: no message was sent in time.\n     do: Send it once more")
    assert "Lease (r1): open" in printed
    assert "1. E. S.: Invitation planned" in printed
    assert "Reminder of day 3" in printed
    assert "Eric" not in printed


@pytest.mark.parametrize("typed", ["r1", "Eric", "smi", "0101", "lease"])
def test_why_takes_what_the_console_takes(state: Embedded, capsys: Any, typed: str) -> None:
    assert why(typed) == 0
    assert "Lease (r1)" in capsys.readouterr().out


def test_why_lists_the_requests_of_which_one_is_to_be_chosen(state: Embedded, capsys: Any) -> None:
    state.ledger.put("r2", replace(LEASE, id="r2"), None)
    assert why("Eric") == 1
    assert "2 requests fit, choose one: r2, r1" in capsys.readouterr().err


@pytest.mark.parametrize(("request_id", "said"), [("", "set REQUEST"), ("nope", "no request 'nope'")])
def test_why_says_what_it_misses(state: Embedded, capsys: Any, request_id: str, said: str) -> None:
    assert why(request_id) == 1
    assert said in capsys.readouterr().err


def test_why_without_any_state_says_where_it_looked(state: Embedded, capsys: Any) -> None:
    os.environ["LOCAL_DIR"] = "/nonexistent"
    assert why("r1") == 1
    assert "/nonexistent" in capsys.readouterr().err
