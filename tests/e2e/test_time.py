"""Time moved forward on both backends: whatever is due by then comes, as if somebody had waited."""

import json
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.e2e.stack import ERIC, ERICS, JANE, JANES, Running, until

BACKENDS = ["embedded", pytest.param("emulators", marks=pytest.mark.emulators)]
EMBEDDED = pytest.mark.parametrize("running", ["embedded"], indirect=True)  # of the queues nothing new is asked


@pytest.fixture(scope="module", params=BACKENDS)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("stack"), request.param, SEND_WINDOW="off")
    yield running
    running.stop()


@pytest.fixture
def stack(running: Running) -> Running:
    """The module's, with an empty outbox: each test leaves nobody who is still to be written to."""
    running.call("POST", "/outbox/clear", {})
    return running


def move(stack: Running, **by: int) -> dict[str, Any]:
    status, body = stack.call("POST", "/sandbox/time", by)
    assert status == 200, body
    return dict(json.loads(body))


def test_reminders_come_on_day_3_and_7_and_none_after_the_signature(stack: Running) -> None:
    stack.send(ERIC, JANE)
    until(lambda: len(stack.messages()) == 2, "both are invited")
    move(stack, days=3)
    until(lambda: len(stack.messages()) == 4, "both are reminded")
    first, second = stack.messages(ERICS)
    waited = datetime.fromisoformat(second["at"]) - datetime.fromisoformat(first["at"])
    assert timedelta(days=3) <= waited < timedelta(days=3, minutes=1)
    stack.sign(ERICS)
    until(lambda: len(stack.messages(JANES)) == 3, "Jane hears of the signature")
    reached = move(stack)  # to the next reminder
    assert round(reached["days_ahead"]) == 7
    until(lambda: len(stack.messages(JANES)) == 4, "Jane is reminded")
    stack.sign(JANES)
    until(lambda: len(stack.messages()) == 8, "both hear of the completion")
    until(lambda: move(stack, days=1)["next"] is None, "no reminder is left")
    assert len(stack.messages()) == 8


def test_a_day_gone_by_makes_nothing_late_that_was_on_its_way(stack: Running) -> None:
    """A progress message is worth sending for a day."""
    stack.send(ERIC, JANE)
    until(lambda: len(stack.messages()) == 2, "both are invited")
    stack.sign(ERICS)
    move(stack, days=2)
    until(lambda: len(stack.messages(JANES)) == 2, "Jane hears of the signature")
    stack.sign(JANES)
    until(lambda: len(stack.messages()) == 5, "both hear of the completion")


@EMBEDDED
def test_an_expiry_comes_true(stack: Running) -> None:
    now = datetime.fromisoformat(json.loads(stack.call("GET", "/sandbox/time")[1])["now"])
    request = stack.send(ERIC, expires_at=(now + timedelta(days=2)).isoformat())
    until(lambda: stack.messages(ERICS), "Eric is invited")
    link = stack.link(ERICS)
    move(stack, days=3)
    until(lambda: stack.call("GET", link)[0] == 410, "the link is dead")
    page = stack.call("GET", f"/sandbox/requests/{request}", Accept="application/json")[1]
    assert json.loads(page)["status"] == "expired"


def test_a_kill_does_not_turn_time_back(tmp_path: Path) -> None:
    stack = Running(tmp_path, "embedded")
    try:
        moved = move(stack, days=3)
        stack.kill()
        stack.start()
        found = json.loads(stack.call("GET", "/sandbox/time")[1])
        assert datetime.fromisoformat(found["now"]) > datetime.fromisoformat(moved["now"])
    finally:
        stack.stop()


def test_after_stop_the_reminder_is_not_sent_and_says_why_and_after_start_the_next_is(tmp_path: Path) -> None:
    stack = Running(tmp_path, "embedded", SEND_WINDOW="off")  # of its own: no other request has the next reminder
    try:
        request = stack.send(ERIC, JANE)
        until(lambda: len(stack.messages()) == 2, "both are invited")
        text_back(stack, "Stop.")
        move(stack, days=3)
        until(lambda: len(stack.messages(JANES)) == 2, "Jane is reminded")
        until(lambda: "the signer texted STOP" in page(stack, request), "the console says why Eric is not")
        assert len(stack.messages(ERICS)) == 1
        text_back(stack, "START")
        move(stack)
        until(lambda: (len(stack.messages(ERICS)), len(stack.messages(JANES))) == (2, 3), "both are reminded again")
    finally:
        stack.stop()


def text_back(stack: Running, words: str) -> None:
    """As the phone of the outbox does it."""
    body = urlencode({"number": ERICS, "text": words}).encode()
    urllib.request.urlopen(f"{stack.base}/outbox/texts", body, timeout=20).close()


def page(stack: Running, request: str) -> str:
    return stack.call("GET", f"/console/requests/{request}")[1].decode()
