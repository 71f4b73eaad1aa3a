"""Virtual time: what happens when, and how long the call under way has lasted."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import count

START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)  # a Monday, 10:00 in New York


class Simulation:
    """One event at a time. `spent`: seconds that the handler under way has used; its clock shows them."""

    def __init__(self) -> None:
        self.now, self.spent = 0.0, 0.0  # seconds since START
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self.counts: Counter[str] = Counter()

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Schedules a call for a time in seconds."""
        heapq.heappush(self._events, (max(when, self.now), next(self._order), what))

    def run(self, until: float) -> None:
        """Makes every call that is due before `until`, in order of time."""
        while self._events and self._events[0][0] < until:
            self.now, _, what = heapq.heappop(self._events)
            self.spent = 0.0
            what()
        self.now, self.spent = until, 0.0

    def seconds(self) -> float:
        """The time as the handler under way sees it."""
        return self.now + self.spent

    def clock(self) -> datetime:
        """The same as a datetime."""
        return START + timedelta(seconds=self.now + self.spent)

    def side_by_side(self, at_once: int, do: Callable[[str], None], items: Iterable[str]) -> None:
        """The handler under way calls `do` with each item, so many of them at the same time."""
        spent = [self.spent] * at_once
        for item in items:
            self.spent = heapq.heappop(spent)
            do(item)
            heapq.heappush(spent, self.spent)
        self.spent = max(spent)

    def spend(self, seconds: float, what: str = "", count: int = 1) -> None:
        """The handler under way waits for so long; what: is counted, for the cost."""
        self.spent += seconds
        if what:
            self.counts[what] += count


def seconds_of(at: datetime) -> float:
    """A datetime as seconds since START."""
    return (at - START).total_seconds()
