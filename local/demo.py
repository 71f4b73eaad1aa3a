"""`make demo`: two weeks of a request with two signers, in about fifteen seconds: one second is one day, or two seconds
on the emulators, which are slower. Then one whose signer has no valid number: the sender is told.

Prints each message when it is sent, and a table at the end. Exits 1 if a message is missing, duplicated or late.
If SMS_PROVIDER or EMAIL_PROVIDER is set without an API URL, a stand-in for that provider runs on this machine.
TEMPLATES_LANGUAGE chooses the language of the messages.
"""

import json
import os
import re
import sys
import tempfile
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from local.emulation.google_emulators import free_port

SECONDS_PER_DAY = {"embedded": 1.0, "emulators": 2.0}
MAX_DELAY = {"embedded": 5.0, "emulators": 10.0}  # seconds after its due time; the first message of a cold start takes some
ERIC, JANE, ANN = "+13175551234", "jane.doe@example.com", "ann.sender@example.com"
REQUEST = {
    "title": "Employment Agreement",
    "sender": "Ann Sender",
    "signers": [
        {"name": "Eric Smith", "mobile_number": ERIC, "send_to": {"email": False, "mobile_number": True}},
        {"name": "Jane Doe", "email": JANE, "send_to": {"email": True, "mobile_number": False}},
    ],
}

UNREACHABLE = {
    "title": "Consulting Agreement",
    "sender": "Ann Sender",
    "sender_email": ANN,
    "signers": [{"name": "Max Muster", "mobile_number": "12345", "send_to": {"email": False, "mobile_number": True}}],
}

# What the messages say: invitation, reminder, progress, completion, and to the sender.
WORDS = {
    "en": ("review & sign", "waiting for your signature", "has signed", "accepted by all", "is not valid"),
    "de": ("prüfen & unterschreiben", "wartet auf Ihre", 'hat "Employment', "Alle Parteien haben", "ist ungültig"),
    "es": ("revise y firme", "espera su firma", "ha firmado", "Todas las partes han aceptado", "no es válido"),
    "fr": (
        "de relire et de signer",
        "attend votre signature",
        "a signé",
        "Toutes les parties ont accepté",
        "n'est pas",
    ),
    "pt": ("leia e assine", "aguarda a sua assinatura", "assinou", "Todas as partes aceitaram", "não é válido"),
}


def seconds_per_day() -> float:
    """As the stack was started."""
    return float(os.environ["SECONDS_PER_DAY"])


class Expected(msgspec.Struct):
    """A message that must be sent exactly once."""

    to: str
    what: str
    text: str  # part of the message
    day: float  # when it is due, in days since the request was sent
    sent: float | None = None  # day of the first message
    times: int = 0  # how often it was sent


