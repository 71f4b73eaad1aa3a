"""The local stack's clock: the real time plus an offset that only grows.

Time-outs of calls and the rate limit of API calls measure real seconds and do not use it.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shared.setting_types import SettingError

IDLE_TIME = 0.5  # seconds without a call after which the stack is idle
MAX_IDLE_WAIT = 5.0  # seconds to wait until the stack is idle
MAX_CALL_WAIT = 60.0  # seconds to wait for running calls: the time-out of a function


class VirtualClock:
    """Returns the real time plus the offset.

    path: a file that keeps the offset in seconds, so that after a restart no stored time is in the future.
    Raises SettingError if the file cannot be read.
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
        raise SettingError(f"{path} must contain a number of seconds: delete it to return to the real time") from None


def _write(path: Path, ahead: timedelta) -> None:
    """Replace the file atomically, so that a kill cannot leave a partial file."""
    fresh = path.with_suffix(".new")
    fresh.write_text(f"{ahead.total_seconds():.6f}\n")
    os.replace(fresh, path)


class Busy(Exception):
    """Running calls did not end in time."""


class Calls:
    """Counts running calls, so that the clock is set forward between calls: during one, its lease would expire."""

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
        """Run `change` between calls. Waits until the stack is idle, so that no message is late. Raises Busy."""
        deadline = time.monotonic() + MAX_IDLE_WAIT
        with self._changed:
            while (pause := self._idle_in()) > 0 and time.monotonic() < deadline:
                self._changed.wait(pause)
            if not self._changed.wait_for(lambda: not self._running, MAX_CALL_WAIT):
                raise Busy("a delivery has not ended in time; try again")
            change()

    def _idle_in(self) -> float:
        """Seconds until the stack is idle; 0 or less if it is."""
        return IDLE_TIME if self._running else self._last + IDLE_TIME - time.monotonic()


class Travel:
    """Sets the clock forward.

    day: length of a day in seconds. next_reminder: when the next reminder is due; None without one.
    """

    def __init__(
        self, clock: VirtualClock, calls: Calls, day: float, next_reminder: Callable[[], datetime | None]
    ) -> None:
        self.clock, self.next_reminder, self.moved = clock, next_reminder, threading.Event()
        self._calls, self._day = calls, day

    def days_ahead(self) -> float:
        return self.clock.ahead.total_seconds() / self._day

    def days(self, n: float) -> None:
        """Go forward by n days. Raises Busy."""
        self._calls.between(lambda: self._forward(n * self._day))

    def to_next_reminder(self) -> None:
        """Go to the next reminder, if there is one. Raises Busy."""
        self._calls.between(self._to_next_reminder)

    def _to_next_reminder(self) -> None:
        due = self.next_reminder()
        if due is not None:
            self._forward(max(0.0, (due - self.clock()).total_seconds()))

    def _forward(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.moved.set()
