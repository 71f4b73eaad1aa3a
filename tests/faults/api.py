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
    delegated: frozenset[int] = frozenset()

    def waits_for(self, person: Person) -> bool:
        """Whether this person may sign now."""
        there = person.instead_of == 0 or person.instead_of in self.delegated
        return there and person.number not in self.signed | self.delegated


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

    def now(self) -> datetime:
        return self._clock()

    def happens(self, play: Play, type_: str, who: Person | None) -> None:
        with self._lock:
            facts = self.facts[play.id]
            facts.append(after(facts[-1] if facts else Fact(self._clock(), "sent"), self._clock(), type_, who))

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> Reply:
        fault, random = self.faults.next()
        if fault == "429":
            return Reply(429, {"error": {"status": 429}}, {"Retry-After": "1"})  # the minute of the vendor's limit
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


def after(fact: Fact, at: datetime, type_: str, who: Person | None) -> Fact:
    status = {"request_complete": "complete", "request_expired": "expired", "pause": "paused"}.get(type_, "sent")
    number = {who.number} if who else set()
    signed = frozenset() if type_ == "revise" else fact.signed | (number if type_ == "request_signed" else set())
    return Fact(at, status, signed, fact.delegated | (number if type_ == "delegate" else set()))


def document(play: Play, sent: datetime, fact: Fact) -> dict[str, Any]:
    return {
        "id": play.id,
        "name": f"Agreement {play.id}",
        "status": fact.status,
        "created_time": sent.isoformat(),
        "signing_order": play.ordered,
        "signers": [_row(play, person, fact) for person in play.people if person.instead_of in {0, *fact.delegated}],
    }


def _row(play: Play, person: Person, fact: Fact) -> dict[str, Any]:
    return {
        "signer_id": f"{play.id}/{person.number}",
        "name": person.name,
        "order": person.number,
        "role": "recipient" if person.number in fact.delegated else "signer",
        "signed": person.number in fact.signed,
        "send_to": {"email": "email" in person.channels, "mobile_number": "sms" in person.channels},
        "signer": {"email": person.email, "mobile_number": person.mobile},
        "request_url": f"https://sign.example.com/{play.id}/{person.number}",
    }
