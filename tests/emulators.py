"""Google's emulators for tests: a plugin. Started once a session, a project of its own a test."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from local.emulation.google_emulators import emulators
from local.emulation.tasks_emulator import TasksEmulator

LOCATION = "here"


@dataclass(frozen=True)
class Cloud:
    project: str
    tasks: TasksEmulator


@pytest.fixture(scope="session")
def google_emulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variables that point Google's clients at the emulators. Who uses it is marked `emulators`."""
    with emulators(tmp_path_factory.mktemp("emulators")) as environ:
        yield environ


@pytest.fixture
def cloud(google_emulators: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """An empty project: the emulators take any name, and keep what belongs to one from the others."""
    with TasksEmulator() as tasks:
        for name, value in {**google_emulators, "CLOUD_TASKS_EMULATOR_HOST": tasks.host}.items():
            monkeypatch.setenv(name, value)
        yield Cloud(f"test-{uuid.uuid4().hex[:12]}", tasks)
