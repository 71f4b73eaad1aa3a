"""The stand-in for both providers, Twilio for SMS and Mailgun for e-mail. Its book is what signers really got."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qs, parse_qsl, urlsplit

from tests.faults.serving import Faults, Reply

TABLE = (
    ("429", 0.02),
    ("500", 0.015),
    ("503", 0.015),
    ("502", 0.01),
    ("504", 0.01),
    ("reset", 0.018),
    ("half", 0.01),
    ("hang", 0.002),
)
CLEAR = ("429", "500", "503")  # nothing was accepted, and the caller knows it
KINDS = (
    ("Reminder: ", "reminder"),
    ("been sent", "invitation"),
    ("accepted by all parties", "completion"),
    ("has signed", "progress"),
)


@dataclass(frozen=True)
class Sent:
    """An accepted message. at: monotonic seconds of its arrival; when: the run's time."""

    at: float
    when: datetime
    notice: str
    to: str
    kind: str
    about: str  # whose signature a progress message tells of


class Provider:
    def __init__(self, seed: int, clock: Callable[[], datetime]) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self.faults = Faults(seed, "provider", TABLE)
        self.book: list[Sent] = []
        self.got: dict[str, list[Sent]] = defaultdict(list)  # by address
        self.last_call = time.monotonic()

    @property
    def lost_answers(self) -> int:
        return sum(count for fault, count in self.faults.served.items() if fault not in CLEAR)

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> Reply:
        sent = self._read(dict(parse_qsl(body.decode())))
        fault, random = self.faults.next()
        if fault in CLEAR:
            wait = {"Retry-After": "1"} if random.random() < 0.5 else {}
            return Reply(int(fault), {"message": "not now"}, wait)
        taken = fault in ("", "half") or random.random() < 0.6
        if taken:
            self._accept(sent)
        return self._reply(path, fault, len(self.book))

    def _reply(self, path: str, fault: str, number: int) -> Reply:
        if fault in ("502", "504"):
            return Reply(int(fault), b"gateway")
        twilio = "/Messages.json" in path
        body = {"sid": f"SM{number}"} if twilio else {"id": f"<{number}@mg.example.com>", "message": "Queued"}
        return Reply(201 if twilio else 200, body, manner=fault)

    def _read(self, form: dict[str, str]) -> Sent:
        callback = parse_qs(urlsplit(form.get("StatusCallback", "")).query)
        notice = form.get("v:notice") or callback["n"][0]
        text = form.get("Body") or form["text"]
        kind = next(kind for words, kind in KINDS if words in text)
        about = text.partition(" has signed")[0].rpartition("\n")[2].rpartition(": ")[2] if kind == "progress" else ""
        self.last_call = now = time.monotonic()
        return Sent(now, self._clock(), notice, form.get("To") or form["to"], kind, about)

    def _accept(self, sent: Sent) -> None:
        with self._lock:
            self.book.append(sent)
            self.got[sent.to].append(sent)

    def has(self, kind: str, to: str) -> bool:
        return any(sent.kind == kind for sent in self.got[to])
