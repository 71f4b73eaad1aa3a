"""The restore drill: the database is exported, lost and imported again, and the relay continues.

What was done before the export is neither repeated nor forgotten. What came after it is read from Clickwrap again.
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
BOB = {"name": "Bob Lee", "email": "bob@example.com", "send_to": {"email": True, "mobile_number": False}}


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


@pytest.fixture
def drill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[OnEmulators, Database]]:
    with ExitStack() as stack:
        pubsub, firestore = (stack.enter_context(Process(e, tmp_path, command(e))) for e in (PUBSUB, FIRESTORE))
        tasks = stack.enter_context(TasksEmulator(clock=VirtualClock(tmp_path / "time")))
        for process in (pubsub, firestore):
            process.wait()
            monkeypatch.setenv(process.emulator.variable, process.host)
        monkeypatch.setenv("CLOUD_TASKS_EMULATOR_HOST", tasks.host)
        running = OnEmulators(tmp_path, "emulators")
        stack.callback(running.kill)
        yield running, Database(firestore, tmp_path / "export")


@pytest.mark.emulators
@pytest.mark.timeout(240)
def test_what_was_done_before_the_export_is_neither_repeated_nor_forgotten(
    drill: tuple[OnEmulators, Database],
) -> None:
    relay, database = drill
    relay.send(ERIC, JANE)
    until(lambda: relay.texts(ERICS) and relay.texts(JANES), "both invitations", 60)
    database.export()
    relay.send(BOB)
    until(lambda: relay.texts("bob@example.com"), "the invitation after the export", 60)

    database.lose()
    database.restore()

    relay.sign(ERICS)
    until(lambda: len(relay.texts(JANES)) == 2, "Jane's progress", 60)
    relay.sign(JANES)
    until(lambda: len(relay.texts(JANES)) == 3 and len(relay.texts(ERICS)) >= 2, "both completions", 60)
    relay.call("POST", "/reconcile", {})
    assert [len(relay.texts(who)) for who in (ERICS, JANES)] == [2, 3]
    assert len(relay.texts("bob@example.com")) == 1, (
        "a request that is unknown after the restore is adopted, not invited again"
    )
