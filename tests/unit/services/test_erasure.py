"""Erasure on request leaves the stub and nothing else, whatever was kept about the request."""

from contextlib import contextmanager, nullcontext
from datetime import timedelta

import msgspec
import pytest
from msgspec.structs import replace

from infra.ops import forget as command
from shared import bootstrap
from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.model import EventType, Kind, Link, NoticeRecord, NoticeState, Request, Suppression
from shared.domain.policy import Policy
from shared.domain.recheck import stub
from shared.domain.status_event import status_event
from shared.services import dead_letters
from shared.services.dead_letters import DeadLetterService
from shared.services.erasure import Erased, Erasure
from tests.fakes import Crash, seen
from tests.unit.services.test_dead_letters import Office

SENT, SIGNED, COMPLETE, _ = EventType
OTHER = "r2"


def kept_about(office: Office, request: str) -> int:
    """How many documents besides its own, and dead letters, name a request."""
    stored = [
        msgspec.json.encode(item) for (kind, _), (item, _) in office.ledger.documents.items() if kind is not Request
    ]
    return sum(f'"{request}"'.encode() in one for one in (*stored, *(one.data for one in office.letters.letters)))


@pytest.fixture
def office() -> Office:
    """r1 has been through everything; of r2 something is kept too."""
    office = Office()
    office.sms.outcomes = [PermanentFailure("landline", suppress=True)]
    office.hear(SENT)
    office.dead_event(SIGNED)
    office.dead_event(data=b'{"request":"r1", of a newer version')
    office.dead_event(data=msgspec.json.encode(replace(office.event(SIGNED), request=OTHER)))
    for request in ("r1", OTHER):
        office.ledger.put(f"code-of-{request}", Link(request_id=request, signer="s", round=1), None)
    return office


@pytest.fixture
def erasure(office: Office) -> Erasure:
    return Erasure(office.ledger, office.desk, office.clock)


def test_the_stub_is_left_and_nothing_else(office, erasure):
    assert len(office.ledger.all(Suppression)) == 1
    before = office.request()
    assert erasure.forget("r1", "pat") == Erased(True, 2, 1, 1, 2, True)
    assert replace(office.request(), next_at=None) == stub(before)
    assert (kept_about(office, "r1"), kept_about(office, OTHER)) == (0, 2)
    assert not office.ledger.all(NoticeRecord)
    assert not office.ledger.all(Suppression)


def test_a_letter_of_another_request_stays_though_it_holds_the_same_id(office, erasure):
    """Customers choose the ids of their signers, and the vendor those of webhooks."""
    other = replace(office.event(SIGNED), request=OTHER, event="r1", signer="r1")
    office.dead_event(data=msgspec.json.encode(other))
    assert erasure.forget("r1", "pat").dead_letters == 2
    assert [letter.data for letter in office.letters.letters][-1] == msgspec.json.encode(other)


def test_a_letter_that_somebody_else_holds_for_a_moment_is_found_when_it_is_back(office, erasure, monkeypatch):
    """The console holds what it shows for some seconds, and Pub/Sub gives it to nobody else meanwhile."""
    give, held = office.letters.open, []

    @contextmanager
    def leased(topic, limit):
        held.append(topic)
        with give(topic, limit) as found:
            yield [] if held.count(topic) == 1 else found

    monkeypatch.setattr(office.letters, "open", leased)
    assert erasure.forget("r1", "pat").dead_letters == 2


def test_it_says_when_there_are_more_letters_than_it_looks_at(office, erasure, monkeypatch, capsys):
    monkeypatch.setattr(dead_letters, "EVERY", 1)
    monkeypatch.setattr(bootstrap, "erasure", lambda: erasure)
    assert command.run("r1", confirmed=True) == 1
    assert "not all were looked at" in capsys.readouterr().err
    office.letters.letters.clear()
    assert command.run("r1", confirmed=True) == 0


@pytest.mark.parametrize("data", [b'{"request": 1, "of": "r1"}', b'{"v": 2, "about": {"request": "r1"}}', b'"r1" \xff'])
def test_a_letter_in_a_form_that_is_not_known_goes_if_it_names_the_request(office, erasure, data):
    office.dead_event(data=data)
    assert erasure.forget("r1", "pat").dead_letters == 3


def test_a_change_of_status_goes_too(office, erasure):
    office.desk = DeadLetterService(
        office.ledger, office.letters, office.bus, office.names, office.policy, office.clock, forwards=True
    )
    for request in ("r1", OTHER):
        event = replace(status_event(office.request()), subject=request)
        office._bury(office.names.status_topic, msgspec.json.encode(event))
    assert Erasure(office.ledger, office.desk, office.clock).forget("r1", "pat").dead_letters == 3


def test_nothing_follows_from_what_still_arrives(office, erasure):
    office.says(seen("a", signed=True), seen("b"))
    office.resolve.event(office.event(SIGNED, "a"))
    assert office.bus.pending
    erasure.forget("r1", "pat")
    sent = office.sent()
    office.pump()  # notices that were on their way
    office.hear(COMPLETE)
    office.advance(timedelta(days=20), reconcile=True)
    assert office.sent() == sent
    assert not office.ledger.all(NoticeRecord)
    assert office.request().signers == {}


