"""`make status`: print the latest status event of every request, the newest first, one JSON object a line.

To see them, and to fill a consumer's table before it follows the topic. REQUEST=id prints that of one request.
Reads the local stack's files in LOCAL_DIR, whether or not the stack is running; with BACKEND=gcp, Firestore.
"""

import os
import sys
from collections.abc import Iterator

import msgspec

from local.stack.offline import offline_ports
from shared import bootstrap
from shared.domain.errors import RetryLater
from shared.domain.model import Request
from shared.domain.status_event import StatusEvent, status_event
from shared.ports import Ledger, Mark
from shared.setting_types import SettingError

PAGE = 200  # requests read at once


def main(request: str) -> int:
    """Returns the exit status: 1 where nothing could be read."""
    try:
        with offline_ports():
            for event in events(bootstrap.backend().ledger(), request):
                print(msgspec.json.encode(event).decode())
    except (SettingError, RetryLater) as e:
        print(f"status: {e}", file=sys.stderr)
        return 1
    return 0


def events(ledger: Ledger, request: str = "") -> Iterator[StatusEvent]:
    """The latest event of each request, or of one. What was forgotten has none."""
    signer_ids = bootstrap.settings().policy().status_signer_ids
    for found in _requests(ledger, request):
        if found.status_sequence:
            yield status_event(found, signer_ids=signer_ids)


def _requests(ledger: Ledger, request: str) -> Iterator[Request]:
    if request:
        stored = ledger.get(Request, request)
        yield from [stored.item] if stored else []
        return
    after: Mark | None = None
    while rows := ledger.newest(Request, PAGE, after=after):
        yield from (item for _, item in rows)
        key, last = rows[-1]
        if last.changed_at is None:
            return
        after = last.changed_at, key


if __name__ == "__main__":
    sys.exit(main(os.environ.get("REQUEST", "")))
