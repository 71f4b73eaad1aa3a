"""Random runs with a sender who is told: nobody stays unreached and untold, no copy is lost, no mail leaves twice.

A mail to the sender adds calls, so a seed's run is another one than without it.
"""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.kinds import COPIES
from shared.domain.model import Kind, NoticeRecord, NoticeState, Request, Status
from shared.domain.unreached import untold
from tests.simulation.chance import Chance
from tests.simulation.oracle import breaches
from tests.simulation.run import Played, play
from tests.simulation.script import script

FIRST = 21000
MINUTE, LONGEST = timedelta(minutes=1), timedelta(minutes=10)  # the longest that a fault may last
# The mail of the day comes after the end of most runs.
COPYING = ("sender_copies", frozenset(COPIES.values()) - {Kind.COPY_DAILY})
TELLING = (("tell_sender", True), ("sender_fallback", "boss@x.org"), COPYING)


def played(seed: int) -> Played:
    plain = script(seed)
    return play(replace(plain, policy=(*plain.policy, *TELLING)), Chance(seed))


def wrong(run: Played) -> list[object]:
    """What a run broke of what is promised to signers and to the sender."""
    ledger = run.relay.ports.ledger
    records, stored = ledger.all(NoticeRecord), ledger.documents.get((Request, "r1"))
    people = untold(stored[0], records, run.end, run.policy) if stored else []
    doubled = [key for key, n in Counter(run.mails).items() if n > 1 and not _doubtful(records.get(key))]
    untold_for_long = [one for one in people if run.end - one.at > LONGEST]
    return [*breaches(run), *untold_for_long, *doubled, *_late(run, records), *_lost_copy(run, stored, records)]


def _lost_copy(run: Played, stored: tuple[Request, object] | None, records: dict[str, NoticeRecord]) -> list[str]:
    """A completion that the signers are told of, and the sender has no copy of."""
    at = stored[0].completed_at if stored and stored[0].status is Status.COMPLETE and not stored[0].forgotten else None
    over = at is not None and run.end - max(at, run.disturbed_until) > timedelta(hours=30)
    return ["lost copy"] if over and Kind.COPY_COMPLETE not in {r.kind for r in records.values()} else []


def _late(run: Played, records: dict[str, NoticeRecord]) -> list[timedelta]:
    """How long after their first cause mails left, where nothing went wrong since the cause."""
    causes = {m.history[0].at: [records[k].history[-1].at for k in m.told if k in records] for m in _mails(run)}
    waits = [left - min(ended) for left, ended in causes.items() if ended and min(ended) > run.disturbed_until]
    return [wait for wait in waits if wait > MINUTE]


def _doubtful(record: NoticeRecord | None) -> bool:
    """Whether an answer about it was lost."""
    return record is None or any(step.state is NoticeState.UNKNOWN for step in record.history)


@pytest.mark.parametrize("start", range(FIRST, FIRST + 300, 100))
def test_nobody_stays_unreached_and_untold(start: int) -> None:
    runs = {seed: played(seed) for seed in range(start, start + 100)}
    assert {seed: found for seed, run in runs.items() if (found := wrong(run))} == {}
    assert sum(len(run.mails) for run in runs.values()) > 10
    assert all(r.signer == "" for run in runs.values() for r in _mails(run))


def _mails(run: Played) -> list[NoticeRecord]:
    return [r for r in run.relay.ports.ledger.all(NoticeRecord).values() if r.kind is Kind.UNREACHED]
