"""What waits in Pub/Sub, read from Cloud Monitoring, whose answers are in the form that Google documents."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from google.auth.exceptions import DefaultCredentialsError

from shared.adapters.gcp import monitoring
from shared.adapters.gcp.monitoring import MonitoredFlows
from shared.domain.errors import RetryLater
from shared.ports import Flow
from tests.stand_in import Reply, StandIn, closed_port

GOLDEN = Path(__file__).parents[3] / "golden" / "monitoring"
WAITING, LEFT = (
    Reply(body=(GOLDEN / f"{name}.json").read_bytes()) for name in ("num_undelivered_messages", "push_request_count")
)
NAMES = ("resolve", "deliver-sms")


class Time:
    now = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def google() -> Iterator[StandIn]:
    with StandIn(WAITING, LEFT) as google:
        yield google


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def flows(google: StandIn, time: Time) -> MonitoredFlows:
    return MonitoredFlows("p", time, f"{google.url}/v3", requests.Session())


def test_the_newest_measurement_waits_and_all_pushes_of_ten_minutes_that_were_acknowledged_left(
    flows: MonitoredFlows,
) -> None:
    assert flows.flows(NAMES) == {"resolve": Flow(52_000, 1_600), "deliver-sms": Flow(0, 0)}


def test_each_metric_is_asked_of_these_subscriptions_when_all_of_it_can_be_read(
    flows: MonitoredFlows, google: StandIn
) -> None:
    flows.flows(NAMES)
    asked = [(urlsplit(one.path).path, parse_qs(urlsplit(one.path).query)) for one in google.asked]
    one_of = 'resource.type="pubsub_subscription" AND resource.labels.subscription_id=one_of("resolve", "deliver-sms")'
    metric = 'metric.type="pubsub.googleapis.com/subscription/'
    at = "2026-03-02T{}:00+00:00".format
    first = f'{metric}num_undelivered_messages" AND {one_of}', at("14:54"), at("15:00")
    second = (
        f'{metric}push_request_count" AND metric.labels.response_class="ack" AND {one_of}',
        at("14:47"),
        at("14:57"),
    )
    fields = ("filter", "interval.startTime", "interval.endTime")
    expected = [dict(zip(fields, ([v] for v in one), strict=True)) for one in (first, second)]
    assert asked == [("/v3/projects/p/timeSeries", query) for query in expected]


def test_an_answer_holds_for_a_minute(flows: MonitoredFlows, google: StandIn, time: Time) -> None:
    found = flows.flows(NAMES)
    time.now += timedelta(seconds=59)
    assert (flows.flows(NAMES), len(google.asked)) == (found, 2)
    time.now += timedelta(seconds=1)
    flows.flows(NAMES)
    assert len(google.asked) == 4


@pytest.mark.parametrize(
    "body", [{}, {"timeSeries": []}, {"timeSeries": [{"resource": {"labels": {"subscription_id": "a"}}, "points": []}]}]
)
def test_without_any_measurement_nothing_is_known_and_one_call_is_enough(
    flows: MonitoredFlows, google: StandIn, body: object
) -> None:
    google.answer(Reply(body=body))
    assert (flows.flows(NAMES), len(google.asked)) == ({}, 1)


def test_where_nothing_waits_one_call_is_enough(flows: MonitoredFlows, google: StandIn) -> None:
    google.answer(Reply(body=WAITING.octets().replace(b"52000", b"0")))
    assert (flows.flows(NAMES), len(google.asked)) == ({"resolve": Flow(), "deliver-sms": Flow()}, 1)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(403, {"error": {"status": "PERMISSION_DENIED"}}),
        Reply(429),
        Reply(503),
        Reply(200, b"<html>"),
        Reply(200, b"[1]"),
        Reply(200, {"timeSeries": [{"points": [{"value": {"doubleValue": 1.5}}]}]}),
        Reply(200, {"timeSeries": None}),
        Reply(fault="reset"),
        Reply(fault="truncate", body=WAITING.body),
        Reply(fault="hang"),
    ],
    ids=lambda reply: f"{reply.status} {reply.fault}",
)
def test_a_failure_is_said_once_and_the_next_pages_do_not_wait_for_it(
    flows: MonitoredFlows, google: StandIn, time: Time, monkeypatch: pytest.MonkeyPatch, reply: Reply
) -> None:
    monkeypatch.setattr(monitoring, "DEADLINE", 0.2)
    google.answer(reply)
    with pytest.raises(RetryLater, match="Cloud Monitoring"):
        flows.flows(NAMES)
    google.answer(WAITING, LEFT)
    asked = len(google.asked)
    assert (flows.flows(NAMES), len(google.asked)) == ({}, asked)
    time.now += timedelta(minutes=1)
    assert flows.flows(NAMES)["resolve"] == Flow(52_000, 1_600)


def test_the_second_call_may_fail_too(flows: MonitoredFlows, google: StandIn) -> None:
    google.answer(WAITING, Reply(503))
    with pytest.raises(RetryLater, match="503"):
        flows.flows(NAMES)


def test_out_of_reach_is_for_later(time: Time) -> None:
    with pytest.raises(RetryLater, match="ConnectionError"):
        MonitoredFlows("p", time, f"http://127.0.0.1:{closed_port()}", requests.Session()).flows(NAMES)


def test_without_an_account_is_for_later(time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(scope: str) -> requests.Session:
        raise DefaultCredentialsError(scope)

    monkeypatch.setattr(monitoring, "authorized", nobody)
    with pytest.raises(RetryLater, match="DefaultCredentialsError"):
        MonitoredFlows("p", time).flows(NAMES)
