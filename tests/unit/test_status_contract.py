"""docs/status-events.md, as a consumer reads it: with CloudEvents' and JSON Schema's libraries, and our examples."""

import importlib.util
import itertools
import json
import random
import re
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.error import HTTPError

import jsonschema
import msgspec
import pytest
from cloudevents.http import from_json
from msgspec.structs import replace

from infra.ops import status
from shared.domain.errors import PermanentFailure
from shared.domain.model import NoticeState, Status
from shared.domain.policy import Policy
from tests.fakes import seen
from tests.lifecycles import COMPLETE, HOUR, SENT, SIGNED
from tests.receipt_world import ReceiptWorld

SETTINGS = SimpleNamespace(policy=Policy)
DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "status-events.md").read_text()
SCHEMAS = {what: json.loads((DOCS / f"{what}-event.schema.json").read_text()) for what in ("status", "notice")}
STATES = ("accepted", "delivered", "undelivered", "failed", "unknown", "suppressed")
CAUSES = (
    "address unusable",
    "answer lost",
    "filtered",
    "no address",
    "not delivered",
    "opted out",
    "refused",
    "too late",
)


def schema(event: dict[str, Any]) -> Any:
    return SCHEMAS["status" if event["type"].startswith("clickwrap.request.") else "notice"]


@pytest.fixture
def world() -> ReceiptWorld:
    """A life with a pause, an SMS that bounced, and one that was refused."""
    world = ReceiptWorld(Policy(channels="sms"))
    ann, bob = seen("a"), seen("b")
    world.says(ann, bob)
    world.sms.outcomes = [PermanentFailure("Twilio: a landline")]
    world.hear(SENT)
    for state in (NoticeState.DELIVERED, NoticeState.UNDELIVERED):
        world.now += HOUR
        world.told_of(state, "filtered" if state is NoticeState.UNDELIVERED else "")
    for now in (Status.PAUSED, Status.OPEN):
        world.says(ann, bob, status=now)
        world.advance(2 * HOUR, reconcile=True)
    world.says(replace(ann, signed=True), bob)
    world.hear(SIGNED, "a")
    world.says(replace(ann, signed=True), replace(bob, signed=True), status=Status.COMPLETE)
    world.hear(COMPLETE)
    return world


@pytest.fixture
def events(world: ReceiptWorld) -> list[dict[str, Any]]:
    return [*world.events("request"), *world.events("notice")]


def test_each_event_is_a_cloud_event_and_fits_its_schema(events):
    assert {e["id"] for e in events} >= {f"r1.{n}" for n in range(1, 6)}
    states = {e["data"]["state"] for e in events if "state" in e["data"]}
    assert states == {"accepted", "delivered", "undelivered", "failed"}
    for event in events:
        assert from_json(json.dumps(event))["subject"] == "r1"
        jsonschema.validate(event, schema(event))


def test_the_examples_in_the_page_fit_their_schemas():
    examples = [json.loads(found) for found in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
    assert len(examples) == len(SCHEMAS)
    for example in examples:
        jsonschema.validate(example, schema(example))


def test_the_page_names_every_status_state_and_cause():
    named = SCHEMAS["status"]["$defs"]["Status"]["enum"] + SCHEMAS["status"]["$defs"]["SignerState"]["enum"]
    assert not [word for word in (*named, *STATES, *CAUSES) if f"`{word}`" not in PAGE]


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("seed", range(20))
def test_the_example_consumer_is_right_whatever_is_repeated_and_in_whatever_order(events, seed):
    follow, tables = example("follow_status"), sqlite3.connect(":memory:")
    tables.executescript(follow.TABLES)
    for event in random.Random(seed).sample(events * 3, 3 * len(events)):
        follow.take(tables, event)
    assert tables.execute("SELECT * FROM requests").fetchall() == [("r1", 5, "complete", 2)]
    last = tables.execute("SELECT channel, state, reason FROM messages ORDER BY state").fetchall()
    assert last == [("sms", "accepted", ""), ("sms", "accepted", "")]


class Salesforce(BaseHTTPRequestHandler):
    """The upsert by an external id, with the example's validation rule, and an answer in five that is lost."""

    records: dict[str, dict[str, Any]] = {}
    lock, calls = threading.Lock(), itertools.count()

    def do_PATCH(self) -> None:
        fields = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.lock:
            found = self.records.get(self.path)
            stale = found is not None and fields["Sequence__c"] <= found["Sequence__c"]
            if not stale:
                self.records[self.path] = fields
        if next(self.calls) % 5 == 0:
            return self._answer(503, {})
        if stale:
            error = {"errorCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "STALE: a newer event was written"}
            return self._answer(400, [error])
        return self._answer(200 if found else 201, {"success": True})

    def _answer(self, status: int, body: Any) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        pass


def upserted(salesforce: ModuleType, url: str, event: dict[str, Any]) -> None:
    """As Pub/Sub does: an event that is not taken comes again."""
    for _ in range(50):
        with suppress(HTTPError):
            return salesforce.upsert(url, "token", event)
    raise AssertionError("never taken")


@pytest.mark.parametrize("seed", range(5))
def test_the_record_in_salesforce_is_right_whatever_is_repeated_in_whatever_order_and_at_once(events, seed):
    Salesforce.records = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Salesforce)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    shuffled = random.Random(seed).sample(events * 2, 2 * len(events))
    salesforce, url = example("salesforce"), f"http://127.0.0.1:{server.server_port}"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(partial(upserted, salesforce, url), shuffled))
    server.shutdown()
    server.server_close()
    ((path, record),) = Salesforce.records.items()
    assert path == "/services/data/v62.0/sobjects/Agreement__c/Request_Id__c/r1"
    assert (record["Status__c"], record["Signatures__c"], record["Sequence__c"]) == ("complete", 2, 5)


@pytest.mark.parametrize("request_id", ["", "r1"])
def test_make_status_prints_the_latest_event_of_each_request_and_notice(world, events, monkeypatch, request_id):
    monkeypatch.setattr(status, "bootstrap", SimpleNamespace(settings=lambda: SETTINGS, clock=world.clock))
    printed = [json.loads(msgspec.json.encode(event)) for event in status.events(world.ledger, request_id)]
    latest: dict[str, dict[str, Any]] = {}
    for event in events:
        of = event["data"].get("notice", event["data"]["request"])
        latest[of] = max(latest.get(of, event), event, key=lambda e: e["data"]["sequence"])
    assert sorted(printed, key=str) == sorted(latest.values(), key=str)
