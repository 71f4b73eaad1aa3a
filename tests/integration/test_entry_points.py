"""The entry points as functions-framework runs them, fed with golden envelopes."""

import base64
import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import functions_framework
import msgspec
import pytest

from shared import bootstrap, trace
from shared.callers import Callers
from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.model import Event
from shared.services.deferral import Arrived

ROOT = Path(__file__).parents[2]
ENVELOPES = ROOT / "tests" / "golden" / "envelopes"
EVENT = msgspec.json.decode((ENVELOPES / "event.json").read_bytes(), type=Event)


class Scripted:
    """Stands where a handler would: keeps what it got, raises what it is told."""

    def __init__(self, fault: Exception | None = None, grave: Exception | None = None) -> None:
        self.fault, self.grave = fault, grave
        self.got, self.parked, self.buried = [], [], []

    def event(self, event: Event) -> None:
        self.got.append(event)
        if self.fault:
            raise self.fault

    def defer(self, message: Arrived, retry: RetryLater) -> bool:
        self.parked.append((message, retry.after))
        return (retry.after or 0) > 60

    def dead_letter(self, data: bytes, reason: str) -> None:
        if self.grave:
            raise self.grave
        self.buried.append((data, reason))


@pytest.fixture
def client_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    def make(name: str, **handlers: Any) -> Any:
        for handler, value in handlers.items():
            monkeypatch.setattr(bootstrap, handler, value)
        monkeypatch.setattr(bootstrap, "callers", lambda _: Callers((), ""))
        return functions_framework.create_app(name, str(ROOT / "functions" / name / "main.py")).test_client()

    return make


def resolve_client(client_of: Any, handler: Scripted) -> Any:
    return client_of("resolve", resolve=lambda: handler, deferral=lambda _: handler)


def push(client: Any) -> Any:
    return client.post("/", data=(ENVELOPES / "push.json").read_bytes(), content_type="application/json")


def test_a_raw_push_envelope_reaches_the_handler_as_an_event(client_of: Any) -> None:
    handler = Scripted()
    assert push(resolve_client(client_of, handler)).status_code == 200
    assert handler.got == [EVENT]


def test_eventarcs_binary_form_reaches_it_alike(client_of: Any) -> None:
    handler, golden = Scripted(), json.loads((ENVELOPES / "eventarc.json").read_text())
    answer = resolve_client(client_of, handler).post("/", json=golden["body"], headers=golden["headers"])
    assert answer.status_code == 200
    assert handler.got == [EVENT]


def test_unknown_keys_of_a_newer_sender_are_ignored() -> None:
    newer = {**json.loads((ENVELOPES / "event.json").read_text()), "v": 2, "brand_new": [1]}
    assert msgspec.json.decode(json.dumps(newer), type=Event).event == "evt-1"


def test_a_short_wait_is_a_nack_and_a_long_one_is_parked(client_of: Any) -> None:
    assert push(resolve_client(client_of, Scripted(RetryLater("soon", after=5)))).status_code == 503
    parked = Scripted(RetryLater("later", after=600))
    assert push(resolve_client(client_of, parked)).status_code == 200
    [(message, after)] = parked.parked
    at = datetime(2026, 1, 1, 12, 0, 0, 123000, tzinfo=UTC)
    assert after == 600
    assert (message.published_at, message.failing_since, message.by_task) == (at, at, False)
    assert message.attributes == {"type": "request_sent"}


def test_a_message_is_as_old_as_our_own_clock_says(client_of: Any) -> None:
    ours, since = datetime(2026, 1, 3, tzinfo=UTC), datetime(2026, 1, 4, tzinfo=UTC)
    envelope, handler = json.loads((ENVELOPES / "push.json").read_text()), Scripted(RetryLater("x", after=600))
    envelope["message"]["attributes"] |= {"published_at": ours.isoformat(), "failing_since": since.isoformat()}
    headers = {"X-CloudTasks-TaskName": "defer-1"}
    assert resolve_client(client_of, handler).post("/", json=envelope, headers=headers).status_code == 200
    [(message, _)] = handler.parked
    assert (message.published_at, message.failing_since, message.by_task) == (ours, since, True)


def test_what_no_repetition_mends_goes_to_the_dead_letters_at_once(client_of: Any) -> None:
    handler = Scripted(PermanentFailure("stale"))
    assert push(resolve_client(client_of, handler)).status_code == 200
    [(data, reason)] = handler.buried
    assert (msgspec.json.decode(data, type=Event), reason) == (EVENT, "stale")


def test_a_message_that_is_no_event_goes_there_too(client_of: Any) -> None:
    push_envelope, handler = json.loads((ENVELOPES / "push.json").read_text()), Scripted()
    push_envelope["message"]["data"] = "bm90IGpzb24="
    assert resolve_client(client_of, handler).post("/", json=push_envelope).status_code == 200
    assert handler.buried[0][0] == b"not json"


