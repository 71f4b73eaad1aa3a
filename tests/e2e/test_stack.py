"""End to end on both backends: webhooks in, messages out, across a kill -9."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.emulation.google_emulators import free_port
from tests.e2e.stack import ERIC, ERICS, JANE, JANES, Running, until

BACKENDS = ["embedded", pytest.param("emulators", marks=pytest.mark.emulators)]


EMBEDDED = pytest.mark.parametrize("running", ["embedded"], indirect=True)


@pytest.fixture(scope="module", params=BACKENDS)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("stack"), request.param)
    yield running
    running.stop()


@pytest.fixture
def stack(running: Running) -> Running:
    """The module's, with an empty outbox: earlier tests have waited for all of their messages."""
    running.call("POST", "/outbox/clear", {})
    return running


def test_invitation_progress_and_completion_in_the_promised_words(stack: Running) -> None:
    stack.send(ERIC, JANE)
    until(lambda: stack.messages(ERICS) and stack.messages(JANES), "both are invited")
    link = stack.link(ERICS)
    invitation = f'You\'ve been sent "Employment Agreement" by Ironclad Clickwrap. Please review & sign: {link}'
    assert stack.texts(ERICS) == [f"{invitation}\nReply STOP to end"]
    stack.sign(ERICS)
    progress = 'Eric Smith has signed "Employment Agreement". One more signature is needed to complete the document.'
    until(lambda: len(stack.messages(JANES)) == 2, "Jane hears of it")
    assert progress in stack.texts(JANES)[1]
    assert stack.call("GET", link)[0] == 410
    stack.sign(JANES)
    until(lambda: len(stack.messages()) == 5, "everyone hears of the completion")
    assert stack.texts(ERICS)[1].startswith(
        'Ironclad Clickwrap: "Employment Agreement" has been accepted by all parties. Download'
    )
    assert stack.call("GET", link)[0] == 200


@EMBEDDED
def test_a_single_signer_gets_no_progress_notice(stack: Running) -> None:
    stack.send(ERIC)
    until(lambda: stack.messages(ERICS), "Eric is invited")
    stack.sign(ERICS)
    until(lambda: len(stack.messages(ERICS)) == 2, "Eric gets the completion")
    assert "accepted by all parties" in stack.texts(ERICS)[1]


@EMBEDDED
def test_a_forged_webhook_is_turned_away(stack: Running) -> None:
    body = {"event_type": "request_sent", "id": "e", "request": "abc"}
    status, reason = stack.call("POST", "/receive", body, Pactsafe_Webhook_Token="wrong")
    assert status == 401
    assert "Pactsafe-Webhook-Token" in json.loads(reason)["error"]
    test = {"event_type": "test_event", "id": "e"}
    assert stack.call("POST", "/receive", test, Pactsafe_Webhook_Token="local-token")[0] == 200


def test_a_webhook_doubled_sends_nothing_twice(stack: Running) -> None:
    request = stack.send(ERIC, JANE)
    until(lambda: len(stack.messages()) == 2, "both are invited")
    body = {"event_type": "request_sent", "id": "again", "request": request}
    for _ in range(3):
        assert stack.call("POST", "/receive", body, Pactsafe_Webhook_Token="local-token")[0] == 200
    stack.sign(ERICS)
    until(lambda: len(stack.messages()) == 3, "Jane hears of Eric's signature")
    assert Counter(m["notice"] for m in stack.messages()).most_common(1)[0][1] == 1


def test_signing_order_invites_the_next_after_the_one_before(stack: Running) -> None:
    stack.send({**ERIC, "order": 1}, {**JANE, "order": 2}, ordered=True)
    until(lambda: stack.messages(ERICS), "Eric is invited")
    assert not stack.messages(JANES)
    stack.sign(ERICS)
    until(lambda: stack.messages(JANES), "Jane is invited")
    assert "been sent" in stack.texts(JANES)[0]


def test_a_kill_in_the_middle_loses_and_doubles_nothing(tmp_path: Path) -> None:
    stack = Running(tmp_path, "embedded")
    try:
        stack.send(ERIC, JANE)
        stack.kill()
        stack.start()
        until(lambda: len(stack.messages()) >= 2, "both are invited after all", 120)
        stack.sign(ERICS)
        until(lambda: len(stack.messages(JANES)) == 2, "Jane hears of it")
        assert Counter(m["notice"] for m in stack.messages()).most_common(1)[0][1] == 1
    finally:
        stack.stop()


def test_e_mail_leaves_through_a_real_smtp_server(tmp_path: Path) -> None:
    from aiosmtpd.controller import Controller

    class Keep:
        def __init__(self) -> None:
            self.got: list[Any] = []

        async def handle_DATA(self, server: Any, session: Any, push_envelope: Any) -> str:
            self.got.append(push_envelope)
            return "250 OK"

    keep = Keep()
    port = free_port()
    smtp = Controller(keep, hostname="127.0.0.1", port=port)
    smtp.start()
    stack = Running(
        tmp_path, "embedded", EMAIL_PROVIDER="smtp", SMTP_URL=f"smtp://127.0.0.1:{port}", EMAIL_FROM="relay@example.com"
    )
    try:
        stack.send(JANE)
        until(lambda: keep.got, "the mail is there")
        assert keep.got[0].rcpt_tos == [JANES]
        assert b"Employment Agreement" in keep.got[0].content
    finally:
        stack.stop()
        smtp.stop()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("CLICKWRAP_WEBHOOK_TOKENS", ""),
        ("SMS_PROVIDER", "pigeon"),
        ("REMINDER_DAYS", "7,3"),
        ("SEND_WINDOW", "21:00-08:00"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_line(tmp_path: Path, setting: str, value: str) -> None:
    with pytest.raises(AssertionError, match=setting):
        Running(tmp_path, "embedded", **{setting: value})
    log = (tmp_path / "stack.log").read_text()
    assert log.startswith("cannot start: ")
    assert log.count("\n") == 1
