"""The restore drill: the database is exported, lost and imported again, and the relay continues.

Between export and loss reminders fall due, somebody signs, and a request comes: none of that is told again. What comes
after the restore is.
"""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from local.emulation.google_emulators import FIRESTORE, PUBSUB, Process, command
from local.emulation.tasks_emulator import TasksEmulator
from local.stack.clock import VirtualClock
from tests.e2e.stack import ERIC, ERICS, JANE, JANES, ROOT, Running, until

DATABASE = "projects/clickwrap-local/databases/(default)"
ANN, BOB = (
    {"name": f"{name} Lee", "email": f"{name}@example.com".lower(), "send_to": {"email": True, "mobile_number": False}}
    for name in ("Ann", "Bob")
)
ADDRESSES = {"eric": ERICS, "jane": JANES, "ann": "ann@example.com", "bob": "bob@example.com"}


class OnEmulators(Running):
    """The stack on emulators of this process, which outlive a stop of Firestore's."""

    def start(self) -> None:
        env = {**os.environ, "BACKEND": "emulators", "PORT": str(self.port), "LOCAL_DIR": str(self.directory)}
        log = open(self.directory / "stack.log", "ab")  # noqa: SIM115 - the child's for its whole life
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.on_emulators"],
            cwd=ROOT,
            env={**env, **self.settings},
            stdout=log,
            stderr=log,
        )
        until(self._up, "the stack is up", 60)


class Database:
    """Firestore's emulator, with the export and import of the real one."""

    def __init__(self, process: Process, folder: Path) -> None:
        self.process, self._folder = process, folder

    def export(self) -> None:
        self._folder.mkdir()
        body = {"database": DATABASE, "export_directory": str(self._folder), "export_name": "copy"}
        self._call("POST", "/emulator/v1/projects/clickwrap-local:export", json.dumps(body))

    def lose(self) -> None:
        self._call("DELETE", f"/emulator/v1/{DATABASE}/documents")

    def restore(self) -> None:
        """Emulators import at their start only."""
        (copy,) = self._folder.rglob("copy.overall_export_metadata")
        self.process.__exit__()
        self.process._argv.append(f"--seed_from_export={copy}")
        self.process.__enter__()
        self.process.wait()

    def _call(self, method: str, path: str, body: str = "") -> None:
        connection = http.client.HTTPConnection(self.process.host, timeout=30)
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()


class Drill:
    """The relay, its database, and its time: both the stack and the emulator of Cloud Tasks have a clock."""

    def __init__(self, relay: OnEmulators, database: Database, tasks: TasksEmulator) -> None:
        self.relay, self.database, self._tasks = relay, database, tasks

    def days_pass(self, days: int) -> None:
        status, body = self.relay.call("POST", "/sandbox/time", {"days": days})
        assert status == 200, body
        self._tasks.advance(days * 86_400)

    def now(self) -> str:
        return self._tasks.now().isoformat()

    def restored(self, since: str) -> None:
        """The database as of `since`, and a relay that is told of it."""
        self.relay.stop()
        self.relay.settings["RESTORED"] = f"{since}/{self.now()}"
        self.database.lose()
        self.database.restore()
        self.relay.start()

    def told(self, what: str, **counts: int) -> None:
        until(lambda: {who: len(self.relay.texts(ADDRESSES[who])) for who in counts} == counts, what, 60)


@pytest.fixture
def drill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Drill]:
    with ExitStack() as stack:
        pubsub, firestore = (stack.enter_context(Process(e, tmp_path, command(e))) for e in (PUBSUB, FIRESTORE))
        tasks = stack.enter_context(TasksEmulator(clock=VirtualClock(tmp_path / "time")))
        for process in (pubsub, firestore):
            process.wait()
            monkeypatch.setenv(process.emulator.variable, process.host)
        monkeypatch.setenv("CLOUD_TASKS_EMULATOR_HOST", tasks.host)
        running = OnEmulators(tmp_path, "emulators", SEND_WINDOW="off")
        stack.callback(running.kill)
        yield Drill(running, Database(firestore, tmp_path / "export"), tasks)


@pytest.mark.emulators
@pytest.mark.timeout(240)
def test_what_was_sent_before_the_loss_is_not_repeated_and_what_comes_after_it_is_sent(drill: Drill) -> None:
    relay = drill.relay
    relay.send(ERIC, JANE)
    drill.told("both invitations", eric=1, jane=1)
    copied = drill.now()
    drill.database.export()

    drill.days_pass(3)
    drill.told("both reminders", eric=2, jane=2)
    relay.sign(ERICS)
    drill.told("Jane's progress", jane=3)
    unknown = relay.send(ANN, BOB)
    drill.told("two invitations of a request that the copy lacks", ann=1, bob=1)

    drill.restored(since=copied)

    assert relay.call("POST", "/reconcile", {})[0] == 200
    status, body = relay.call("POST", f"/sandbox/requests/{unknown}/trigger", {"event": "signed"})
    assert status == 200, body
    drill.told("Bob's progress", bob=2)
    assert "Ann Lee has signed" in relay.texts(ADDRESSES["bob"])[1]
    relay.sign(JANES)
    drill.told("both completions", eric=3, jane=4)
    relay.call("POST", "/reconcile", {})
    drill.told("nothing else", eric=3, jane=4, ann=1, bob=2)
    drill.days_pass(4)
    drill.told("Bob's next reminder", bob=3)
    drill.told("nothing else", eric=3, jane=4, ann=1, bob=3)
