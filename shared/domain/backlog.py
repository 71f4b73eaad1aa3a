"""How many messages wait to be sent, or events to be handled, and when the last of them will have left."""

from datetime import datetime, timedelta

import msgspec

PACE = timedelta(minutes=10)  # over which the pace is measured
FEW = 100  # below that, each message waits for a reason of its own
MOST = 100_000  # counting ends there


class Backlog(msgspec.Struct, frozen=True):
    """more: there may be others. done_at: at the present pace, to the minute; None while none leave, or with `more`."""

    waiting: int
    done_at: datetime | None = None
    more: bool = False


def backlog(waiting: int, left: int, now: datetime, *, more: bool = False) -> Backlog | None:
    """None for a few. left: within PACE. more: whether others may wait that were not counted."""
    if waiting < FEW:
        return None
    if not left or more:
        return Backlog(waiting, more=more)
    done_at = now + PACE * (waiting / left)
    return Backlog(waiting, done_at.replace(second=0, microsecond=0) + timedelta(minutes=1))
