"""The stand-in for both providers, Twilio for SMS and Mailgun for e-mail. Its book is what signers really got."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from random import Random
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import msgspec

from tests.faults.receipts import Receipts
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
QUESTIONS = (
    ("429", 0.04),
    ("503", 0.04),
    ("502", 0.02),
    ("reset", 0.02),
    ("half", 0.02),
    ("hang", 0.002),
)
LATEST = 4.5  # seconds of the run's clock until a message is listed; less than the shortest lag that is waited for
CLEAR = ("429", "503")  # nothing was accepted, and the caller knows it
BOSS = "boss@example.com"  # the sender, who is told of signers who were not reached
KINDS = (
    ("could not reach everyone", "unreached"),
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
    text: str = ""


class Provider:
    def __init__(self, seed: int, clock: Callable[[], datetime]) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self.faults, self.questions = Faults(seed, "provider", TABLE), Faults(seed, "questions", QUESTIONS)
        self._seed = seed
        self.book: list[Sent] = []
        self.got: dict[str, list[Sent]] = defaultdict(list)  # by address
        self.last_call = time.monotonic()
        self.receipts = Receipts(seed, clock)

    @property
    def mails(self) -> list[Sent]:
        """Those to the sender."""
        return [sent for sent in self.book if sent.to == BOSS]

    @property
    def lost_answers(self) -> int:
        return sum(count for fault, count in self.faults.served.items() if fault not in CLEAR)

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> Reply:
        if "?" in path or path.endswith("/logs"):
            return self._asked(path, body)
        form = dict(parse_qsl(body.decode()))
        sent = self._read(form)
        fault, random = self.faults.next()
        if fault in CLEAR:
            wait = {"Retry-After": "1"} if random.random() < 0.5 else {}
            return Reply(int(fault), {"message": "not now"}, wait)
        taken = fault in ("", "half") or random.random() < 0.6
        number = self._accept(sent) if taken else 0
        if number:
            self.receipts.owe(number, sent.notice, form.get("StatusCallback", ""))
        return self._reply(path, fault, number)

    def _reply(self, path: str, fault: str, number: int) -> Reply:
        if fault in ("500", "502", "504"):
            return Reply(int(fault), b"lost")
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
        return Sent(now, self._clock(), notice, form.get("To") or form["to"], kind, about, text)

    # -- questions

    def _asked(self, path: str, body: bytes) -> Reply:
        """What it took for an address. Each message is left out for a while, as if it had never come."""
        fault, _ = self.questions.next()
        if fault.isdigit():
            return Reply(int(fault), {"message": "not now"})
        twilio = "/Messages.json" in path
        to = parse_qs(urlsplit(path).query)["To"][0] if twilio else _recipient(msgspec.json.decode(body))
        with self._lock:
            mine = [(number, sent) for number, sent in enumerate(self.book, 1) if sent.to == to]
        rows = [_row(number, sent, twilio) for number, sent in reversed(mine) if self._is_listed(sent)]
        return Reply(200, {"messages": rows, "next_page_uri": None} if twilio else {"items": rows}, manner=fault)

    def _is_listed(self, sent: Sent) -> bool:
        late = Random(f"{self._seed}/listed/{sent.notice}").uniform(0, LATEST)
        return (self._clock() - sent.when).total_seconds() >= late

    def _accept(self, sent: Sent) -> int:
        """Its number in the book."""
        with self._lock:
            self.book.append(sent)
            self.got[sent.to].append(sent)
            return len(self.book)

    def count(self, kind: str, to: str) -> int:
        """Of different notices."""
        return len({sent.notice for sent in self.got[to] if sent.kind == kind})


def _recipient(query: Any) -> str:
    value: str = query["filter"]["AND"][0]["values"][0]["value"]
    return value


def _row(number: int, sent: Sent, twilio: bool) -> dict[str, Any]:
    if twilio:
        return {"sid": f"SM{number}", "body": sent.text, "date_created": format_datetime(sent.when)}
    variables = msgspec.json.encode({"notice": sent.notice}).decode()
    return {"user-variables": variables, "message": {"headers": {"message-id": f"{number}@mg.example.com"}}}
