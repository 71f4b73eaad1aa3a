"""One answer of the API that lacks something, or is ahead of itself, must not end, double or misdirect anything."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from shared.domain.errors import OutcomeUnknown, RetryLater
from shared.domain.model import (
    ChannelName,
    EventType,
    Link,
    NoticeRecord,
    NoticeState,
    Role,
    SignerState,
    Status,
    Suppression,
)
from shared.domain.policy import Policy
from shared.domain.receipts import Receipt, ReceiptRequest
from shared.handlers.links import Links
from shared.handlers.receipts import Receipts
from shared.ports import NotFound
from shared.services.links import masked
from tests.fakes import World, seen

SENT, SIGNED, COMPLETE, EXPIRED = EventType
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
INVITED = ("invitation", "a", 0)
NOTHING = ReceiptRequest("", {}, b"")


@pytest.fixture
def world() -> World:
    """Two signers are invited, and the API does not tell the request's status."""
    world = World()
    world.says(seen("a"), seen("b"), status=None)
    world.hear(SENT)
    return world


def held_up(**fields) -> World:
    """An invitation that the provider puts off for two minutes."""
    world = World(**fields)
    world.says(seen("a"))
    world.sms.outcomes = [RetryLater("busy", after=120.0)]
    world.hear(SENT)
    return world


def state(world: World, name: str) -> SignerState:
    return world.request().signers[world.signer(name)].state


class TestSignatures:
    def test_an_answer_that_misses_a_signer_completes_nothing(self, world):
        world.says(seen("a", signed=True), status=None)
        world.hear(SIGNED, "a")
        world.says(seen("a", signed=True), seen("b"), status=None)
        world.advance(4 * DAY, reconcile=True)
        assert "completion" not in {kind for kind, _, _ in world.told()}
        assert ("reminder", "b", 3) in world.told()

    def test_a_known_signer_whom_the_answer_misses_has_signed_and_not_the_other(self, world):
        world.says(seen("b", signed=None), status=None)
        world.hear(SIGNED, "a")
        assert (state(world, "a"), state(world, "b")) == (SignerState.SIGNED, SignerState.INVITED)

    def test_the_late_signature_of_one_who_has_left_is_nobody_elses(self, world):
        world.says(seen("b"))
        world.advance(2 * HOUR, reconcile=True)
        world.hear(SIGNED, "a")
        world.advance(5 * MINUTE)
        assert (state(world, "a"), state(world, "b")) == (SignerState.REMOVED, SignerState.INVITED)

    def test_of_two_with_one_id_the_one_named_by_the_api_has_signed(self):
        world = World()
        family = [seen(n, ids=(n, "family@example.com"), signed=False) for n in "ab"]
        world.says(*family)
        world.hear(SENT)
        world.says(family[0], seen("b", ids=("b", "family@example.com"), signed=True))
        world.hear(SIGNED, "family@example.com")
        world.advance(5 * MINUTE)
        assert (state(world, "a"), state(world, "b")) == (SignerState.INVITED, SignerState.SIGNED)


class TestInvitations:
    def test_wait_for_a_contact_that_one_answer_lacks(self):
        world = held_up()
        world.says(seen("a", mobile=""))
        world.advance(5 * MINUTE)
        world.says(seen("a"))
        world.advance(HOUR, reconcile=True)
        assert INVITED in world.told()

    def test_wait_while_the_request_is_expired_and_leave_when_it_was_extended(self):
        world = held_up()
        world.says(seen("a"), status=Status.EXPIRED)
        world.advance(5 * MINUTE)
        world.says(seen("a"))
        world.advance(HOUR, reconcile=True)
        assert INVITED in world.told()

    def test_wait_while_another_signer_was_put_first(self):
        world = World()
        world.says(seen("b", order=2), ordered=True)
        world.sms.outcomes = [RetryLater("busy", after=120.0)]
        world.hear(SENT)
        world.says(seen("a", order=1), seen("b", order=2), ordered=True)
        world.advance(HOUR, reconcile=True)
        assert ("invitation", "b", 0) not in world.told()
        world.says(seen("a", order=1, signed=True), seen("b", order=2), ordered=True)
        world.hear(SIGNED, "a")
        world.advance(HOUR, reconcile=True)
        assert ("invitation", "b", 0) in world.told()

    def test_leave_though_the_request_was_404_when_it_was_sent(self):
        world = World()
        world.api.truth["r1"] = NotFound()
        world.hear(SENT)
        world.advance(8 * MINUTE, reconcile=True)
        world.says(seen("a"))
        world.advance(HOUR, reconcile=True)
        assert world.told() == [INVITED]

    def test_leave_with_the_next_event_of_a_request_that_was_404_for_long(self):
        world = World()
        world.api.truth["r1"] = NotFound()
        world.hear(SENT)
        world.advance(20 * MINUTE, reconcile=True)
        assert (world.request().status, world.api.calls) == (Status.GONE, 7)
        world.says(seen("a"))
        world.advance(DAY, reconcile=True)
        assert world.api.calls == 7  # it may have been made up: it is rechecked only once, after five minutes
        world.hear(SENT, key="resent")
        assert world.told() == [INVITED]

    def test_leave_though_a_late_event_met_a_single_404(self):
        world = World()
        world.api.truth["r1"] = NotFound()
        late = replace(world.event(SENT), received_at=world.now - timedelta(minutes=30))
        world.resolve.event(late)
        world.says(seen("a"))
        world.advance(6 * MINUTE, reconcile=True)
        assert world.told() == [INVITED]

    def test_leave_within_minutes_once_the_signing_url_is_there(self):
        world = World()
        world.says(seen("a", request_url=""))
        world.hear(SENT)
        world.says(seen("a"))
        world.advance(10 * MINUTE, reconcile=True)
        assert world.told() == [INVITED]

    def test_of_one_who_became_a_recipient_do_not_wait(self):
        world = held_up()
        world.says(seen("a", role=Role.RECIPIENT), seen("b"))
        world.advance(HOUR, reconcile=True)
        assert NoticeState.SUPPRESSED in world.states("invitation")

    def test_go_by_the_channel_that_the_request_named_though_one_answer_does_not(self):
        world = World()
        by_sms = {ChannelName.SMS: True, ChannelName.EMAIL: False}
        world.says(seen("a", email="a@example.com", send_to=by_sms))
        world.hear(SENT)
        world.says(seen("a", email="a@example.com"))
        world.advance(HOUR, reconcile=True)
        assert world.email.sent == []

    def test_go_by_sms_too_once_whoever_was_first_shown_without_a_number_has_one(self):
        """It may be one that the sender has added: a named limit of docs/reliability.md."""
        world = World(Policy(channels="sms-first"))
        world.says(seen("a", mobile="", email="a@x.org"))
        world.hear(SENT)
        world.says(seen("a", email="a@x.org"))
        world.advance(HOUR, reconcile=True)
        assert [len(world.email.sent), len(world.sms.sent)] == [1, 1]
        world.says(seen("a", mobile="", email="a@x.org"))
        world.resolve.recheck("r1")
        world.says(seen("a", email="a@x.org"))
        world.advance(HOUR, reconcile=True)
        assert len(world.sent()) == 2


