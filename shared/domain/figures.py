"""How many messages of each day were sent, delivered and failed, and how long they took."""

from collections.abc import Iterable
from datetime import date

import msgspec

from shared.domain.model import ChannelName, NoticeRecord, NoticeState


class DayFigures(msgspec.Struct, kw_only=True):
    """One day and channel. late: seconds from a notice's beginning until its provider took it, each.

    partial: whether messages of that day are missing here.
    """

    day: date
    channel: ChannelName
    sent: int = 0
    delivered: int = 0
    failed: int = 0
    late: list[float] = []
    partial: bool = False

    @property
    def usual(self) -> float:
        """Median of the seconds; 0 without any."""
        from statistics import median  # what it imports takes 2 ms, and the console's first page needs none of it

        return median(self.late) if self.late else 0.0


def by_day(records: Iterable[NoticeRecord], since: date) -> list[DayFigures]:
    """By day and channel, the newest first, of those begun after the day `since`, in UTC."""
    found: dict[tuple[date, ChannelName], DayFigures] = {}
    for record in records:
        day = record.history[0].at.date()
        if record.channel is not ChannelName.NONE and day > since:
            figures = found.setdefault((day, record.channel), DayFigures(day=day, channel=record.channel))
            _count(figures, record)
    return [found[key] for key in sorted(found, reverse=True)]


def _count(figures: DayFigures, record: NoticeRecord) -> None:
    figures.sent += any(t.state is NoticeState.ACCEPTED for t in record.history)
    figures.delivered += record.state is NoticeState.DELIVERED
    figures.failed += record.state in (NoticeState.FAILED, NoticeState.UNDELIVERED)
    taken = [t.at for t in record.history if t.state is NoticeState.ACCEPTED]
    if taken:
        figures.late = [*figures.late, (taken[0] - record.history[0].at).total_seconds()]