class Demo:
    def __init__(self, base: str) -> None:
        self._base, self._seen = base, 0
        self._words = WORDS.get(os.environ.get("TEMPLATES_LANGUAGE") or "en", ("",) * 5)  # one of your own: any words
        self._start = time.time()
        self.expected: list[Expected] = []
        self.unexpected: list[str] = []

    def day(self) -> float:
        return (time.time() - self._start) / seconds_per_day()

    def play(self) -> None:
        """Run the scenario. New messages are printed between its steps."""
        invitation, reminder, progress, completion, unreached = self._words
        created = self.post("/sandbox/requests", REQUEST)
        self._start = time.time()
        self.expect("invitation", invitation, ERIC, JANE)
        self.say('Ann sends "Employment Agreement" to Eric (SMS) and Jane (e-mail)')
        self.expect("reminder", reminder, ERIC, JANE, day=3)
        self.until(5)
        self.say("Eric opens the link and signs")
        self.sign(created["id"], 0)
        self.expect("progress", progress, JANE)
        self.expect("reminder", reminder, JANE, day=7)
        self.until(9)
        self.say("Jane signs; everyone has signed")
        self.sign(created["id"], 1)
        self.expect("completion", completion, ERIC, JANE)
        self.until(13)  # its own reminder would come after the end
        self.say('Ann sends "Consulting Agreement" to Max, whose number is none')
        self.post("/sandbox/requests", UNREACHABLE)
        self.expect("what to correct", unreached, ANN)
        self.until(15)
        self.say("Day 15: nobody was reminded on day 14")

    # -- the scenario

    def post(self, path: str, body: dict[str, Any]) -> Any:
        data, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(self._base + path, data, headers), timeout=30) as reply:
            return json.load(reply)

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self._base + path, timeout=30) as reply:
            return json.load(reply)

    def sign(self, request: str, signer: int) -> None:
        """Sign as a signer does: open the link in the last message, then press the button."""
        to = (ERIC, JANE)[signer]
        texts = [m["text"] for m in self.get("/outbox/messages") if m["to"] == to and "/l/" in m["text"]]
        link = re.findall(r"https?://\S+/l/[\w-]+", texts[-1])[0]
        with urllib.request.urlopen(link, timeout=30) as page:
            url = page.url
        urllib.request.urlopen(urllib.request.Request(url, b"", method="POST"), timeout=30).close()

    # -- the messages

    def expect(self, what: str, text: str, *to: str, day: float | None = None) -> None:
        due = self.day() if day is None else day
        self.expected += [Expected(to=address, what=what, text=text, day=due) for address in to]

    def until(self, day: float) -> None:
        while self.day() < day:
            self.read_outbox()
            time.sleep(0.03)

    def read_outbox(self) -> None:
        for message in self.get("/outbox/messages")[self._seen :]:
            self._seen += 1
            self.arrived(message)

    def arrived(self, message: dict[str, Any]) -> None:
        day = (datetime.fromisoformat(message["at"]).timestamp() - self._start) / seconds_per_day()
        first_line = message["subject"] or message["text"]
        print(f"  day {day:5.2f}  {message['channel']:5} to {message['to']:21} {first_line}", flush=True)
        fits = [e for e in self.expected if e.to == message["to"] and e.text in message["text"] and day >= e.day - 0.05]
        match = next((e for e in fits if not e.times), fits[-1] if fits else None)
        if match is None:
            self.unexpected.append(f"unexpected message to {message['to']}: {first_line}")
            return
        match.times += 1
        match.sent = day if match.sent is None else match.sent

    def say(self, text: str) -> None:
        self.read_outbox()
        print(f"* day {self.day():5.2f}  {text}", flush=True)

    # -- the result

    def result(self, max_delay: float) -> list[str]:
        print(f"\n  on time is within {max_delay:g} s of when it is due")
        print(f"  {'due':>5} {'sent':>6}  {'to':21} what")
        errors = list(self.unexpected)
        for e in sorted(self.expected, key=lambda e: e.day):
            error = problem(e, max_delay / seconds_per_day())
            sent = "-" if e.sent is None else f"{e.sent:.2f}"
            print(f"  {e.day:5.2f} {sent:>6}  {e.to:21} {e.what} {error}")
            errors += [f"{e.what} to {e.to}: {error}"] if error else []
        return errors


def problem(e: Expected, max_delay: float) -> str:
    """What is wrong with a message; "" if nothing."""
    if e.sent is None:
        return "MISSING"
    if e.times > 1:
        return f"SENT {e.times} TIMES"
    return "LATE" if e.sent - e.day > max_delay else ""


def main() -> int:
    began = datetime.now(UTC)
    backend = os.environ.get("BACKEND") or "embedded"
    os.environ.setdefault("SECONDS_PER_DAY", f"{SECONDS_PER_DAY.get(backend, 1.0):g}")
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    from local.provider_stubs.start import stand_ins
    from local.sandbox.outbox import Outbox
    from local.stack.gateway import Stack
    from shared.setting_types import SettingError

    with tempfile.TemporaryDirectory(prefix="clickwrap-relay-") as name:
        directory = Path(name)
        try:
            outbox = Outbox(directory / "outbox.db")
            with stand_ins(os.environ, outbox) as providers, Stack(directory, free_port()) as stack:
                print(f"Clickwrap Relay on {backend}: two weeks of one request; a day takes {seconds_per_day():g} s")
                print(f"through stand-ins for {' and '.join(providers)}\n" if providers else "")
                demo = Demo(stack.base)
                demo.play()
        except (SettingError, SystemExit) as e:
            print(str(e) if isinstance(e, SystemExit) else f"cannot start: {e}", file=sys.stderr)
            return 1
    errors = demo.result(MAX_DELAY[backend])
    took = (datetime.now(UTC) - began).total_seconds()
    print(
        f"\n{'FAILED: ' + '; '.join(errors) if errors else 'Every message was sent once and on time.'} ({took:.0f} s)"
    )
    return 1 if errors else 0


if __name__ == "__main__":
    from local.stack.gateway import leave

    leave(main())
