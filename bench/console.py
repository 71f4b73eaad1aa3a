"""The console's pages on the embedded ledger: a request of 1,000 signers, and lists however much the ledger holds."""

import time
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from msgspec.structs import replace

from bench.harness import Harness
from bench.report import Row, median_ratio, ms
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
SIGNERS, FEW, MANY, ROUNDS = 1_000, 100, 100_000, 15


def run(harness: Harness) -> list[Row]:
    few, many = (EmbeddedLedger(Database(harness.directory / f"console-{n}.db", SCHEMA)) for n in (FEW, MANY))
    _put_large(few)
    harness.progress.step(f"SQLite, writing {MANY:,} requests")
    for ledger, count in ((few, FEW), (many, MANY)):
        _put_many(ledger, count)
    _put_troubles(many)
    of_few, of_many = _client(few), _client(many)
    request, size = _page(of_few, "/requests/large")
    attention, _ = _page(of_many, "/")
    lists = [[_page(client, "/requests")[0] for client in (of_few, of_many)] for _ in range(ROUNDS)]
    before, after = ([pair[n] for pair in lists] for n in (0, 1))
    large = f"request of {SIGNERS:,} signers"
    return [
        Row(what=f"{large}, its page", ours=f"{size / 1000:.0f} KB", goal="≤ 200 KB"),
        Row(what=large, ours=ms(request), goal="≤ 300 ms"),
        Row(
            what=f"list of {MANY:,} requests",
            ours=ms(median(after)),
            against=f"list of {FEW}",
            theirs=ms(median(before)),
            ratio=median_ratio(after, before),
            goal="≤ 1.20",
        ),
        Row(what=f"Attention, {MANY:,} requests", ours=ms(attention)),
    ]


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


def _page(client: Any, path: str) -> tuple[float, int]:
    """Seconds (the least: others use this machine) and bytes."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        answer = client.get(path)
        times.append(time.perf_counter() - began)
        assert answer.status_code == 200
    return min(times), len(answer.data)


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


def _put_many(ledger: EmbeddedLedger, count: int) -> None:
    for n in range(count):
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