def test_what_cannot_be_put_among_the_dead_letters_is_never_acknowledged(client_of: Any) -> None:
    handler = Scripted(PermanentFailure("stale"), grave=RetryLater("Pub/Sub cannot be reached"))
    assert push(resolve_client(client_of, handler)).status_code == 503


def receiving(accept: Any = lambda body: "accepted") -> SimpleNamespace:
    return SimpleNamespace(authenticate=lambda token: None, accept=accept)


def test_receive_turns_away_what_is_not_a_json_post(client_of: Any) -> None:
    client = client_of("receive", receive=receiving)
    assert client.get("/").status_code == 405
    assert client.get("/").headers["Allow"] == "POST"
    assert client.post("/", data="x", content_type="text/plain").status_code == 415
    assert (
        client.post("/", data="{}", content_type="application/json", headers={"Content-Encoding": "gzip"}).status_code
        == 415
    )


def test_receive_turns_away_a_body_over_256_kib(client_of: Any) -> None:
    client = client_of("receive", receive=receiving)
    answer = client.post("/", data=b"x" * (256 * 1024 + 1), content_type="application/json")
    assert answer.status_code == 413
    assert "larger than" in answer.json["error"]
    assert client.post("/", data=b"x" * (256 * 1024), content_type="application/json").status_code == 200


def test_remind_refuses_what_is_no_reminder(client_of: Any) -> None:
    fire = SimpleNamespace(fire=lambda firing: "published")
    client = client_of("remind", remind=lambda: fire)
    assert {client.post("/", data=data).status_code for data in (b"[]", b"{", b'{"request": "\xff"}')} == {400}
    body = {"request": "r", "signer": "s", "reminder_day": 3, "task": "t"}
    assert client.post("/", json=body).json == {"status": "published"}


def test_a_reminder_whose_request_cannot_be_read_comes_again_and_says_why(
    client_of: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fire(firing: object) -> str:
        raise PermanentFailure("a document in requests cannot be read by this version")

    client = client_of("remind", remind=lambda: SimpleNamespace(fire=fire))
    monkeypatch.setattr(logging.getLogger("shared"), "propagate", True)
    answer = client.post("/", json={"request": "r", "signer": "s", "reminder_day": 3, "task": "t"})
    assert answer.status_code == 500  # 503 would slow the reminders of other requests
    assert "cannot be read" in answer.json["error"]
    assert [r.getMessage() for r in caplog.records] == ["a reminder cannot be published"]


@pytest.mark.parametrize("name", ["receipts", "links", "remind", "reconcile"])
def test_a_call_goes_on_with_the_trace_that_it_brings(client_of: Any, name: str) -> None:
    given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    client = client_of(name, **{name: lambda: None})
    trace.follow()
    client.post("/nothing", json={}, headers={"traceparent": given})
    assert trace.current() == given
    trace.follow()


def test_links_answer_get_and_head_with_no_trace_left(client_of: Any) -> None:
    from shared.handlers.links import Followed

    follow = SimpleNamespace(
        follow=lambda code: (
            Followed(302, location="https://sign.example/x") if code == "abc" else Followed(404, reason="unknown")
        )
    )
    client = client_of("links", links=lambda: follow)
    for answer in (client.get("/abc"), client.head("/abc")):
        assert (answer.status_code, answer.headers["Location"]) == (302, "https://sign.example/x")
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
    missing = client.get("/nope")
    assert missing.status_code == 404
    assert b"This link is not known." in missing.data
    assert client.post("/abc").status_code == 405


def test_reconcile_tells_what_it_did(client_of: Any) -> None:
    client = client_of("reconcile", reconcile=lambda: SimpleNamespace(run=lambda: {"rechecked": 1, "postponed": 0}))
    assert client.post("/").json == {"rechecked": 1, "postponed": 0}


@pytest.mark.parametrize(("path", "handled"), [("/", 1), ("/sms", 1), ("/email", 0)])
def test_deliver_takes_only_the_notices_of_the_channel_it_is_pushed(client_of: Any, path: str, handled: int) -> None:
    got: list[Any] = []
    client = client_of("deliver", deliver=lambda: SimpleNamespace(notice=got.append), deferral=lambda _: Scripted())
    push_envelope = json.loads((ENVELOPES / "push.json").read_text())
    push_envelope["message"]["data"] = base64.b64encode((ENVELOPES / "notice.json").read_bytes()).decode()
    assert client.post(path, json=push_envelope).status_code == 200
    assert len(got) == handled


@pytest.mark.parametrize(("tries", "status"), [("99", 500), ("100", 200)])
def test_a_parked_message_that_breaks_us_each_time_ends_among_the_dead_letters(
    client_of: Any, tries: str, status: int
) -> None:
    handler = Scripted(ZeroDivisionError("a fault of ours"))
    client = resolve_client(client_of, handler)
    client.application.config["PROPAGATE_EXCEPTIONS"] = False
    headers = {"X-CloudTasks-TaskRetryCount": tries}
    sent = (ENVELOPES / "push.json").read_bytes()
    assert client.post("/", data=sent, content_type="application/json", headers=headers).status_code == status
    assert len(handler.buried) == (status == 200)
