"""What every Ledger must do."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any, TypeVar

import msgspec
import pytest
from msgspec.structs import replace

from local.emulation.embedded import Embedded
from local.emulation.http_push import Pace
from shared.adapters.collections import CHANGED, COLLECTIONS
from shared.adapters.gcp.firestore import FirestoreLedger
from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.model import (
    ChannelName,
    Kind,
    Link,
    Note,
    Notice,
    NoticeRecord,
    NoticeState,
    Reminder,
    Request,
    Resend,
    Role,
    Signer,
    SignerState,
    Status,
    Suppression,
    Transition,
)
from shared.ports import Ledger, Mark, Stored
from tests.stand_in import closed_port

T = TypeVar("T")

NOW = datetime(2026, 3, 2, 15, 0, 0, 123_456, tzinfo=UTC)
ODD_KEYS = ["__x__", "__", "____", ".", "..", "a/b", "a.b", "José 7", "日本", "%2F", "a b", "'\"`\\", "~[*]", "x" * 256]

FULL_SIGNER = Signer(
    number=1,
    aliases=("a@example.com", "7"),
    name="José 日本 'O\"Neil'",
    email="a@example.com",
    mobile="+13175551234",
    channels=(ChannelName.SMS, ChannelName.EMAIL),
    role=Role.RECIPIENT,
    order=2,
    request_url="https://sign.example/?a=b",
    state=SignerState.SIGNED,
    adopted=True,
    confirmed=True,
    invited_at=NOW,
    signed_at=NOW + timedelta(microseconds=1),
    missing_since=NOW,
    reminders={"3": Reminder(due_at=NOW, task="t" * 64, hop=1), "7": Reminder(due_at=NOW, task="u")},
)
NOTICE = Notice(
    notice="n1", request="r1", signer="5f", kind=Kind.REMINDER, reminder_day=3, channel=ChannelName.SMS, round=2
)
FULL_REQUEST = Request(
    id="r1",
    title="Möbelkauf 🛋",
    sender="Ann",
    status=Status.DISPUTED,
    round=2,
    adopted=True,
    ordered=True,
    created_at=NOW,
    expires_at=NOW,
    completed_at=NOW,
    download_url="https://x.example",
    signers={"5f" * 16: FULL_SIGNER, "60" * 16: Signer(number=2)},
    events={key: NOW + timedelta(seconds=n) for n, key in enumerate([*ODD_KEYS, "", "%", "%__x__"])},
    unmatched=("ACME/42",),
    unconfirmed_since=NOW,
    checked_at=NOW,
    changed_at=NOW,
    next_at=NOW,
    search=("ann", "möbelkauf"),
    unreached_at=NOW,
    reminders_stopped=True,
    resends=(Resend(at=NOW, notice=NOTICE), Resend(at=NOW, notice=replace(NOTICE, instead_of="n0"))),
    notes=(Note(at=NOW, who="ops@example.com", what="resend", why="the signer asked"),),
    purge_at=NOW,
)
RECORD = NoticeRecord(
    request_id="r1",
    signer="5f",
    kind=Kind.INVITATION,
    channel=ChannelName.SMS,
    round=1,
    state=NoticeState.SENDING,
)
FULL_RECORD = replace(
    RECORD,
    attempts=3,
    untold=True,
    lease_until=NOW,
    provider="twilio",
    provider_id="SM1",
    reason="a\nb",
    segments=2,
    text="Grüße 👋",
    history=(Transition(at=NOW, state=NoticeState.PLANNED), Transition(at=NOW, state=NoticeState.SENDING, why="Retry")),
    purge_at=NOW,
)
LINK = Link(request_id="r1", signer="5f", round=1)
DOCUMENTS = [FULL_REQUEST, Request(id="r2"), RECORD, FULL_RECORD, LINK, replace(LINK, purge_at=NOW)]


@pytest.fixture
def ledger(implementation: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Ledger]:
    if implementation == "emulators":
        yield FirestoreLedger(request.getfixturevalue("cloud").project)
        return
    embedded = Embedded(tmp_path / "ports.db", lambda: NOW, Pace(1, 1))
    yield embedded.ledger
    embedded.stop()


def test_the_documents_of_a_request_are_found_and_deleted(ledger: Ledger) -> None:
    for number in range(3):
        ledger.put(f"n{number}", replace(RECORD, request_id="r1" if number else "r2"), None)
        ledger.put(f"l{number}", replace(LINK, request_id="r1" if number else "r2"), None)
    assert sorted(ledger.keys(NoticeRecord, "r1")) == ["n1", "n2"]
    ledger.delete(NoticeRecord, ["n1", "n2", "never-there"])
    ledger.delete(Link, [])
    assert ledger.keys(NoticeRecord, "r1") == []
    assert ledger.get(NoticeRecord, "n1") is None
    assert ledger.keys(NoticeRecord, "r2") == ["n0"]
    assert sorted(ledger.keys(Link, "r1")) == ["l1", "l2"]


def test_several_documents_are_read_at_once(ledger: Ledger) -> None:
    for key in ODD_KEYS:
        ledger.put(key, Request(id=key), None)
    found = ledger.several(Request, [*ODD_KEYS, "never-there", *ODD_KEYS])
    assert found == {key: Request(id=key) for key in ODD_KEYS}
    assert ledger.several(Request, []) == {}


class Newer(msgspec.Struct, kw_only=True):
    """A request as a newer version might store it; this one knows no such status."""

    id: str
    status: str = "embargoed"
    changed_at: datetime = NOW
    next_at: datetime = NOW


def test_a_document_of_a_newer_version_is_told_apart_and_costs_no_other(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(COLLECTIONS, Newer, "requests")
    monkeypatch.setitem(CHANGED, Newer, "changed_at")
    assert ledger.put("newer", Newer(id="newer"), None)
    assert ledger.put("r1", Request(id="r1", changed_at=NOW, next_at=NOW), None)
    for ask in (ledger.get, lambda kind, key: ledger.update(kind, key, lambda old: old)):
        with pytest.raises(PermanentFailure, match="a document in requests cannot be read by this version"):
            ask(Request, "newer")
    assert sorted(ledger.due(NOW, 10)) == ["newer", "r1"]
    assert [key for key, _ in ledger.newest(Request, 10)] == ["r1"]
    assert [r.getMessage() for r in caplog.records if r.name.startswith("shared")] == ["left out of a list"]
    assert set(ledger.several(Request, ["newer", "r1"])) == {"r1"}


def at_once(calls: int, call: Callable[[int], T]) -> list[T]:
    """The results of that many calls, begun together in as many threads."""
    barrier = Barrier(calls)

    def begin(number: int) -> T:
        barrier.wait()
        return call(number)

    with ThreadPoolExecutor(calls) as pool:
        return list(pool.map(begin, range(calls)))


# -- documents


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: type(d).__name__)
def test_a_document_comes_back_as_it_was_put(ledger: Ledger, document: msgspec.Struct) -> None:
    version = ledger.put("k", document, None)
    stored = ledger.get(type(document), "k")
    assert stored is not None
    assert (stored.item, stored.version) == (document, version)


def test_times_come_back_as_plain_aware_datetimes(ledger: Ledger) -> None:
    ledger.put("k", FULL_REQUEST, None)
    stored = ledger.get(Request, "k")
    assert stored is not None
    assert type(stored.item.next_at) is datetime
    assert stored.item.next_at.utcoffset() == timedelta(0)


def test_what_is_not_there_is_none(ledger: Ledger) -> None:
    assert ledger.get(Request, "r1") is None
    assert ledger.get(Link, "r1") is None


def test_every_type_has_its_own_collection(ledger: Ledger) -> None:
    assert ledger.put("k", Request(id="k"), None)
    assert ledger.put("k", RECORD, None)
    assert ledger.get(Link, "k") is None


@pytest.mark.parametrize("key", ODD_KEYS)
def test_any_key_will_do(ledger: Ledger, key: str) -> None:
    assert ledger.put(key, Request(id=key, next_at=NOW), None) is not None
    assert ledger.put(key, RECORD, None) is not None
    assert ledger.put(key, Request(id=key), None) is None
    assert ledger.get(Request, key) is not None
    assert ledger.due(NOW, 10) == [key]
    assert ledger.records("r1") == {key: RECORD}


def test_keys_that_look_alike_are_different_keys(ledger: Ledger) -> None:
    for key in ("__x__", "%5F_x__", "a/b", "a%2Fb", ".", "%2E"):
        assert ledger.put(key, Request(id=key), None) is not None
        stored = ledger.get(Request, key)
        assert stored is not None
        assert stored.item.id == key


# -- changes


def test_a_change_replaces_the_version_that_was_read_and_gives_the_next(ledger: Ledger) -> None:
    first = ledger.put("k", FULL_REQUEST, None)
    second = ledger.put("k", replace(FULL_REQUEST, round=3), first)
    third = ledger.put("k", replace(FULL_REQUEST, round=4), second)
    stored = ledger.get(Request, "k")
    assert stored is not None
    assert (stored.item.round, stored.version) == (4, third)
    assert None not in (first, second, third)


@pytest.mark.parametrize("whole", [FULL_REQUEST, FULL_RECORD, replace(LINK, purge_at=NOW)])
def test_what_a_change_does_not_touch_stays(ledger: Ledger, whole: msgspec.Struct) -> None:
    ledger.put("k", whole, None)
    stored = ledger.get(type(whole), "k")
    assert stored is not None
    changed = replace(whole, round=7)
    version = ledger.put("k", changed, stored.version)
    again = ledger.put("k", replace(changed, purge_at=None), version)
    assert ledger.get(type(whole), "k") == Stored(replace(changed, purge_at=None), again)


def test_a_change_that_changes_nothing_gives_a_version_to_go_on_with(ledger: Ledger) -> None:
    second = ledger.put("k", LINK, ledger.put("k", LINK, None))
    assert second is not None
    assert ledger.put("k", replace(LINK, round=2), second) is not None


def test_a_change_leaves_nothing_of_what_stood_before(ledger: Ledger) -> None:
    version = ledger.put("k", FULL_REQUEST, None)
    ledger.put("k", Request(id="r1", signers={"60": Signer(number=9)}), version)
    stored = ledger.get(Request, "k")
    assert stored is not None
    assert stored.item == Request(id="r1", signers={"60": Signer(number=9)})
    assert ledger.due(NOW, 10) == []


def test_a_stale_version_is_refused_and_changes_nothing(ledger: Ledger) -> None:
    first = ledger.put("k", Request(id="k"), None)
    ledger.put("k", Request(id="k", round=2), first)
    assert ledger.put("k", Request(id="k", round=3), first) is None
    stored = ledger.get(Request, "k")
    assert stored is not None
    assert stored.item.round == 2


def test_a_version_of_a_document_that_is_not_there_is_refused(ledger: Ledger) -> None:
    version = ledger.put("k", Request(id="k"), None)
    assert ledger.put("other", Request(id="other"), version) is None
    assert ledger.get(Request, "other") is None


def test_creating_what_exists_is_refused_and_changes_nothing(ledger: Ledger) -> None:
    ledger.put("k", RECORD, None)
    assert ledger.put("k", FULL_RECORD, None) is None
    stored = ledger.get(NoticeRecord, "k")
    assert stored is not None
    assert stored.item == RECORD


def test_of_64_racing_claims_exactly_one_wins(ledger: Ledger) -> None:
    won = at_once(64, lambda n: ledger.put("notice", replace(RECORD, attempts=n), None))
    winners = [n for n, version in enumerate(won) if version is not None]
    stored = ledger.get(NoticeRecord, "notice")
    assert stored is not None
    assert [stored.item.attempts] == winners


def test_racing_changes_all_land_when_each_reads_again_after_a_lost_race(ledger: Ledger) -> None:
    ledger.put("k", Request(id="k", round=0), None)

    def increment(times: int) -> None:
        while times:
            stored = ledger.get(Request, "k")
            assert stored is not None
            if ledger.put("k", replace(stored.item, round=stored.item.round + 1), stored.version):
                times -= 1

    at_once(8, lambda _: increment(5))
    stored = ledger.get(Request, "k")
    assert stored is not None
    assert stored.item.round == 40


# -- queries


def test_due_gives_the_longest_due_first_and_nothing_ahead_of_its_time(ledger: Ledger) -> None:
    for minutes in (3, 1, 2, -1):
        ledger.put(f"r{minutes}", Request(id=f"r{minutes}", next_at=NOW - timedelta(minutes=minutes)), None)
    ledger.put("now", Request(id="now", next_at=NOW), None)
    ledger.put("never", Request(id="never"), None)
    assert ledger.due(NOW, 10) == ["r3", "r2", "r1", "now"]
    assert ledger.due(NOW, 2) == ["r3", "r2"]


def test_a_postponed_request_is_due_later_and_its_document_stays(ledger: Ledger) -> None:
    ledger.put("r1", replace(FULL_REQUEST, next_at=NOW), None)
    ledger.postpone("r1", NOW + timedelta(minutes=5))
    assert ledger.due(NOW + timedelta(minutes=4), 10) == []
    assert ledger.due(NOW + timedelta(minutes=5), 10) == ["r1"]
    stored = ledger.get(Request, "r1")
    assert stored is not None
    assert replace(stored.item, next_at=NOW) == FULL_REQUEST
    assert ledger.put("r1", Request(id="r1"), stored.version) is not None


def test_records_gives_the_notices_of_one_request_by_id(ledger: Ledger) -> None:
    ledger.put("n1", RECORD, None)
    ledger.put("n2", FULL_RECORD, None)
    ledger.put("n3", replace(RECORD, request_id="r2"), None)
    ledger.put("code", LINK, None)
    assert ledger.records("r1") == {"n1": RECORD, "n2": FULL_RECORD}
    assert ledger.records("r3") == {}


def test_records_gives_those_of_one_signer(ledger: Ledger) -> None:
    other = replace(RECORD, signer="another")
    ledger.put("n1", RECORD, None)
    ledger.put("n2", other, None)
    assert ledger.records("r1", "another") == {"n2": other}


def changed(key: str, minutes: float = 0, **fields: Any) -> Request:
    return Request(id=key, changed_at=NOW - timedelta(minutes=minutes), **fields)


def keys(found: Sequence[tuple[str, object]]) -> list[str]:
    return [key for key, _ in found]


def test_newest_gives_the_last_changed_first_and_none_that_never_changed(ledger: Ledger) -> None:
    for minutes in (2, 3, 1):
        ledger.put(f"r{minutes}", changed(f"r{minutes}", minutes), None)
    ledger.put("never", Request(id="never"), None)
    assert keys(ledger.newest(Request, 10)) == ["r1", "r2", "r3"]
    assert ledger.newest(Request, 1) == [("r1", changed("r1", 1))]


def test_a_page_goes_on_where_the_one_before_it_ended_even_amid_equal_times(ledger: Ledger) -> None:
    for key, minutes in (("a", 1), ("b/ä", 1), ("c", 1), ("old", 2), ("new", 0)):
        ledger.put(key, changed(key, minutes), None)
    seen: list[str] = []
    after: Mark | None = None
    while page := ledger.newest(Request, 2, after=after):
        seen += keys(page)
        last = page[-1][1].changed_at
        assert last is not None
        after = (last, page[-1][0])
    assert seen == ["new", "c", "b/ä", "a", "old"]


def test_newest_narrows_to_a_status_or_a_word(ledger: Ledger) -> None:
    ledger.put("r1", changed("r1", 1, search=("eric", "smith")), None)
    ledger.put("r2", changed("r2", 2, search=("smith",), status=Status.COMPLETE), None)
    ledger.put("r3", changed("r3", 3, status=Status.COMPLETE), None)
    assert keys(ledger.newest(Request, 10, only=("search", "smith"))) == ["r1", "r2"]
    assert keys(ledger.newest(Request, 10, only=("search", "smit"))) == []
    assert keys(ledger.newest(Request, 10, only=("status", "complete"))) == ["r2", "r3"]
    assert keys(ledger.newest(Request, 10, only=("status", "complete"), after=(NOW - timedelta(minutes=2), "r2"))) == [
        "r3"
    ]


def test_a_document_stands_only_in_the_lists_of_its_last_version(ledger: Ledger) -> None:
    version = ledger.put("r1", changed("r1", 2, search=("old",)), None)
    ledger.put("r1", changed("r1", 1, search=("new",), status=Status.GONE), version)
    assert keys(ledger.newest(Request, 10)) == ["r1"]
    assert keys(ledger.newest(Request, 10, only=("search", "old"))) == []
    assert keys(ledger.newest(Request, 10, only=("status", "open"))) == []
    assert ledger.count(Request, ("status", "open"), most=10) == 0
    assert ledger.count(Request, ("status", "gone"), most=10) == 1


def test_beginning_finds_keys_by_their_first_letters(ledger: Ledger) -> None:
    for key in ("ab", "abc-1", "abc_2", "abd", "b"):
        ledger.put(key, changed(key, 1), None)
    assert [key for key, _ in ledger.beginning(Request, "abc", 10)] == ["abc-1", "abc_2"]
    assert [key for key, _ in ledger.beginning(Request, "ab", 2)] == ["ab", "abc-1"]
    assert ledger.beginning(Request, "x", 10) == []


def test_newest_lists_notices_by_state_and_suppressions(ledger: Ledger) -> None:
    failed = replace(RECORD, state=NoticeState.FAILED, changed_at=NOW)
    ledger.put("n1", failed, None)
    ledger.put("n2", replace(RECORD, changed_at=NOW), None)
    blocked = Suppression(channel=ChannelName.SMS, reason="opted out", since=NOW)
    ledger.put("s1", blocked, None)
    assert ledger.newest(NoticeRecord, 10, only=("state", "failed")) == [("n1", failed)]
    assert ledger.newest(Suppression, 10) == [("s1", blocked)]


def test_count_ends_at_most_and_leaves_out_what_is_older(ledger: Ledger) -> None:
    for minutes in range(5):
        ledger.put(f"r{minutes}", changed(f"r{minutes}", minutes), None)
    assert ledger.count(Request, ("status", "open"), most=10) == 5
    assert ledger.count(Request, ("status", "open"), most=3) == 3
    assert ledger.count(Request, ("status", "open"), most=10, since=NOW - timedelta(minutes=1)) == 2
    assert ledger.count(Request, ("status", "gone"), most=10) == 0


# -- faults

CALLS: dict[str, Callable[[Ledger], object]] = {
    "get": lambda ledger: ledger.get(Request, "r1"),
    "create": lambda ledger: ledger.put("r1", Request(id="r1"), None),
    "due": lambda ledger: ledger.due(NOW, 1),
    "records": lambda ledger: ledger.records("r1"),
    "newest": lambda ledger: ledger.newest(Request, 1),
    "beginning": lambda ledger: ledger.beginning(Request, "r", 1),
    "count": lambda ledger: ledger.count(Request, ("status", "open"), most=1),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
@pytest.mark.parametrize("kind", ["embedded", "firestore"])
def test_a_database_that_cannot_be_reached_is_a_retry(
    kind: str, call: Callable[[Ledger], object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", f"127.0.0.1:{closed_port()}")
    monkeypatch.setattr("shared.adapters.gcp.calls.DEADLINE", 0.2)
    closed = Embedded(tmp_path / "ports.db", lambda: NOW, Pace(1, 1))
    closed.stop()
    with pytest.raises(RetryLater):
        call(FirestoreLedger("p") if kind == "firestore" else closed.ledger)
