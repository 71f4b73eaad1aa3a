"""Google's emulators for tests: a plugin. Started once a run, shared by its workers; a project of its own a test."""

import fcntl
import json
import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.emulation.google_emulators import FIRESTORE, PUBSUB, Process, command
from local.emulation.tasks_emulator import TasksEmulator

LOCATION = "here"
SHARED = "TESTS_EMULATORS"  # names a folder: what is shared by the processes of one run


@dataclass(frozen=True)
class Cloud:
    project: str
    tasks: TasksEmulator


class Run:
    """In the process that the run begins and ends in. What a worker has started must outlive the worker."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="emulators-"))
        os.environ[SHARED] = str(self._folder)

    def pytest_unconfigure(self) -> None:
        for file in self._folder.glob("*.pid"):
            with suppress(ProcessLookupError):
                os.killpg(int(file.read_text()), signal.SIGTERM)
        shutil.rmtree(self._folder, ignore_errors=True)


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Run())


@pytest.fixture(scope="session")
def google_emulators() -> dict[str, str]:
    """The variables that point Google's clients at the emulators. Who uses it is marked `emulators`."""
    folder = Path(os.environ[SHARED])
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        hosts = folder / "hosts.json"
        if not hosts.exists():
            hosts.write_text(json.dumps(_started(folder)))
        return dict(json.loads(hosts.read_text()))


def _started(folder: Path) -> dict[str, str]:
    started = [Process(emulator, folder, command(emulator)) for emulator in (PUBSUB, FIRESTORE)]
    for process in started:
        process.__enter__()
        (folder / f"{process.emulator.component}.pid").write_text(str(process._process.pid))
    for process in started:
        process.wait()
    KEPT.extend(started)
    return {process.emulator.variable: process.host for process in started}


KEPT: list[Process] = []  # a Popen that nobody holds would warn


@pytest.fixture
def cloud(google_emulators: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """An empty project: the emulators take any name, and keep what belongs to one from the others."""
    with TasksEmulator() as tasks:
        for name, value in {**google_emulators, "CLOUD_TASKS_EMULATOR_HOST": tasks.host}.items():
            monkeypatch.setenv(name, value)
        yield Cloud(f"test-{uuid.uuid4().hex[:12]}", tasks)