def test_a_copy_to_the_sender_that_still_arrives_leaves_no_record():
    office = Office(Policy(sender_fallback="sales@acme.test", sender_copies=frozenset({Kind.COPY_SIGNED})))
    office.says(seen("a", signed=True), seen("b"))
    office.resolve.event(office.event(SIGNED, "a"))
    assert any(b"copy_signed" in data for _, data in office.bus.pending)
    Erasure(office.ledger, office.desk, office.clock).forget("r1", "pat")
    office.pump()
    assert not office.ledger.all(NoticeRecord)


def test_what_was_on_its_way_and_has_begun_ends(office, erasure):
    """Its record is one that a delivery under way has written since."""
    office.sms.outcomes = [RetryLater("busy", after=600)]
    office.says(seen("a", signed=True), seen("b"))
    office.resolve.event(office.event(SIGNED, "a"))
    request = office.ledger.documents[Request, "r1"]
    erasure.forget("r1", "pat")
    stub, office.ledger.documents[Request, "r1"] = office.ledger.documents[Request, "r1"], request
    office.pump()
    office.ledger.documents[Request, "r1"] = stub
    assert NoticeState.PLANNED in office.states("progress")
    office.advance(timedelta(hours=1))
    assert {r.state for r in office.records()} == {NoticeState.SUPPRESSED}


def test_a_delivery_under_way_leaves_no_text_and_no_address(office, erasure):
    """It has read the request before, and claims its notice after."""
    shorten = office.shortener.shorten

    def forgotten_meanwhile(target):
        office.shortener.shorten = shorten
        erasure.forget("r1", "pat")
        public = Link(request_id="r1", signer=target.signer, round=1, short_url="https://short.test/x")
        office.ledger.put("late", public, None)
        return shorten(target)

    office.shortener.shorten = forgotten_meanwhile
    office.advance(timedelta(days=3, hours=1))
    office.hear(COMPLETE)
    [late] = office.records()
    assert late.text
    office.advance(timedelta(minutes=10), reconcile=True)
    [late] = office.records()
    assert (late.text, late.address, late.fingerprint) == ("", "", "")
    assert late.purge_at <= office.now
    link = office.ledger.all(Link)["late"]
    assert link.short_url == ""
    assert link.purge_at <= office.now
    assert office.request() == stub(office.request())


def test_what_cannot_be_read_is_erased_all_the_same(office, erasure):
    office.ledger.undecodable |= {"r1", next(iter(office.ledger.all(NoticeRecord)))}
    erasure.forget("r1", "pat")
    office.ledger.undecodable.clear()
    assert kept_about(office, "r1") == 0
    assert office.request().forgotten


def test_after_a_crash_anywhere_it_is_repeated_and_nothing_is_left(office, erasure):
    office.faults.count = 0
    snapshot = dict(office.ledger.documents)
    erasure.forget("r1", "pat")
    for point in range(office.faults.count):
        office.ledger.documents = dict(snapshot)
        office.faults.count, office.faults.at = 0, point
        with pytest.raises(Crash):
            erasure.forget("r1", "pat")
        erasure.forget("r1", "pat")
        assert kept_about(office, "r1") == 0
        assert not office.ledger.all(Suppression)


def test_the_command_tells_first_and_deletes_once_confirmed(office, erasure, monkeypatch, capsys):
    monkeypatch.setattr(bootstrap, "backend", lambda: type("B", (), {"ledger": lambda self: office.ledger})())
    monkeypatch.setattr(bootstrap, "erasure", lambda: erasure)
    assert command.run("", confirmed=True) == 1
    assert command.run("r1", confirmed=False) == 0
    assert kept_about(office, "r1")
    assert command.run("r1", confirmed=True) == 0
    assert "2 records of messages, 1 links, 1 blocked addresses, 2 dead letters" in capsys.readouterr().out
    assert command.run("never-heard-of", confirmed=True) == 0
    assert "no such request was known" in capsys.readouterr().out


@pytest.mark.parametrize(("dry_run", "confirm"), [("1", "1"), ("0", "0"), ("", "no")])
def test_a_dry_run_or_a_confirmation_that_says_no_deletes_nothing(office, erasure, monkeypatch, dry_run, confirm):
    monkeypatch.setattr(bootstrap, "backend", lambda: type("B", (), {"ledger": lambda self: office.ledger})())
    monkeypatch.setattr(bootstrap, "erasure", lambda: erasure)
    monkeypatch.setattr(command, "relay_ports", nullcontext)
    for name, value in {"DRY_RUN": dry_run, "CONFIRM": confirm, "REQUEST": "r1", "BACKEND": "embedded"}.items():
        monkeypatch.setenv(name, value)
    assert command.main() == 0
    assert kept_about(office, "r1")
