"""The ports of a local stack for commands: they read and write its files, and deliver nothing."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared import bootstrap
from shared.setting_types import SettingError
from shared.settings.local import PORT


@contextmanager
def offline_ports() -> Iterator[None]:
    """BACKEND=embedded: the files of `make run`. BACKEND=gcp: Google Cloud, with your own login.

    Raises:
        SettingError: there are no files, or the backend is one that commands cannot read.
    """
    if os.environ.get("BACKEND") == "gcp":
        yield
        return
    if os.environ.get("BACKEND") == "emulators":
        raise SettingError("BACKEND=emulators keeps its state in the running stack: use the console of that stack")
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
        raise SettingError(f"LOCAL_DIR: {directory} holds no state: `make run` creates it")
    bootstrap.set_time(VirtualClock(directory / "time"))
    embedded = Embedded(directory / "relay.db", bootstrap.clock, Pace(1, 1))
    ports = embedded.bus, embedded.ledger, embedded.scheduler, embedded.dead_letters
    bootstrap.use(LocalBackend(*ports, Outbox(directory / "outbox.db"), embedded.scheduler.next_due))
    try:
        yield
    finally:
        embedded.stop()
