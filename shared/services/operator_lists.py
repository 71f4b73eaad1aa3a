"""Lists for an operator, page by page, however much the ledger holds."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time, timedelta
from typing import TypeVar

import msgspec

from shared.domain.causes import cause_of
from shared.domain.model import NoticeRecord, NoticeState, Request
from shared.ports import Ledger, Mark, Only

K = TypeVar("K")
V = TypeVar("V")
Rows = Sequence[tuple[str, msgspec.Struct]]  # keys and documents

PAGE = 25
SIDE_BY_SIDE = 16  # reads at the same time
SCANNED = 200  # rows of an index that are read for one page of a narrowed list
DAY = timedelta(days=1)
RECENT_FAILURES = (NoticeState.FAILED, NoticeState.UNDELIVERED, NoticeState.UNKNOWN)
NOT_ARRIVED = (*RECENT_FAILURES, NoticeState.SUPPRESSED)


class Page(msgspec.Struct, frozen=True):
    """Keys and documents, newest first; `next` is where the page after it begins, None at the end."""

    rows: Rows
    next: Mark | None


class Narrow(msgspec.Struct, frozen=True, kw_only=True):
    """What a list is narrowed to. Days are UTC, both ends included; "" and None stand for all."""

    since: date | None = None
    until: date | None = None
    channel: str = ""
    provider: str = ""
    cause: str = ""
    site: str = ""

    def fits(self, item: msgspec.Struct) -> bool:
        """Whether a document belongs to the list, its day aside; a message besides by the site of its request."""
        wanted: tuple[tuple[str, str], ...] = ()
        if isinstance(item, Request):
            wanted = ((self.site, item.site),)
        elif isinstance(item, NoticeRecord):
            provider, cause = item.provider or "none", _cause(item)
            wanted = ((self.channel, item.channel), (self.provider, provider), (self.cause, cause))
        return all(not want or want.lower() == has.lower() for want, has in wanted)


class Lists:
    """Every method raises RetryLater when the database cannot be reached."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def page(
        self,
        kind: type[msgspec.Struct],
        only: Only | None,
        after: Mark | None,
        narrow: Narrow | None = None,
        size: int = PAGE,
    ) -> Page:
        """The newest of one kind, of those that an index knows (`only`) and a narrowing. size: at most SCANNED."""
        if narrow and narrow != Narrow():
            return self._narrowed(kind, only, after, narrow, size)
        rows = self._ledger.newest(kind, size + 1, only=only, after=after)
        return Page(rows[:size], mark(*rows[size - 1]) if len(rows) > size else None)

    def _narrowed(
        self, kind: type[msgspec.Struct], only: Only | None, after: Mark | None, narrow: Narrow, size: int
    ) -> Page:
        """No index knows these: SCANNED rows are read for each page."""
        if after is None and narrow.until and narrow.until < date.max:  # which no day follows
            after = (datetime.combine(narrow.until + DAY, time(), UTC), "")
        rows = self._ledger.newest(kind, SCANNED, only=only, after=after)
        young = [row for row in rows if not narrow.since or mark(*row)[0].date() >= narrow.since]
        page = cut(self._fitting(young, narrow), rows, size)
        return page if len(young) == len(rows) or len(page.rows) == size else Page(page.rows, None)

    def _fitting(self, rows: Rows, narrow: Narrow) -> Rows:
        hits = [row for row in rows if narrow.fits(row[1])]
        return self._of_site(hits, narrow) if narrow.site else hits

    def _of_site(self, rows: Rows, narrow: Narrow) -> Rows:
        """Of messages those whose request belongs to the site."""
        requests = self._ledger.several(Request, (r.request_id for _, r in rows if isinstance(r, NoticeRecord)))
        of = {key for key, request in requests.items() if narrow.fits(request)}
        return [(key, r) for key, r in rows if not isinstance(r, NoticeRecord) or r.request_id in of]


def together(read: Callable[[K], V], keys: Sequence[K]) -> list[tuple[K, V]]:
    """Each key with what was read for it; many at the same time."""
    if len(keys) < 2:
        return [(key, read(key)) for key in keys]
    with ThreadPoolExecutor(min(len(keys), SIDE_BY_SIDE)) as pool:
        return list(zip(keys, pool.map(read, keys), strict=True))


def cut(hits: Rows, rows: Rows, size: int = PAGE) -> Page:
    """The first page of the hits among the rows that were read."""
    if len(hits) > size:
        return Page(hits[:size], mark(*hits[size - 1]))
    return Page(hits, mark(*rows[-1]) if len(rows) == SCANNED else None)


def _cause(record: NoticeRecord) -> str:
    return cause_of(record).value if record.state in NOT_ARRIVED else ""


def mark(key: str, item: msgspec.Struct) -> Mark:
    """Where a list goes on after this row."""
    at: datetime = getattr(item, "since", None) or getattr(item, "changed_at")  # noqa: B009 - of any listed kind
    return at, key
