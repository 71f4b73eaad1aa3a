"""A source file for functions-framework: the real `receive`, its Bus on SQLite at BUS, opened after gunicorn forks."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path

from local.emulation.embedded import Embedded
from local.emulation.http_push import Pace
from shared import bootstrap
from shared.ports import Message


@cache
def embedded() -> Embedded:
    return Embedded(Path(os.environ["BUS"]), partial(datetime.now, UTC), Pace(1, 1))


class LateBus:
    def publish(self, topic: str, messages: Sequence[Message]) -> None:
        embedded().bus.publish(topic, messages)


class LateBackend:
    def bus(self) -> LateBus:
        return LateBus()

    ledger = scheduler = outbox = NotImplemented


bootstrap.use(LateBackend())  # type: ignore[arg-type]

from functions.receive.main import receive  # noqa: E402 - it looks for its backend when imported

__all__ = ["receive"]
