"""`local.stack` on emulators that somebody else has started, and that outlive it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from local.emulation import google_emulators, tasks_emulator
from local.stack import gateway

VARIABLES = ("PUBSUB_EMULATOR_HOST", "FIRESTORE_EMULATOR_HOST")


@contextmanager
def running_already(directory: Path) -> Iterator[dict[str, str]]:
    yield {name: os.environ[name] for name in VARIABLES}


class Elsewhere:
    host = os.environ["CLOUD_TASKS_EMULATOR_HOST"]

    def __init__(self, **_: object) -> None:
        pass

    def __enter__(self) -> "Elsewhere":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def next_due(self, queue: str) -> datetime | None:
        return None


if __name__ == "__main__":
    google_emulators.emulators = running_already
    tasks_emulator.TasksEmulator = Elsewhere  # type: ignore[assignment,misc]
    gateway.leave(gateway.main())
