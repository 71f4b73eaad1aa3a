"""The check of the whole relay goes through receive, resolve and deliver, and reaches nobody and nothing else."""

import json
from pathlib import Path

import msgspec
import pytest

from shared.adapters.clickwrap.check_webhook import CheckWebhook
from shared.domain.errors import RetryLater
from shared.domain.model import CHECK, ChannelName, Event, EventType, Notice
from shared.handlers.relay_check import RelayCheck
from tests.e2e.stack import Running, until
from tests.fakes import START, FakeBus
from tests.stand_in import Reply, StandIn


@pytest.mark.parametrize(
    "limits", [{}, {"CLICKWRAP_SITES": "s2,s1", "CLICKWRAP_INTEGRATIONS": "i1"}], ids=["", "limited"]
)
def test_it_arrives_on_every_channel_and_nobody_is_asked_or_told(tmp_path: Path, limits: dict[str, str]) -> None:
    with StandIn() as api:
        stack = Running(tmp_path, "embedded", CLICKWRAP_API_URL=api.url, **limits)
        try:
            assert stack.call("POST", "/reconcile/check", {}) == (200, b'{"status":"under way"}\n')
            until(lambda: arrivals(tmp_path) == {"sms", "email"}, "the check")
            assert stack.messages() == []
            assert CHECK not in stack.call("GET", "/console/")[1].decode()
            assert stack.call("GET", f"/console/requests/{CHECK}")[0] == 404
        finally:
            stack.stop()
    assert api.asked == []


def arrivals(directory: Path) -> set[str]:
    lines = (directory / "stack.log").read_text().splitlines()
    return {json.loads(line)["check"] for line in lines if '"check": ' in line}


@pytest.mark.parametrize("status", [401, 403, 404, 503])
def test_a_webhook_that_is_not_taken_fails_the_call_of_the_scheduler(status: int) -> None:
    with StandIn(Reply(status)) as receive, pytest.raises(RetryLater):
        CheckWebhook(receive.url, "token", {}, lambda: START).post()


def test_no_version_of_deliver_sends_its_notice() -> None:
    """Each is of another channel than the subscription that brings it."""
    bus = FakeBus()
    event = Event(event="check-1", type=EventType.SENT, request=CHECK, received_at=START)
    RelayCheck(bus, "notices").pass_on(event)
    sent = [(m.attributes["channel"], msgspec.json.decode(m.data, type=Notice)) for m in bus.topics["notices"]]
    assert {channel for channel, _ in sent} == set(ChannelName)
    assert all(notice.channel != channel and notice.request == CHECK for channel, notice in sent)
