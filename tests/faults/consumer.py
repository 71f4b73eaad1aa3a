"""The customer's own system: the documented example, posted to by `forward`, with answers that go wrong."""

import base64
import json
import runpy
import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from standardwebhooks import Webhook

from tests.faults.serving import Faults, Reply

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "follow_status.py"
SECRET = base64.b64encode(b"s" * 32).decode()
TABLE = (("429", 0.02), ("500", 0.03), ("503", 0.02), ("reset", 0.03), ("half", 0.02), ("hang", 0.002))


class Consumer:
    """changes: the ids of all changes of requests that were posted."""

    def __init__(self, seed: int) -> None:
        self.faults, self._lock = Faults(seed, "consumer", TABLE), threading.Lock()
        self._example, self.changes = runpy.run_path(str(EXAMPLE)), set[str]()
        self._tables = sqlite3.connect(":memory:", check_same_thread=False)
        self._tables.executescript(self._example["TABLES"])

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> Reply:
        fault, random = self.faults.next()
        signed = Webhook(SECRET).sign(headers["webhook-id"], _time(headers["webhook-timestamp"]), body.decode())
        if signed != headers["webhook-signature"]:
            return Reply(401)
        if fault in ("", "half") or random.random() < 0.5:
            self._take(json.loads(body))
        return Reply(int(fault) if fault.isdigit() else 204, manner="reset" if fault == "half" else fault)

    def _take(self, event: dict[str, Any]) -> None:
        with self._lock:
            self._example["take"](self._tables, event)
            self.changes |= {event["id"]} if event["type"].startswith("clickwrap.request.") else set()

    def requests(self) -> dict[str, tuple[int, str, int]]:
        """By request: sequence, status, signatures."""
        return {row[0]: row[1:] for row in self._rows("SELECT request, sequence, status, signatures FROM requests")}

    def messages(self) -> dict[tuple[str, str, str], tuple[str, str]]:
        """By request, signer and channel: the last notice and its state."""
        rows = self._rows("SELECT request, signer, channel, notice, state FROM messages")
        return {row[:3]: row[3:] for row in rows}

    def _rows(self, query: str) -> list[Any]:
        with self._lock:
            return self._tables.execute(query).fetchall()


def _time(stamp: str) -> datetime:
    return datetime.fromtimestamp(int(stamp), UTC)
