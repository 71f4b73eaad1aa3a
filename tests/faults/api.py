"""The stand-in for Clickwrap's API: what is true, what it has told the relay, and the faults in between."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests.faults.script import Person, Play
from tests.faults.serving import Faults, Reply

STALE = timedelta(seconds=4)  # how long an answer may lag behind; a minute of the run's day is a second
TABLE = (("429", 0.02), ("500", 0.01), ("503", 0.01), ("slow", 0.02), ("garbage", 0.02), ("stale", 0.02))
GARBAGE = (b"<html>Bad gateway</html>", b'{"id": "r1", "sign', b"{}", b"[]", b'{"signers": []}', b"null", b'"ok"')


@dataclass(frozen=True)
class Fact:
    """at: the run's time. status: as the API puts it."""

    at: datetime
    status: str
    signed: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Told:
    at: float  # monotonic seconds
    fact: Fact


class Api:
    def __init__(self, seed: int, plays: list[Play], clock: Callable[[], datetime]) -> None:
        self._plays, self._clock = {p.id: p for p in plays}, clock
        self.facts: dict[str, list[Fact]] = defaultdict(list)
        self.told: dict[str, list[Told]] = defaultdict(list)
        self.faults = Faults(seed, "api", TABLE)
        self._lock = threading.Lock()

    def happens(self, play: Play, type_: str, who: Person | None) -> None:
        with self._lock:
            facts = self.facts[play.id]
            signed = facts[-1].signed if facts else frozenset()
            status = {"request_complete": "complete", "request_expired": "expired"}.get(type_, "sent")
            facts.append(Fact(self._clock(), status, signed | ({who.number} if who else set())))

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> Reply:
        fault, random = self.faults.next()
        if fault == "429":
            return Reply(429, {"error": {"status": 429}}, random.choice(({}, {"Retry-After": "1"})))
        if fault in ("500", "503"):
            return Reply(int(fault), b"trouble")
        if fault == "garbage":
            return Reply(200, random.choice(GARBAGE))
        if fault == "slow":
            time.sleep(random.uniform(0.5, 2.5))
        return self._truth(path.rpartition("/")[2], stale=fault == "stale")

    def _truth(self, key: str, *, stale: bool) -> Reply:
        with self._lock:
            facts = self.facts[key]
            lagging = stale and facts and self._clock() - facts[-1].at < STALE
            shown = facts[: len(facts) - 1] if lagging else facts
            if not shown:
                return Reply(404, {"error": {"status": 404}})
            self.told[key].append(Told(time.monotonic(), shown[-1]))
            return Reply(200, document(self._plays[key], facts[0].at, shown[-1]))


def document(play: Play, sent: datetime, fact: Fact) -> dict[str, Any]:
    return {
        "id": play.id,
        "name": f"Agreement {play.id}",
        "status": fact.status,
        "created_time": sent.isoformat(),
        "signing_order": play.ordered,
        "signers": [_row(play, person, person.number in fact.signed) for person in play.people],
    }


def _row(play: Play, person: Person, signed: bool) -> dict[str, Any]:
    return {
        "signer_id": f"{play.id}/{person.number}",
        "name": person.name,
        "order": person.number,
        "signed": signed,
        "send_to": {"email": "email" in person.channels, "mobile_number": "sms" in person.channels},
        "signer": {"email": person.email, "mobile_number": person.mobile},
        "request_url": f"https://sign.example.com/{play.id}/{person.number}",
    }
