"""Waiting for what happens in other threads."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(happened: Callable[[], T], within: float = 15.0) -> T:
    """The first true value, looked for every few milliseconds. Fails when it does not come in time (seconds)."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        if value := happened():
            return value
        time.sleep(0.005)
    raise AssertionError(f"did not happen within {within} s")
