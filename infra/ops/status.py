"""`make status`: print the latest event of every request, then of every notice, one JSON object a line.

To see them, and to fill a consumer's table before it follows the topic. REQUEST=id prints those of one request.
Reads the local stack's files in LOCAL_DIR, whether or not the stack is running; with BACKEND=gcp, Firestore.
"""

import os
import sys
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from infra.ops.relay import relay_ports
from infra.ops.shell import Stop
from shared import bootstrap
from shared.domain.errors import RetryLater
from shared.domain.model import NoticeRecord, Request
from shared.domain.notice_event import notice_event
from shared.domain.status_event import CloudEvent, status_event
from shared.ports import Ledger, Mark
from shared.setting_types import SettingError

PAGE = 200  # documents read at once
T = TypeVar("T", Request, NoticeRecord)


def main(request: str) -> int:
    """Returns the exit status: 1 where nothing could be read."""
    try:
        with relay_ports():
            for event in events(bootstrap.backend().ledger(), request):
                print(msgspec.json.encode(event).decode())
    except (SettingError, RetryLater, Stop) as e:
        print(f"status: {e}", file=sys.stderr)
        return 1
    return 0


def events(ledger: Ledger, request: str = "") -> Iterator[CloudEvent[Any]]:
    """The latest event of each request and of each notice, or those of one request. What was forgotten has none."""
    policy = bootstrap.settings().policy()
    for _, found in _stored(ledger, Request, request):
        if found.status_sequence:
            yield status_event(found, signer_ids=policy.status_signer_ids)
    for key, record in ledger.records(request).items() if request else _all(ledger, NoticeRecord):
        if event := notice_event(key, record, bootstrap.clock(), policy):
            yield event


def _stored(ledger: Ledger, kind: type[T], key: str) -> Iterator[tuple[str, T]]:
    if not key:
        yield from _all(ledger, kind)
    elif stored := ledger.get(kind, key):
        yield key, stored.item


def _all(ledger: Ledger, kind: type[T]) -> Iterator[tuple[str, T]]:
    after: Mark | None = None
    while rows := ledger.newest(kind, PAGE, after=after):
        yield from rows
        key, last = rows[-1]
        if last.changed_at is None:
            return
        after = last.changed_at, key


if __name__ == "__main__":
    sys.exit(main(os.environ.get("REQUEST", "")))
