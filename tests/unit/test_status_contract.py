"""docs/status-events.md, as a consumer reads it: with the libraries of CloudEvents and JSON Schema, and our example."""

import importlib.util
import json
import random
import re
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from cloudevents.http import from_json

from shared.domain.model import Status
from tests.fakes import World, seen
from tests.lifecycles import COMPLETE, HOUR, SENT, SIGNED

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA = json.loads((DOCS / "status-event.schema.json").read_text())


@pytest.fixture
def events() -> list[dict[str, Any]]:
    """Those of a life with a pause."""
    world = World()
    world.says(seen("a"), seen("b"))
    world.hear(SENT)
    for status in (Status.PAUSED, Status.OPEN):
        world.says(seen("a"), seen("b"), status=status)
        world.advance(2 * HOUR, reconcile=True)
    world.says(seen("a", signed=True), seen("b"))
    world.hear(SIGNED, "a")
    world.says(seen("a", signed=True), seen("b", signed=True), status=Status.COMPLETE)
    world.hear(COMPLETE)
    return [msgspec.json.decode(m.data) for m in world.bus.topics[world.names.status_topic]]


def test_each_event_is_a_cloud_event_and_fits_the_schema(events):
    assert {e["id"] for e in events} == {f"r1.{n}" for n in range(1, 6)}
    for event in events:
        assert from_json(json.dumps(event))["subject"] == "r1"
        jsonschema.validate(event, SCHEMA)


def test_the_example_in_the_page_fits_the_schema():
    (example,) = re.findall(r"```json\n(.*?)```", (DOCS / "status-events.md").read_text(), re.DOTALL)
    jsonschema.validate(json.loads(example), SCHEMA)


def test_the_page_names_every_status_and_state():
    page = (DOCS / "status-events.md").read_text()
    named = SCHEMA["$defs"]["Status"]["enum"] + SCHEMA["$defs"]["SignerState"]["enum"]
    assert not [word for word in named if f"`{word}`" not in page]


@pytest.mark.parametrize("seed", range(20))
def test_the_example_consumer_is_right_whatever_is_repeated_and_in_whatever_order(events, seed, tmp_path):
    spec = importlib.util.spec_from_file_location("follow_status", DOCS / "examples" / "follow_status.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    table = example.open_table(tmp_path / "requests.db")
    for event in random.Random(seed).sample(events * 3, 3 * len(events)):
        example.take(table, event)
    assert table.execute("SELECT * FROM requests").fetchall() == [("r1", 5, "complete", 2)]
