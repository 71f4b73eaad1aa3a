"""Virtual time: what happens when, and how long the call under way has lasted."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import count

SLICE = 60.0  # seconds
Planned = tuple[float, int, Callable[[], None]]  # when, in which order, what
START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)  # a Monday, 10:00 in New York


class Simulation:
    """One event at a time. `spent`: seconds that the handler under way has used; its clock shows them."""

    def __init__(self) -> None:
        self.now, self.spent = 0.0, 0.0  # seconds since START
        self._events: list[Planned] = []  # a heap of this slice's
        self._later: dict[int, list[Planned]] = defaultdict(list)  # by slice: a heap of a fortnight would be slow
        self._slice, self._order = 0, count()
        self.counts: Counter[str] = Counter()
        self._clock = 0.0, START  # as last read: a handler reads it many times at one moment

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Schedules a call for a time in seconds."""
        planned = max(when, self.now), next(self._order), what
        if planned[0] < (self._slice + 1) * SLICE:
            heapq.heappush(self._events, planned)
        else:
            self._later[int(planned[0] // SLICE)].append(planned)

    def run(self, until: float) -> None:
        """Makes every call that is due before `until`, in order of time."""
        self._run(until)
        while (self._slice + 1) * SLICE < until:
            self._slice += 1
            self._events = self._later.pop(self._slice, [])
            heapq.heapify(self._events)
            self._run(until)
        self.now, self.spent = until, 0.0

    def _run(self, until: float) -> None:
        while self._events and self._events[0][0] < until:
            self.now, _, what = heapq.heappop(self._events)
            self.begin()
            what()

    def begin(self) -> None:
        """A handler starts now."""
        self.spent = 0.0

    def seconds(self) -> float:
        """The time as the handler under way sees it."""
        return self.now + self.spent

    def clock(self) -> datetime:
        """The same as a datetime."""
        seconds = self.now + self.spent
        if self._clock[0] != seconds:
            self._clock = seconds, START + timedelta(seconds=seconds)
        return self._clock[1]

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
