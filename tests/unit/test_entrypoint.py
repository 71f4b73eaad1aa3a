"""The log: its lines, as Cloud Logging reads them, and its level."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import flask
import pytest

from shared import entrypoint, trace
from shared.adapters.clickwrap.webhook import HEADER, ClickwrapWebhook
from shared.adapters.gcp import pubsub
from shared.entrypoint import JsonLines, Stderr
from shared.handlers.receive import Receive
from shared.ports import Message
from shared.setting_types import SettingError


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    handler = Stderr()
    handler.setFormatter(JsonLines())
    logger = logging.Logger("shared.test")
    logger.addHandler(handler)
    trace.follow()  # nothing of the tests before
    yield logger
    handler.close()


def test_a_line_is_one_json_object(log: logging.Logger, capfd: pytest.CaptureFixture[str]) -> None:
    log.info("webhook accepted", extra={"json": {"event": "é\n1"}})
    log.warning("%s left", 2)
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert lines == [
        {"severity": "INFO", "message": "webhook accepted", "event": "é\n1"},
        {"severity": "WARNING", "message": "2 left"},
    ]


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(("given", "kept"), [(TRACE, True), ("", False), (f"{TRACE}\n", False), ("00-0-0-0", False)])
def test_a_webhooks_trace_goes_on_to_what_it_causes(
    log: logging.Logger, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, given: str, kept: bool
) -> None:
    sent: list[dict[str, Any]] = []
    client = SimpleNamespace(publish=lambda request, **_: sent.extend(request["messages"]))
    monkeypatch.setattr(pubsub, "_publisher", lambda: client)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    bus = pubsub.PubSubBus("p", lambda: datetime(2026, 1, 1, tzinfo=UTC))

    def handle(_: object) -> str:
        log.info("handled")
        bus.publish("t", [Message(b"{}")])
        return "accepted"

    receive: Any = SimpleNamespace(authenticate=lambda headers: None, accept=handle)
    app = flask.Flask("test")
    posted = {"method": "POST", "json": {}, "environ_overrides": {"HTTP_TRACEPARENT": given}}
    with app.test_request_context("/", **posted):
        entrypoint.webhook(flask.request, 100, receive)
    pushed: Any = SimpleNamespace(data={"message": {"data": "e30=", "attributes": sent[0]["attributes"]}})
    with app.test_request_context("/"):
        entrypoint.subscriber(pushed, dict, handle, lambda: pytest.fail("deferred"))  # type: ignore[type-var]
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    of = {"logging.googleapis.com/trace": "projects/p/traces/4bf92f3577b34da6a3ce929d0e0e4736"} if kept else {}
    assert lines[1].pop("waited") > 0
    assert lines == [{"severity": "INFO", "message": "handled", **of}] * 2
    assert [m["attributes"].get("traceparent") for m in sent] == [TRACE if kept else None] * 2


@pytest.mark.parametrize(
    ("token", "sent", "reason"),
    [
        ("t", {"data": b"{}", "content_type": "application/json"}, "event_type"),
        ("t", {"data": b"x" * 101, "content_type": "application/json"}, "larger than 100 bytes"),
        ("t", {"data": b"<x/>", "content_type": "text/xml"}, "only plain application/json"),
        ("forged", {"data": b"{}", "content_type": "application/json"}, ""),
        ("t", {"method": "PUT"}, ""),
    ],
)
def test_a_webhook_of_a_known_sender_that_cannot_be_read_is_seen_with_its_reason(
    caplog: pytest.LogCaptureFixture, token: str, sent: dict[str, Any], reason: str
) -> None:
    receive: Any = Receive(ClickwrapWebhook(("t",)), None, "t", lambda: datetime.now(UTC))  # type: ignore[arg-type]
    with flask.Flask("test").test_request_context("/", **{"method": "POST", "headers": {HEADER: token}, **sent}):
        assert entrypoint.webhook(flask.request, 100, receive).status_code >= 400
    told = [record.json for record in caplog.records]  # type: ignore[attr-defined]
    assert [line["alert"] for line in told] == ["webhook_unreadable"] * bool(reason)
    assert all(reason in line["reason"] for line in told)


def test_a_line_about_a_message_tells_how_long_it_has_waited(
    log: logging.Logger, capfd: pytest.CaptureFixture[str]
) -> None:
    """Since it was published first: a deferred one keeps that time."""
    published = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    pushed: Any = SimpleNamespace(data={"message": {"data": "e30=", "attributes": {}, "publishTime": published}})
    with flask.Flask("test").test_request_context("/"):
        entrypoint.subscriber(pushed, dict, lambda _: log.info("handled"), None)  # type: ignore[type-var,arg-type]
    trace.follow()
    log.info("another")
    told, after = (json.loads(line) for line in capfd.readouterr().err.splitlines())
    assert 300 <= told["waited"] < 330
    assert "waited" not in after


def test_an_exception_stands_in_its_line(log: logging.Logger, capfd: pytest.CaptureFixture[str]) -> None:
    try:
        raise KeyError("lost")
    except KeyError:
        log.exception("failed")
    assert "KeyError: 'lost'" in json.loads(capfd.readouterr().err)["exception"]


def test_a_line_that_cannot_be_written_fails_nobody(log: logging.Logger, capfd: pytest.CaptureFixture[str]) -> None:
    class Hostile:
        def __str__(self) -> str:
            raise ValueError

    log.info("seen", extra={"json": {"what": Hostile()}})
    log.info("after it")
    assert json.loads(capfd.readouterr().err.splitlines()[-1])["message"] == "after it"


def test_a_log_level_that_is_none_stops_the_start_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "verbose")
    with pytest.raises(SettingError, match="LOG_LEVEL"):
        entrypoint._level()
