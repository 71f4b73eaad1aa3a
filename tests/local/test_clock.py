"""The local stack's time: the clock, the calls it waits for, and the buttons that move it."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from local.sandbox.outbox import Outbox, create_outbox_app
from local.sandbox.times import add_time_buttons
from local.stack import clock as subject
from local.stack.clock import Busy, Calls, Travel, VirtualClock
from shared.setting_types import SettingError

DAY = 86_400
JSON = {"Accept": "application/json"}


def ahead(clock: Callable[[], datetime]) -> float:
    """In whole seconds."""
    return round((clock() - datetime.now(UTC)).total_seconds())


def test_time_moves_by_what_it_is_told(tmp_path: Path) -> None:
    clock = VirtualClock(tmp_path / "time")
    assert ahead(clock) == 0
    clock.advance(DAY)
    clock.advance(60)
    assert ahead(clock) == DAY + 60


def test_a_restart_does_not_turn_time_back(tmp_path: Path) -> None:
    VirtualClock(tmp_path / "time").advance(DAY)
    assert ahead(VirtualClock(tmp_path / "time")) == DAY
    assert [p.name for p in tmp_path.iterdir()] == ["time"]


def test_a_file_that_holds_no_time_stops_the_start_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "time").write_text("soon")
    with pytest.raises(SettingError, match=r"time must contain a number of seconds: delete it"):
        VirtualClock(tmp_path / "time")


# -- between calls


def test_time_waits_for_the_call_under_way() -> None:
    calls, inside, leave, moved = Calls(), threading.Event(), threading.Event(), threading.Event()

    def call() -> None:
        with calls.one():
            inside.set()
            assert leave.wait(10)
            assert not moved.is_set()

    caller = threading.Thread(target=call)
    caller.start()
    assert inside.wait(10)
    mover = threading.Thread(target=calls.between, args=(moved.set,))
    mover.start()
    assert not moved.wait(0.1)
    leave.set()
    assert moved.wait(10)
    caller.join()
    mover.join()


def test_a_call_that_does_not_end_is_told_and_nothing_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "MAX_IDLE_WAIT", 0.05)
    monkeypatch.setattr(subject, "MAX_CALL_WAIT", 0.05)
    calls, moved = Calls(), list[int]()
    with calls.one(), pytest.raises(Busy, match="try again"):
        calls.between(lambda: moved.append(1))
    assert moved == []


# -- the buttons


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is called here that could still be on its way."""
    monkeypatch.setattr(subject, "IDLE_TIME", 0.0)


class Due:
    """When the next reminder is due."""

    def __init__(self) -> None:
        self.at: datetime | None = None

    def __call__(self) -> datetime | None:
        return self.at


@pytest.fixture
def due() -> Due:
    return Due()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def client(tmp_path: Path, clock: VirtualClock, due: Due) -> FlaskClient:
    app: Flask = create_outbox_app(Outbox(tmp_path / "outbox.db"))
    add_time_buttons(app, Travel(clock, Calls(), DAY, due))
    return app.test_client()


def test_a_button_moves_time_by_days_and_comes_back_to_its_page(client: FlaskClient, clock: VirtualClock) -> None:
    answer = client.post("/time", data={"days": "3", "back": "/outbox/?mail=7"})
    assert (answer.status_code, answer.location) == (303, "/outbox/?mail=7")
    assert ahead(clock) == 3 * DAY


def test_a_short_day_is_a_short_step(tmp_path: Path, clock: VirtualClock) -> None:
    travel = Travel(clock, Calls(), 1.0, lambda: None)
    travel.days(3)
    assert ahead(clock) == 3
    assert travel.days_ahead() == 3


@pytest.mark.parametrize("back", ["https://evil.test/", "//evil.test/", "/\\evil.test", ""])
def test_no_button_leads_to_another_site(client: FlaskClient, back: str) -> None:
    assert client.post("/time", data={"days": "1", "back": back}).location == "/"


def test_the_next_reminder_is_reached_and_not_passed_by(client: FlaskClient, clock: VirtualClock, due: Due) -> None:
    due.at = datetime.now(UTC) + timedelta(days=3, hours=5)
    assert 'id="to-reminder"' in client.get("/").text
    assert client.post("/time", data={}).status_code == 303
    assert 0 <= 3 * DAY + 5 * 3_600 - ahead(clock) <= 10  # seconds that the test itself took
    assert clock() >= due.at


def test_a_reminder_that_is_overdue_turns_no_time_back(client: FlaskClient, clock: VirtualClock, due: Due) -> None:
    due.at = datetime.now(UTC) - timedelta(days=1)
    client.post("/time", data={})
    assert ahead(clock) == 0


def test_without_a_reminder_there_is_no_button_and_nothing_moves(client: FlaskClient, clock: VirtualClock) -> None:
    assert 'id="to-reminder"' not in client.get("/").text
    client.post("/time", data={})
    assert ahead(clock) == 0


@pytest.mark.parametrize("body", [{"days": 0}, {"days": -3}, {"days": 101}, {"days": "soon"}, {"weeks": 1}, []])
def test_a_move_that_makes_no_sense_is_refused(client: FlaskClient, clock: VirtualClock, body: object) -> None:
    assert client.post("/time", json=body).status_code == 400
    assert ahead(clock) == 0


def test_programs_read_and_move_time_by_json(client: FlaskClient) -> None:
    assert client.get("/time").get_json()["days_ahead"] == 0
    answer = client.post("/time", json={"days": 2}).get_json()
    assert answer["days_ahead"] == 2
    assert answer["next"] is None
    assert round((datetime.fromisoformat(answer["now"]) - datetime.now(UTC)).total_seconds()) == 2 * DAY


def test_the_pages_say_what_time_it_is_and_how_far_ahead(client: FlaskClient, clock: VirtualClock) -> None:
    assert "days ahead" not in client.get("/").text
    clock.advance(1.5 * DAY)
    page = client.get("/").text
    assert "1.5 days ahead" in page
    assert f"{clock():%b %Y}" in page


def test_another_sites_page_cannot_move_time(client: FlaskClient, clock: VirtualClock) -> None:
    assert client.post("/time", data={"days": "1"}, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert ahead(clock) == 0
