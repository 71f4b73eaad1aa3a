"""The mail of the day, begun at once by many requests in two instances: on every ledger it is one."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest
from msgspec.structs import replace

from local.emulation.embedded import Embedded
from local.emulation.http_push import Pace
from shared.adapters.gcp.firestore import FirestoreLedger
from shared.domain import daily
from shared.domain.errors import RetryLater
from shared.domain.model import ChannelName, Kind, Notice, NoticeRecord, NoticeState, Request, Signer, SignerState
from shared.domain.policy import Policy
from shared.domain.search import words_of
from shared.handlers.deliver import Deliver
from shared.ports import Ledger
from shared.services.fallback import Fallback
from shared.services.links import LinkService
from shared.services.outcomes import Outcomes
from shared.services.resource_names import ResourceNames
from tests.fakes import FakeApi, FakeBus, FakeChannel, FakeShortener, render

SIGNED_AT = datetime(2026, 3, 2, 15, tzinfo=UTC)
MORNING = datetime(2026, 3, 3, 13, 10, tzinfo=UTC)  # in New York: 8:10
ANN = "ann@acme.test"
POLICY = Policy(sender_copies=frozenset({Kind.COPY_DAILY}))
AT_ONCE = 6


@pytest.fixture
def ledger(implementation: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Ledger]:
    if implementation == "emulators":
        yield FirestoreLedger(request.getfixturevalue("cloud").project)
        return
    embedded = Embedded(tmp_path / "ports.db", lambda: MORNING, Pace(1, 1))
    yield embedded.ledger
    embedded.stop()


def stored(ledger: Ledger, number: int, sender: str = ANN) -> Notice:
    """A request with one signature of that day, and the mail that it asks for."""
    eric = Signer(number=1, name="Eric", state=SignerState.SIGNED, signed_at=SIGNED_AT)
    request = Request(
        id=f"r{number}", title=f"Lease {number}", sender_email=sender, signers={"k": eric, "j": Signer(number=2)}
    )
    request = replace(request, changed_at=SIGNED_AT + timedelta(seconds=number), search=words_of(request))
    ledger.put(request.id, request, None)
    (notice,) = daily.notices(request, MORNING, POLICY)
    return notice


def instance(ledger: Ledger, mail: FakeChannel) -> Deliver:
    names, bus = ResourceNames(), FakeBus()
    links = LinkService(FakeShortener(), POLICY.completion_link)
    fallback = Fallback(ledger, bus, names.notices_topic, lambda: MORNING, 365)
    outcomes = Outcomes(bus, names, POLICY, lambda: MORNING)
    channels = {ChannelName.EMAIL: mail}
    return Deliver(ledger, FakeApi(), channels, links, render, fallback, outcomes, POLICY, lambda: MORNING)


def test_many_requests_that_ask_for_it_at_once_in_two_instances_are_one_mail(ledger: Ledger) -> None:
    notices = [stored(ledger, number) for number in range(AT_ONCE)]
    stored(ledger, AT_ONCE, "bob@acme.test")
    mail, barrier = FakeChannel("email"), Barrier(AT_ONCE)
    instances = [instance(ledger, mail) for _ in range(2)]

    def arrives(number: int) -> None:
        barrier.wait()
        try:
            instances[number % 2].notice(notices[number])
        except RetryLater:  # another delivery holds it: the message comes again
            return

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(arrives, range(AT_ONCE)))
    for notice in notices:
        instances[0].notice(notice)
    titles = [f"Lease {number}" for number in reversed(range(AT_ONCE))]
    assert [m.text for m in mail.sent] == [f"signatures {AT_ONCE}; complete []; expired []; open {titles}"]
    record = ledger.get(NoticeRecord, notices[0].notice)
    assert record is not None
    assert (record.item.state, record.item.text) == (NoticeState.ACCEPTED, "")
    assert [ledger.records(f"r{number}") for number in range(AT_ONCE)] == [{}] * AT_ONCE
