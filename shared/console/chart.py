"""The small chart: signers as rows, days as columns, a mark for what was sent, is due, or was called off."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from shared.domain.timeline import Moment

LEFT, RIGHT, TOP, ROW = 150.0, 730.0, 34.0, 36.0  # where the first day, the last day and the first row stand
NEAR, SHIFTS = 12.0, (0.0, -11.0, 11.0)  # a mark is 6 high: it stays within half a row
SPACING = (1, 2, 7, 14, 30, 90, 365)  # days between two columns
WORDS = {
    "invited": "invitation planned",
    "signed": "signed",
    "sent": "message sent",
    "failed": "message failed",
    "suppressed": "message not sent",
    "waiting": "message waiting",
    "due": "reminder due",
    "cancelled": "called off",
}


class Spot(msgspec.Struct, frozen=True):
    """One mark on the chart."""

    x: float
    y: float
    mark: str
    title: str


class Row(msgspec.Struct, frozen=True):
    """One signer's line of marks."""

    y: float
    label: str
    spots: list[Spot]


class Chart(msgspec.Struct, frozen=True):
    """description: the same in words."""

    rows: list[Row]
    columns: list[tuple[float, str]]
    now: float
    height: float
    description: str


class _Scale(msgspec.Struct, frozen=True):
    """From times to places: `first` is at the left edge, `last` at the right one. day: how long a day lasts."""

    first: datetime
    last: datetime
    day: timedelta

    def x(self, at: datetime) -> float:
        return round(LEFT + (RIGHT - LEFT) * (at - self.first) / (self.last - self.first), 1)

    def columns(self) -> list[tuple[float, str]]:
        days = (self.last - self.first) / self.day
        step = next((s for s in SPACING if days / s <= 16), SPACING[-1])
        return [(self.x(self.first + n * self.day), f"{n}") for n in range(0, int(days) + 1, step)]

    def spot(self, m: Moment, y: float) -> Spot:
        return Spot(self.x(m.at), y, m.mark, f"{m.what}, day {(m.at - self.first) / self.day:.1f}")


def chart(
    keys: Sequence[str], moments: list[Moment], now: datetime, day: timedelta, label: Callable[[str], str]
) -> Chart | None:
    """None while there is nothing to show.

    keys: the signers, a row each. day: how long a day lasts. label: how a signer is called.
    """
    marked = [m for m in moments if m.mark]
    if not marked:
        return None
    scale = _Scale(marked[0].at, max(marked[-1].at, now, marked[0].at + day), day)
    rows = [_row(n, label(key), [m for m in marked if m.signer == key], scale) for n, key in enumerate(keys)]
    told = [f"{row.label}: {'; '.join(s.title for s in row.spots) or 'nothing yet'}." for row in rows]
    return Chart(rows, scale.columns(), scale.x(now), TOP + ROW * len(rows) + 8, " ".join(told))


def _row(n: int, label: str, moments: list[Moment], scale: _Scale) -> Row:
    y = TOP + ROW * n + ROW / 2
    return Row(y, label, list(_apart([scale.spot(m, y) for m in moments])))


def _apart(spots: list[Spot]) -> Iterator[Spot]:
    """Marks that would cover each other are drawn above and below instead."""
    for n, spot in enumerate(spots):
        near = sum(spot.x - before.x < NEAR for before in spots[:n])
        yield replace(spot, y=spot.y + SHIFTS[near % len(SHIFTS)])
