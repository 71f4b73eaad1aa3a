"""For commands on the state that a stack has left, or is at work on: its ports without its pumps."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared import bootstrap
from shared.setting_types import SettingError
from shared.settings import PORT


@contextmanager
def opened() -> Iterator[None]:
    """BACKEND=embedded: the files of `make run`. BACKEND=gcp: the cloud, by your own login. Raises SettingError."""
    if os.environ.get("BACKEND") == "gcp":
        yield
        return
    if os.environ.get("BACKEND") == "emulators":
        raise SettingError("BACKEND=emulators keeps its state in the running stack: use its console")
    with _embedded():
        yield


@contextmanager
def _embedded() -> Iterator[None]:
    from local.emulation.embedded import Embedded
    from local.emulation.http_push import Pace
    from local.sandbox.outbox import Outbox
    from local.stack.backends import LocalBackend
    from local.stack.clock import VirtualClock
    from local.stack.gateway import ROOT, configure

    configure(os.environ, bootstrap.settings()[PORT])
    directory = Path(os.environ.get("LOCAL_DIR") or ROOT / ".local")
    if not (directory / "relay.db").exists():
        raise SettingError(f"LOCAL_DIR: {directory} holds no state; `make run` makes it")
    bootstrap.set_time(VirtualClock(directory / "time"))
    embedded = Embedded(directory / "relay.db", bootstrap.clock, Pace(1, 1))
    ports = embedded.bus, embedded.ledger, embedded.scheduler, embedded.dead_letters
    bootstrap.use(LocalBackend(*ports, Outbox(directory / "outbox.db"), embedded.scheduler.next_due))
    try:
        yield
    finally:
        embedded.stop()
