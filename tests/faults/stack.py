"""The relay under test, its real entry points in a process of its own, on either backend; and what is done to it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from unittest.mock import patch

from local.emulation.embedded import Embedded
from local.emulation.google_emulators import FIRESTORE, PUBSUB, Process, command
from local.emulation.http_push import Pace
from local.emulation.tasks_emulator import TasksEmulator
from local.stack.backends import NextDue
from local.stack.clock import VirtualClock
from shared.adapters.gcp.dead_letters import PubSubDeadLetters
from shared.adapters.gcp.firestore import FirestoreLedger
from shared.adapters.gcp.pubsub import PubSubBus
from shared.domain.model import NoticeRecord
from shared.ports import Bus, DeadLetters, Ledger
from shared.services.resource_names import STATUS, ResourceNames
from tests.e2e.stack import ROOT, Running, until
from tests.faults.consumer import SECRET
from tests.faults.director import TOKEN
from tests.faults.provider import BOSS
from tests.faults.proxy import Proxy
from tests.faults.receipts import SIGNING_KEY
from tests.faults.receipts import TOKEN as TOKEN_OF_TWILIO
from tests.faults.script import DAY

PROJECT = "clickwrap-local"
MANY = 1_000_000


@dataclass
class Emulated:
    """Google's emulators, which outlive the relay's process. cuts: between it and them."""

    processes: list[Process] = field(default_factory=list)
    cuts: list[Proxy] = field(default_factory=list)

    def cut(self, seconds: float) -> None:
        for proxy in self.cuts:
            proxy.cut()
        time.sleep(seconds)
        for proxy in self.cuts:
            proxy.mend()

    def pause(self, seconds: float) -> None:
        self._signal(signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        for process in self.processes:
            os.killpg(process._process.pid, number)


class Relay(Running):
    """The ports lead past whatever is done to it. cut_claims: of its kills, as (notice, length of its history)."""

    def __init__(
        self,
        directory: Path,
        ledger: Ledger,
        bus: Bus,
        letters: DeadLetters,
        next_due: NextDue,
        settings: dict[str, str],
    ) -> None:
        self.ledger, self.bus, self.letters, self._next_due = ledger, bus, letters, next_due
        self.clock = VirtualClock(directory / "time")
        self.kills, self.cut_claims = 0, set[tuple[str, int]]()
        super().__init__(directory, settings["BACKEND"], **settings)

    def next_retry(self) -> datetime | None:
        """When the next deferred message comes back."""
        due = [self._next_due(ResourceNames().retries(of)) for of in ("", "sms", "email", STATUS)]
        return min(filter(None, due), default=None)

    def start(self) -> None:
        module = "tests.faults.on_emulators" if self.backend == "emulators" else "local.stack"
        # Without measuring coverage, which costs a quarter of the time: other tests reach what this one does.
        env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_PROCESS")}
        env |= {"PORT": str(self.port), "LOCAL_DIR": str(self.directory), **self.settings}
        env |= {"RECEIPTS_BASE_URL": f"{self.base}/receipts"}
        with open(self.directory / "stack.log", "ab") as log:
            self.process = subprocess.Popen([sys.executable, "-m", module], cwd=ROOT, env=env, stdout=log, stderr=log)
        until(self._up, "the stack is up", 60)

    def die(self, ahead: float) -> None:
        """SIGKILL, and back after a while that the run's clock jumps over: leases run out, what waits falls due."""
        self.kill()
        self.kills += 1
        claimed = self.ledger.newest(NoticeRecord, MANY, only=("state", "sending"))
        self.cut_claims |= {(key, len(record.history)) for key, record in claimed}
        self.clock.advance(ahead)
        self.start()


def settings(backend: str, api: str, provider: str, consumer: str) -> dict[str, str]:
    return {
        "BACKEND": backend,
        "SECONDS_PER_DAY": str(DAY),
        "CLICKWRAP_WEBHOOK_TOKENS": TOKEN,
        "CLICKWRAP_API_URL": api,
        "CLICKWRAP_API_TOKEN": "soak",
        "API_RATE_PER_MINUTE": "6000",
        "SMS_PROVIDER": "twilio",
        "TWILIO_API_URL": provider,
        "TWILIO_ACCOUNT_SID": "AC0",
        "TWILIO_AUTH_TOKEN": TOKEN_OF_TWILIO,
        "TWILIO_FROM": "+15005550006",
        "EMAIL_PROVIDER": "mailgun",
        "MAILGUN_API_URL": provider,
        "MAILGUN_API_KEY": "soak",
        "MAILGUN_SIGNING_KEY": SIGNING_KEY,
        "MAILGUN_DOMAIN": "mg.example.com",
        "SENDER_FALLBACK": BOSS,
        "STATUS_WEBHOOK_URL": consumer,
        "STATUS_WEBHOOK_SECRETS": SECRET,
        "LOG_LEVEL": "INFO",
    }


@contextmanager
def relay(directory: Path, settings: dict[str, str]) -> Iterator[tuple[Relay, Emulated | None]]:
    open_ = _emulators if settings["BACKEND"] == "emulators" else _embedded
    with open_(directory, settings) as (running, emulated):
        try:
            yield running, emulated
        finally:
            running.kill()


@contextmanager
def _embedded(directory: Path, settings: dict[str, str]) -> Iterator[tuple[Relay, None]]:
    aside = Embedded(directory / "relay.db", VirtualClock(directory / "time"), Pace(1, 1))
    try:
        ports = aside.ledger, aside.bus, aside.dead_letters, aside.scheduler.next_due
        yield Relay(directory, *ports, settings), None
    finally:
        aside.stop()


@contextmanager
def _emulators(directory: Path, settings: dict[str, str]) -> Iterator[tuple[Relay, Emulated]]:
    """The tasks emulator lives here: Cloud Tasks does not die with a function either."""
    clock, emulated = VirtualClock(directory / "time"), Emulated()
    with ExitStack() as stack:
        stack.enter_context(patch.dict(os.environ))
        for emulator in (PUBSUB, FIRESTORE):
            emulated.processes.append(stack.enter_context(Process(emulator, directory, command(emulator))))
        tasks = stack.enter_context(TasksEmulator(clock=clock))
        for process in emulated.processes:
            process.wait()
            proxy = stack.enter_context(Proxy(process.host))
            emulated.cuts.append(proxy)
            os.environ[process.emulator.variable] = process.host
            settings = settings | {process.emulator.variable: proxy.host}
        settings = settings | {"CLOUD_TASKS_EMULATOR_HOST": tasks.host, "TASKS_SERVICE_ACCOUNT": ""}
        ports = FirestoreLedger(PROJECT), PubSubBus(PROJECT, clock), PubSubDeadLetters(PROJECT), tasks.next_due
        running = Relay(directory, *ports, settings)
        running.clock = clock
        yield running, emulated
