"""Odd values and rare answers, each with its one right outcome."""

from datetime import timedelta
from typing import Any

import pytest

from shared import entrypoint
from shared.adapters.clickwrap.webhook import ClickwrapWebhook
from shared.adapters.providers.common.rules import by_status
from shared.adapters.providers.twilio import Twilio
from shared.domain.dead_letters import dead_topic
from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.policy import normal_mobile
from shared.handlers.receive import Receive
from shared.ports import Outgoing
from shared.services.deferral import Deferral
from shared.settings import SettingError, Settings
from tests.fakes import START, FakeBus, FakeScheduler
from tests.stand_in import Reply, StandIn

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("name", "value"), [("MAX_ATTEMPTS", "1.5"), ("DEFAULT_REGION", "ZZ"), ("PROGRESS_MAX_SIGNERS", "2.5")]
)
def test_a_value_that_would_mean_something_else_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=name):
        Settings({name: value}).policy()


@pytest.mark.parametrize("value", ["4", "101", "many"])
def test_deliveries_are_as_many_as_pub_sub_takes(value: str) -> None:
    assert Settings({}).max_delivery_attempts == 100
    with pytest.raises(SettingError, match="MAX_DELIVERY_ATTEMPTS"):
        _ = Settings({"MAX_DELIVERY_ATTEMPTS": value}).max_delivery_attempts


def test_a_log_level_that_is_none_stops_the_start_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "verbose")
    with pytest.raises(SettingError, match="LOG_LEVEL"):
        entrypoint._level()


def test_a_number_that_only_its_own_town_can_dial_is_none() -> None:
    assert normal_mobile("5551234", "US") == ""
    assert normal_mobile("317-555-0101", "US") == "+13175550101"


@pytest.mark.parametrize(
    ("status", "outcome"), [(408, RetryLater), (425, RetryLater), (402, RetryLater), (409, PermanentFailure)]
)
def test_what_is_not_the_messages_fault_is_not_held_against_it(status: int, outcome: type[Exception]) -> None:
    assert type(by_status(status, "KEY", "URL").error("Provider", status)) is outcome


@pytest.mark.parametrize(("code", "after", "of_message"), [(63038, 3600.0, False), (14107, 60.0, True)])
def test_twilios_429_waits_as_its_code_says(code: int, after: float, of_message: bool) -> None:
    with StandIn(Reply(429, {"code": code})) as stand_in:
        twilio = Twilio("AC", "token", "+13175550100", stand_in.url, "", lambda: START)
        with pytest.raises(RetryLater) as refused:
            twilio.send(Outgoing(notice="n", to="+13175550101", text="x"))
    assert (refused.value.after, refused.value.of_message) == (after, of_message)


def test_a_message_that_has_waited_for_a_month_goes_to_the_dead_letters() -> None:
    bus, scheduler = FakeBus(), FakeScheduler()
    deferral = Deferral(scheduler, "retries", "https://x.test", bus, "signer-notices", lambda: START)
    assert deferral.defer(b"{}", START - 32 * DAY, RetryLater("down", after=900))
    assert [m.attributes["reason"][:5] for m in bus.topics[dead_topic("signer-notices")]] == ["stale"]
    assert scheduler.tasks == {}


@pytest.mark.parametrize("site", ['"s1"', '{"id": "s1"}'])
def test_an_expanded_site_is_known_by_its_id(site: str) -> None:
    bus = FakeBus()
    door = Receive(ClickwrapWebhook(("t",), sites=frozenset({"s1"})), bus, "events", lambda: START)
    body = f'{{"event_type": "request_sent", "id": "e", "request": "r1", "site": {site}}}'
    assert door.accept(body.encode()) == "accepted"


def test_an_expanded_signer_is_nobody_and_foreign_events_may_hold_anything() -> None:
    bus: Any = FakeBus()
    door = Receive(ClickwrapWebhook(("t",)), bus, "events", lambda: START)
    assert (
        door.accept(b'{"event_type": "request_signed", "id": "e", "request": "r1", "signer": {"id": "a"}}')
        == "accepted"
    )
    assert b'"signer":null' in bus.topics["events"][0].data
    assert door.accept(b'{"event_type": "activity_agreed", "request": {"id": 1}, "signer": []}') == "ignored"
