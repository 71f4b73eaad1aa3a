"""The ledger's operations with few and with many documents: they must not get slower as documents accumulate."""

import re
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from bench.harness import ROOT, Harness
from bench.receive import make_topics
from bench.report import Row, median_ratio, ms
from bench.states import invited
from local.emulation.embedded import Embedded
from local.emulation.http_push import Pace
from shared.adapters.collections import COLLECTIONS, NARROWED
from shared.adapters.gcp.firestore import FirestoreLedger, dump
from shared.domain.model import ChannelName, Kind, NoticeRecord, NoticeState, Request, Transition

FIRESTORE, EMBEDDED = (100, 10_000), (100, 100_000)
ROUNDS, TIMES = 7, 20
DUE, NOTICES_EACH, PAGE = 20, 1, 50
NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
TEMPLATE = invited("n1x0-growth", 1, NOW)

Operations = dict[str, Callable[[], object]]


def run(harness: Harness) -> list[Row]:
    return [*firestore(harness), *embedded(harness), indexes()]


# -- the documents


def request(n: int) -> Request:
    """Request number n. The first DUE requests are due, whatever the total number."""
    next_at = NOW - timedelta(minutes=1) if n < DUE else NOW + timedelta(days=1, seconds=n)
    return replace(TEMPLATE, id=f"growth-{n}", changed_at=NOW - timedelta(seconds=n), next_at=next_at)


def record(n: int) -> NoticeRecord:
    """Notice record number n; every request has NOTICES_EACH."""
    at = NOW - timedelta(seconds=n)
    state = NoticeState.ACCEPTED
    return NoticeRecord(
        request_id=f"growth-{n // NOTICES_EACH}",
        signer="s1",
        kind=Kind.INVITATION,
        channel=ChannelName.SMS,
        round=1,
        state=state,
        text="t" * 150,
        history=(Transition(at=at, state=state),),
        changed_at=at,
    )


def documents(requests: int) -> Iterator[tuple[str, Any]]:
    yield from ((f"growth-{n}", request(n)) for n in range(requests))
    yield from ((f"notice-{n}", record(n)) for n in range(requests * NOTICES_EACH))


def by_key(ledger: Any) -> Operations:
    fresh = iter(range(10**9))
    return {
        "get": lambda: ledger.get(Request, "growth-7"),
        "create": lambda: ledger.put(f"new-{next(fresh)}", record(10**6), None),
        "replace": lambda: ledger.put("growth-7", request(7), ledger.get(Request, "growth-7").version),
    }


def queries(ledger: Any) -> Operations:
    return {
        "due": lambda: ledger.due(NOW, 200),
        "records": lambda: ledger.records("growth-7"),
        f"newest {PAGE}": lambda: ledger.newest(Request, PAGE),
        f"newest {PAGE} open": lambda: ledger.newest(Request, PAGE, only=("status", "open")),
    }


# -- the measurements


def firestore(harness: Harness) -> list[Row]:
    """Operations by key only: the emulator has no indexes, so a query reads the whole collection."""
    ledgers = []
    for count in FIRESTORE:
        harness.progress.step(f"Firestore emulator, writing {count} requests")
        google = harness.google()
        make_topics(google)
        fill_firestore(google["GOOGLE_CLOUD_PROJECT"], count)
        ledgers.append(FirestoreLedger(google["GOOGLE_CLOUD_PROJECT"]))
    return compared(harness, "Firestore emulator", FIRESTORE, [by_key(ledger) for ledger in ledgers])


def fill_firestore(project: str, count: int) -> None:
    from google.cloud import firestore

    client, rest = firestore.Client(project=project), documents(count)

    def write(part: list[tuple[str, Any]]) -> None:
        batch = client.batch()
        for key, item in part:
            batch.set(client.collection(COLLECTIONS[type(item)]).document(key), dump(item))
        batch.commit()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, iter(lambda: list(islice(rest, 500)), [])))


def embedded(harness: Harness) -> list[Row]:
    ledgers = []
    for count in EMBEDDED:
        harness.progress.step(f"SQLite, writing {count} requests")
        ledgers.append(filled(harness.directory / f"growth-{count}.db", count))
    return compared(harness, "SQLite", EMBEDDED, [{**by_key(x), **queries(x)} for x in ledgers])


def filled(path: Path, count: int) -> Any:
    """A ledger with so many requests and their notices."""
    ledger = Embedded(path, lambda: NOW, Pace(1, 1)).ledger
    for key, item in documents(count):
        ledger.put(key, item, None)
    return ledger


def compared(harness: Harness, where: str, counts: tuple[int, ...], sides: list[Operations]) -> list[Row]:
    rows = []
    for name in sides[0]:
        harness.progress.step(f"{where}, {name}")
        timed = [[once(side[name]) for side in sides] for _ in range(ROUNDS + 1)][1:]
        few, many = [t[0] for t in timed], [t[-1] for t in timed]
        label = f"{where}: {name}, {counts[-1]:,} requests"
        shown = {"ours": ms(statistics.median(many)), "theirs": ms(statistics.median(few))}
        ratio = median_ratio(many, few)
        rows.append(Row(what=label, against=f"{counts[0]:,} requests", ratio=ratio, goal="≤ 1.20", **shown))
    return rows


def once(operation: Callable[[], object]) -> float:
    times = []
    for _ in range(TIMES):
        began = time.perf_counter()
        operation()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def indexes() -> Row:
    """Firestore needs an index for each list that is filtered and sorted; its emulator answers without one."""
    terraform = (ROOT / "infra" / "firestore.tf").read_text()
    there = re.findall(r'resource "google_firestore_index" "(\w+)"', terraform)
    wanted = [f"{COLLECTIONS[kind]}_by_{field}" for kind, fields in NARROWED.items() for field in fields]
    missing = [name for name in wanted if name not in there]
    return Row(what="indexes of filtered lists", ours=f"{len(wanted) - len(missing)} of {len(wanted)}", goal="all")
