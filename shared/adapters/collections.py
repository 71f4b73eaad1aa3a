"""Which collection holds which document: the one table that every ledger reads."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import msgspec

from shared.domain.errors import PermanentFailure
from shared.domain.model import Link, NoticeRecord, RelayStatus, Request, Suppression

T = TypeVar("T", bound=msgspec.Struct)

COLLECTIONS: dict[type[msgspec.Struct], str] = {
    Request: "requests",
    NoticeRecord: "notices",
    Link: "links",
    Suppression: "suppressions",
    RelayStatus: "control",
}

# What lists are sorted by, newest first, and what they may be narrowed to: an index each.
CHANGED: dict[type[msgspec.Struct], str] = {Request: "changed_at", NoticeRecord: "changed_at", Suppression: "since"}
NARROWED: dict[type[msgspec.Struct], tuple[str, ...]] = {
    Request: ("status", "search"),
    NoticeRecord: ("state", "provider_id"),
}

log = logging.getLogger(__name__)


@contextmanager
def reading(kind: type[msgspec.Struct]) -> Iterator[None]:
    """A document that cannot be decoded, like one of a newer version after a rollback, is a PermanentFailure.

    It names no key: that of a link lets its bearer sign.
    """
    try:
        yield
    except msgspec.ValidationError as e:
        raise PermanentFailure(f"a document in {COLLECTIONS[kind]} cannot be read by this version: {e}") from e


def readable(rows: Iterable[tuple[str, Callable[[], T]]]) -> list[tuple[str, T]]:
    """The documents of a list that can be decoded. Each of the others is left out with a line in the log."""
    found = list[tuple[str, T]]()
    for key, decode in rows:
        try:
            found.append((key, decode()))
        except PermanentFailure as e:
            log.error("left out of a list", extra={"json": {"reason": e.reason}})
    return found
