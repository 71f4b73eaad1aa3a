"""How many messages wait to be sent, and when the last of them will have left."""

from datetime import datetime, timedelta

import msgspec

PACE = timedelta(minutes=10)  # over which the pace is measured
FEW = 100  # below that, each message waits for a reason of its own
MOST = 100_000  # counting ends there


class Backlog(msgspec.Struct, frozen=True):
    """waiting: messages. done_at: at the present pace, to the minute; None while none leave, or they are too many."""

    waiting: int
    done_at: datetime | None = None


def backlog(waiting: int, left: int, now: datetime) -> Backlog | None:
    """None for a few. waiting: messages to be tried again, MOST for that many or more. left: within PACE."""
    if waiting < FEW:
        return None
    if not left or waiting >= MOST:
        return Backlog(waiting)
    done_at = now + PACE * (waiting / left)
    return Backlog(waiting, done_at.replace(second=0, microsecond=0) + timedelta(minutes=1))
