"""The console's pages on the embedded ledger: a request of 1,000 signers, and lists however much the ledger holds."""

import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from local.emulation.database import Database
from local.emulation.embedded_ledger import SCHEMA, EmbeddedLedger
from shared.console.app import Console, create_console
from shared.domain.model import (
    ChannelName,
    Kind,
    NoticeRecord,
    NoticeState,
    Reminder,
    Request,
    Signer,
    SignerState,
    Transition,
)
from shared.domain.planner import notice_for
from shared.domain.policy import Policy
from shared.domain.search import words_of
from shared.services.operator_actions import OperatorActions
from shared.services.operator_queries import OperatorQueries

NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)
SIGNERS, FEW, MANY, REPEATS = 1_000, 100, 20_000, 15
MAX_BYTES, MAX_MS, MAX_GROWTH = 200_000, 300.0, 1.2


def figures() -> dict[str, float]:
    """Milliseconds (the least of some tries: others use this machine) and bytes, by what was asked."""
    with tempfile.TemporaryDirectory() as directory:
        ledger = EmbeddedLedger(Database(Path(directory) / "relay.db", SCHEMA))
        client = _client(ledger)
        _put_large(ledger)
        found = _page(client, "/requests/large", "request of 1,000 signers")
        _put_many(ledger, 0, FEW)
        before = _page(client, "/requests", f"list of {FEW}")
        _put_many(ledger, FEW, MANY)
        after = _page(client, "/requests", f"list of {MANY:,}")
        _put_troubles(ledger)
        after |= _page(client, "/", "attention")
        growth = after[f"list of {MANY:,}, ms"] / before[f"list of {FEW}, ms"]
        return found | before | after | {"growth": growth}


def _client(ledger: EmbeddedLedger) -> Any:
    publisher: Any = None
    policy = Policy()
    queries = OperatorQueries(ledger, policy, lambda: NOW)
    operate = OperatorActions(ledger, publisher, policy, lambda: NOW)
    parts: dict[str, Any] = {
        "inspect": queries,
        "operate": operate,
        "environ": {},
        "clock": lambda: NOW,
        "day": timedelta(days=1),
    }
    letters: Any = type("Letters", (), {"notices": set})()
    return create_console(Console(**parts, dead_letters=letters, erasure=letters)).test_client()


def _page(client: Any, path: str, name: str) -> dict[str, float]:
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        answer = client.get(path)
        times.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200
    return {f"{name}, ms": min(times), f"{name}, bytes": float(len(answer.data))}


def _signer(n: int) -> Signer:
    return Signer(
        number=n,
        name=f"Given{n} Family{n}",
        mobile=f"+1317{n:07}",
        email=f"s{n}@example.com",
        channels=(ChannelName.SMS, ChannelName.EMAIL),
        request_url=f"https://sign.test/{n}",
        state=SignerState.INVITED,
        invited_at=NOW - timedelta(hours=1),
        reminders={str(d): Reminder(due_at=NOW + timedelta(days=d), task=f"{n}-{d}") for d in (3, 7, 14)},
    )


def _put_large(ledger: EmbeddedLedger) -> None:
    request = Request(id="large", title="Terms", signers={f"k{n}": _signer(n) for n in range(1, SIGNERS + 1)})
    ledger.put("large", replace(request, changed_at=NOW, search=words_of(request)), None)
    for key, signer in request.signers.items():
        for channel in signer.channels:
            notice = notice_for(request, key, Kind.INVITATION, channel)
            ledger.put(notice.notice, _record("large", key, channel), None)


def _record(request: str, signer: str, channel: ChannelName) -> NoticeRecord:
    steps = (NoticeState.SENDING, NoticeState.ACCEPTED, NoticeState.DELIVERED)
    return NoticeRecord(
        request_id=request,
        signer=signer,
        kind=Kind.INVITATION,
        channel=channel,
        round=1,
        state=NoticeState.DELIVERED,
        text="Acme asks you to sign Terms: https://l.test/•••",
        history=tuple(Transition(at=NOW - timedelta(minutes=30), state=state) for state in steps),
        changed_at=NOW - timedelta(minutes=30),
    )


def _put_many(ledger: EmbeddedLedger, first: int, last: int) -> None:
    for n in range(first, last):
        signer = replace(_signer(1), channels=(ChannelName.SMS,))
        request = Request(id=f"r{n:06}", title=f"Lease {n}", signers={"k": signer})
        ledger.put(request.id, replace(request, changed_at=NOW + timedelta(seconds=n)), None)


def _put_troubles(ledger: EmbeddedLedger) -> None:
    """More than the page reads: of each troubled state, on a request of its own each."""
    states = (NoticeState.FAILED, NoticeState.UNDELIVERED, NoticeState.UNKNOWN, NoticeState.SUPPRESSED)
    for n in range(4 * 100):
        request = f"r{n:06}"
        notice = notice_for(Request(id=request, signers={"k": _signer(1)}), "k", Kind.INVITATION, ChannelName.SMS)
        record = _record(request, "k", ChannelName.SMS)
        ledger.put(notice.notice, replace(record, state=states[n % 4], reason="refused"), None)


def main() -> None:
    found = figures()
    for name, value in found.items():
        print(f"  {name:32} {value:10,.1f}")
    size, took = found["request of 1,000 signers, bytes"], found["request of 1,000 signers, ms"]
    print(f"budget: {size <= MAX_BYTES} ({MAX_BYTES:,} bytes), {took <= MAX_MS} ({MAX_MS:g} ms), ", end="")
    print(f"{found['growth'] <= MAX_GROWTH} (growth {MAX_GROWTH:g})")


if __name__ == "__main__":
    main()
