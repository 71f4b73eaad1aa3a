"""The chart of a request: signers as rows, days as columns, a mark for what was sent, is due, or was called off."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from shared.domain.model import Request
from shared.domain.timeline import Moment

LEFT, RIGHT, TOP, ROW = (
    150.0,
    730.0,
    34.0,
    30.0,
)  # pixels: x of the first and the last day, y of the first row, height of a row
ROWS = 40  # signers drawn
NEAR, SHIFTS = 9.0, (0.0, -11.0, 11.0)
SPACING = (1, 2, 7, 14, 30, 90, 365)  # days between two columns
WORDS = {
    "invited": "invitation planned",
    "signed": "signed",
    "sent": "message sent",
    "failed": "message failed",
    "waiting": "message waiting",
    "due": "reminder due",
    "cancelled": "called off",
}


class Spot(msgspec.Struct, frozen=True):
    """A mark, at x and y in pixels."""

    x: float
    y: float
    mark: str
    title: str


class Row(msgspec.Struct, frozen=True):
    """A signer's line, at y in pixels."""

    y: float
    label: str
    spots: list[Spot]


class Picture(msgspec.Struct, frozen=True):
    """All that the template draws. `now` and the columns are x in pixels."""

    rows: list[Row]
    columns: list[tuple[float, str]]
    now: float
    height: float
    left_out: int  # signers not drawn
    description: str


def picture(
    request: Request, moments: list[Moment], now: datetime, day: timedelta, label: Callable[[str], str]
) -> Picture | None:
    """None while there is nothing to show. day: how long a day lasts. label: a signer's name on the chart."""
    marked = [m for m in moments if m.mark]
    if not marked:
        return None
    first, last = marked[0].at, max(marked[-1].at, now, marked[0].at + day)

    def x(at: datetime) -> float:
        return round(LEFT + (RIGHT - LEFT) * (at - first) / (last - first), 1)

    def title(m: Moment) -> str:
        return f"{m.what}, day {(m.at - first) / day:.1f}"

    keys = sorted(request.signers, key=lambda k: request.signers[k].number)
    rows = []
    for n, key in enumerate(keys[:ROWS]):
        y = TOP + ROW * n + ROW / 2
        spots = [Spot(x(m.at), y, m.mark, title(m)) for m in marked if m.signer == key]
        rows.append(Row(y, label(key), list(_apart(spots))))
    days = (last - first) / day
    step = next((s for s in SPACING if days / s <= 16), SPACING[-1])
    columns = [(x(first + n * day), f"{n}") for n in range(0, int(days) + 1, step)]
    told = [f"{row.label}: {'; '.join(s.title for s in row.spots) or 'nothing yet'}." for row in rows]
    return Picture(rows, columns, x(now), TOP + ROW * len(rows) + 8, max(0, len(keys) - ROWS), " ".join(told))


def _apart(spots: list[Spot]) -> Iterator[Spot]:
    """Moves marks that would overlap up or down."""
    for n, spot in enumerate(spots):
        near = sum(spot.x - before.x < NEAR for before in spots[:n])
        yield replace(spot, y=spot.y + SHIFTS[near % len(SHIFTS)])
