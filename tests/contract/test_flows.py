"""What everything that measures push subscriptions must say: the embedded bus, and Cloud Monitoring by a stand-in."""

import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
import requests

from local.emulation.embedded import Embedded
from local.emulation.http_push import Pace, Reply
from local.emulation.topology import Subscription
from shared.adapters.gcp.monitoring import MonitoredFlows
from shared.ports import Flow, Flows, Message
from tests.contract.until import until

SMS, EMAIL = "deliver-sms", "deliver-email"


class Stage:
    """Publishes, takes and lets time pass. `flows` is the port."""

    flows: Flows

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)

    def publish(self, channel: str, count: int) -> None:
        raise NotImplementedError

    def take(self, count: int) -> None:
        """`count` of those of SMS are acknowledged, and another is refused."""
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError


class EmbeddedStage(Stage):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.embedded = Embedded(path / "ports.db", lambda: self.now, Pace(1, 1), post=self._post)
        self.flows, self._acks, self._asked = self.embedded.bus, 0, 0
        for name in (SMS, EMAIL):
            attribute = ("channel", name.removeprefix("deliver-"))
            more: dict[str, Any] = {"min_backoff": 3600, "max_backoff": 3600, "attribute": attribute, "parallel": 1}
            push = Subscription(name=name, topic="notices", endpoint=name, dead_letter_topic="dead", **more)
            self.embedded.bus.subscribe(push)

    def _post(self, url: str, *_: object) -> Reply:
        self._asked += url == SMS
        return Reply(204 if url == SMS and self._asked <= self._acks else 503)

    def publish(self, channel: str, count: int) -> None:
        self.embedded.bus.publish("notices", [Message(b"{}", {"channel": channel})] * count)

    def take(self, count: int) -> None:
        self._acks = count
        self.embedded.start()
        until(lambda: self._asked > count)
        until(lambda: self.embedded.bus.flows([SMS])[SMS].left == count)

    def stop(self) -> None:
        self.embedded.stop()


class MonitoringStage(Stage):
    """A Cloud Monitoring that measures once a minute, and obeys the filter and the interval of a call."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting, self.acks = {SMS: 0, EMAIL: 0}, list[datetime]()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Google", (Google,), {"stage": self}))
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{self._server.server_port}/v3"
        self.flows = MonitoredFlows("p", lambda: self.now, url, requests.Session())

    def publish(self, channel: str, count: int) -> None:
        self.waiting[f"deliver-{channel}"] += count

    def take(self, count: int) -> None:
        self.waiting[SMS] -= count
        self.acks += [self.now] * count
        self.now += timedelta(minutes=3)  # until it can be read

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Google(BaseHTTPRequestHandler):
    stage: MonitoringStage

    def do_GET(self) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        names = re.findall(r'"([^"]+)"', query["filter"].partition("one_of")[2])
        since, until = (datetime.fromisoformat(query[f"interval.{end}Time"]) for end in ("start", "end"))
        found: dict[str, int] = {name: n for name, n in self.stage.waiting.items() if name in names}
        if "push_request_count" in query["filter"]:
            assert 'metric.labels.response_class="ack"' in query["filter"]
            found = {SMS: sum(since < at <= until for at in self.stage.acks)}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(msgspec.json.encode({"timeSeries": [series(name, n) for name, n in found.items()]}))

    def log_message(self, *_: object) -> None:
        pass


def series(name: str, n: int) -> dict[str, Any]:
    return {"resource": {"labels": {"subscription_id": name}}, "points": [{"value": {"int64Value": str(n)}}]}


@pytest.fixture(params=["embedded", "monitoring"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    stage = EmbeddedStage(tmp_path) if request.param == "embedded" else MonitoringStage()
    yield stage
    stage.stop()


def test_of_each_subscription_all_that_is_not_acknowledged_waits(stage: Stage) -> None:
    stage.publish("sms", 3)
    stage.publish("email", 1)
    assert stage.flows.flows([SMS, EMAIL]) == {SMS: Flow(3), EMAIL: Flow(1)}


def test_what_was_acknowledged_left_and_what_was_refused_waits(stage: Stage) -> None:
    stage.publish("sms", 3)
    stage.take(2)
    assert stage.flows.flows([SMS])[SMS] == Flow(1, 2)


def test_what_left_over_ten_minutes_ago_is_of_another_pace(stage: Stage) -> None:
    stage.publish("sms", 3)
    stage.take(2)
    stage.now += timedelta(minutes=9)
    assert stage.flows.flows([SMS])[SMS] == Flow(1, 2)
    stage.now += timedelta(minutes=2)
    assert stage.flows.flows([SMS])[SMS] == Flow(1)
