"""The local stack's time: the real one, and as far ahead of it as it was told to go.

Time-outs of calls and the API's token bucket measure real seconds and do not use it.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shared.setting_types import SettingError

QUIET = 0.5  # seconds without a call before the stack counts as settled
SETTLE = 5.0  # seconds that are waited for it to settle
PATIENCE = 60.0  # seconds that calls under way are waited for: a function's own time-out


class VirtualClock:
    """path: a file for how far ahead it is, in seconds: after a restart nothing lies in the future.

    Raises SettingError when the file cannot be read.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._ahead = _read(path) if path and path.exists() else timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    @property
    def ahead(self) -> timedelta:
        return self._ahead

    def advance(self, seconds: float) -> None:
        ahead = self._ahead + timedelta(seconds=seconds)
        if self._path:
            _write(self._path, ahead)
        self._ahead = ahead


def _read(path: Path) -> timedelta:
    try:
        return timedelta(seconds=float(path.read_text()))
    except ValueError:
        raise SettingError(f"{path} holds no number of seconds: delete it to return to the real time") from None


def _write(path: Path, ahead: timedelta) -> None:
    """Whole or not at all, whenever the process is killed."""
    fresh = path.with_suffix(".new")
    fresh.write_text(f"{ahead.total_seconds():.6f}\n")
    os.replace(fresh, path)


class Busy(Exception):
    """Calls that began do not end."""


class Calls:
    """Counts the calls under way, so that time moves between them: within one, its lease would seem to run out."""

    def __init__(self) -> None:
        self._changed, self._running, self._last = threading.Condition(), 0, time.monotonic()

    @contextmanager
    def one(self) -> Iterator[None]:
        with self._changed:
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running, self._last = self._running - 1, time.monotonic()
                self._changed.notify_all()

    def between(self, change: Callable[[], None]) -> None:
        """Lets what is on its way arrive first, within reason: else it would be a day late. Raises Busy."""
        settled = time.monotonic() + SETTLE
        with self._changed:
            while (pause := self._unquiet()) > 0 and time.monotonic() < settled:
                self._changed.wait(pause)
            if not self._changed.wait_for(lambda: not self._running, PATIENCE):
                raise Busy("a delivery is under way and does not end; try again")
            change()

    def _unquiet(self) -> float:
        """Seconds still to be waited; 0 once settled."""
        return QUIET if self._running else self._last + QUIET - time.monotonic()


class Travel:
    """What the buttons do. day: length of a day in seconds. next_reminder: when the next one is due, if any is."""

    def __init__(
        self, clock: VirtualClock, calls: Calls, day: float, next_reminder: Callable[[], datetime | None]
    ) -> None:
        self.clock, self.next_reminder, self.moved = clock, next_reminder, threading.Event()
        self._calls, self._day = calls, day

    def days_ahead(self) -> float:
        return self.clock.ahead.total_seconds() / self._day

    def days(self, n: float) -> None:
        """Raises Busy."""
        self._calls.between(lambda: self._forward(n * self._day))

    def to_next_reminder(self) -> None:
        """Nothing happens when none is due. Raises Busy."""
        self._calls.between(self._to_next_reminder)

    def _to_next_reminder(self) -> None:
        due = self.next_reminder()
        if due is not None:
            self._forward(max(0.0, (due - self.clock()).total_seconds()))

    def _forward(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.moved.set()