class TestEnds:
    def test_a_notice_of_a_deleted_request_does_not_circle_for_ever(self):
        world = held_up()
        world.api.truth["r1"] = NotFound()
        world.advance(10 * DAY, reconcile=True)
        assert world.later == []
        calls = world.api.calls
        world.advance(5 * DAY)
        assert world.api.calls == calls

    def test_one_who_left_does_not_get_the_signed_document(self):
        world = World()
        world.says(seen("a"), seen("b"))
        world.hear(SENT)
        world.says(seen("a"))
        world.advance(2 * HOUR, reconcile=True)
        world.says(seen("a", signed=True), status=Status.COMPLETE, download_url="https://doc.test/signed.pdf")
        world.hear(COMPLETE)
        world.ledger.put("C" * 22, Link(request_id="r1", signer=world.signer("b"), round=1), None)
        assert Links(world.ledger, Policy(completion_link="download_url"), world.clock).follow("C" * 22).status == 410

    def test_a_late_step_goes_though_the_record_of_its_invitation_was_purged(self):
        world = World(Policy(retention_days=32, reminder_days=(40,)))
        world.says(seen("a"))
        world.hear(SENT)
        world.advance(39 * DAY, reconcile=True)
        for place in [k for k in world.ledger.documents if k[1] == world.sms.sent[0].notice]:
            del world.ledger.documents[place]
        world.advance(3 * DAY, reconcile=True)
        assert len(world.sent()) == 2


class Says:
    name = "email"

    def __init__(self, **told) -> None:
        self.told = told

    def receipts(self, request, now):
        return [Receipt(provider_id="x", at=now, **self.told)]


def test_what_has_arrived_is_not_sent_by_the_other_channel_when_the_address_is_blocked_afterwards():
    world = World(Policy(channels="email-first"))
    world.says(seen("a", email="a@example.com"))
    world.email.outcomes = [OutcomeUnknown("lost")]
    world.hear(SENT)
    [key] = world.ledger.all(NoticeRecord)
    for told in ({}, {"suppress": True, "reason": "reported as spam"}):
        receiver = Says(notice=key, state=NoticeState.DELIVERED, **told)
        Receipts(world.ledger, {"email": receiver}, world.fallback, world.outcomes, world.clock, world.policy).take(
            "email", NOTHING
        )
    world.advance(HOUR)
    assert world.sms.sent == []


def test_an_old_receipt_that_comes_again_does_not_block_an_address_that_was_cleared():
    world = World()
    world.says(seen("a"))
    world.hear(SENT)
    [record] = world.records()
    world.fallback.suppress(record, "opted out", world.now)
    stored = world.ledger.get(Suppression, record.address)
    cleared = replace(stored.item, cleared_at=world.now + MINUTE)
    world.ledger.put(record.address, cleared, stored.version)
    world.fallback.suppress(record, "opted out", world.now)
    assert world.fallback.suppressed(record.address) == ""
    world.fallback.suppress(record, "landline", world.now + HOUR)
    assert world.fallback.suppressed(record.address) == "landline"


@pytest.mark.parametrize("link", ["https://secure.test/sign/TOKEN/", "https://secure.test/sign?token=TOKEN&next=/home"])
def test_nothing_of_a_signing_url_but_its_host_is_on_record(link):
    assert masked(f"sign: {link}", link) == "sign: https://secure.test/***"
