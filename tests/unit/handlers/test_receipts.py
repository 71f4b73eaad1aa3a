"""What a provider's receipt changes in the record of its notice."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from shared import trace
from shared.domain.errors import OutcomeUnknown, PermanentFailure, RetryLater
from shared.domain.model import EventType, NoticeRecord, NoticeState
from shared.domain.notice_record import settled
from shared.domain.receipts import InvalidSignature, Receipt
from shared.handlers.receipts import NotInUse
from tests.fakes import PHONES
from tests.receipt_world import NOTHING, ReceiptWorld

SENT, SIGNED, COMPLETE, _ = EventType
PLANNED, SENDING, ACCEPTED, DELIVERED, UNDELIVERED, FAILED, UNKNOWN, SUPPRESSED = NoticeState


@pytest.fixture
def relay() -> ReceiptWorld:
    relay = ReceiptWorld()
    relay.hear(SENT)
    return relay


def receipt(relay: ReceiptWorld, number: int) -> Receipt:
    """That an SMS was delivered."""
    return Receipt(notice=relay.sms.sent[number].notice, provider_id="", state=DELIVERED, at=relay.now)


FIRST, LATER = (f"00-{n * 32}-{n * 16}-01" for n in "ab")


class TestTrace:
    """One id in every log line of a message's life."""

    @pytest.fixture
    def followed(self):
        yield trace.follow
        trace.follow()

    def test_a_receipt_and_what_it_causes_have_that_of_the_delivery(self, followed):
        relay = ReceiptWorld()
        followed(FIRST)
        relay.hear(SENT)
        followed(LATER)
        relay.told_of(UNDELIVERED)
        assert {r.trace for r in relay.records()} == {FIRST}, "that of the other channel too"

    def test_a_later_try_has_that_of_the_first(self, followed):
        relay = ReceiptWorld()
        relay.sms.outcomes = [RetryLater("busy", after=90)]
        followed(FIRST)
        relay.hear(SENT)
        followed(LATER)
        relay.advance(timedelta(minutes=5))
        (record,) = [r for r in relay.records() if r.attempts == 2]
        assert (record.trace, trace.current()) == (FIRST, FIRST)


class TestReceipts:
    def test_record_what_arrived_with_its_time(self, relay):
        at = relay.now + timedelta(seconds=5)
        assert relay.told_of(DELIVERED, at=at) == 1
        assert (relay.first().state, relay.first().history[-1].at) == (DELIVERED, at)

    @pytest.mark.parametrize("lost", [OutcomeUnknown("lost"), RetryLater("busy", after=9_000)])
    @pytest.mark.parametrize("state", [ACCEPTED, DELIVERED, UNDELIVERED])
    def test_settle_what_was_not_known_to_have_left(self, lost, state):
        relay = ReceiptWorld()
        relay.sms.outcomes = [lost]
        relay.hear(SENT)
        key = next(k for k, r in relay.ledger.all(NoticeRecord).items() if r.state in (UNKNOWN, PLANNED))
        assert relay.told_of(state, notice=key) == 1
        assert relay.ledger.all(NoticeRecord)[key].state is state

    def test_a_settled_notice_is_not_tried_again(self):
        relay = ReceiptWorld()
        relay.sms.outcomes = [OutcomeUnknown("lost")]
        relay.hear(SENT)
        relay.told_of(DELIVERED, notice=next(iter(relay.ledger.all(NoticeRecord))))
        relay.advance(timedelta(hours=2), reconcile=True)
        assert [m.to for m in relay.sms.sent] == [PHONES["b"]]

    def test_one_whose_notice_cannot_be_read_costs_no_other_and_comes_again(self, relay, monkeypatch):
        first, second = (message.notice for message in relay.sms.sent)
        relay.provider.told = [receipt(relay, n) for n in (0, 1)]
        read = relay.ledger.get
        unreadable = PermanentFailure("a document in notices cannot be read by this version")

        def get(kind, key):
            if key == first:
                raise unreadable
            return read(kind, key)

        monkeypatch.setattr(relay.ledger, "get", get)
        with pytest.raises(RetryLater, match="cannot be read"):
            relay.receipts.take("sms", NOTHING)
        assert relay.ledger.all(NoticeRecord)[second].state is DELIVERED
        monkeypatch.setattr(relay.ledger, "get", read)
        assert relay.receipts.take("sms", NOTHING).settled == 1
        assert relay.states("invitation") == [DELIVERED] * 2

    @pytest.mark.parametrize("races", [0, 5])
    def test_of_one_post_are_all_recorded_while_nothing_can_be_published(self, relay, races):
        """Or up to the first that cannot be written: the others come again."""
        told = [replace(receipt(relay, n), state=UNDELIVERED) for n in (0, 1)]
        to_sender = replace(relay.first(), signer="", request_id="of no request")  # as a mail of the day is
        relay.ledger.put("daily", to_sender, None)
        relay.provider.told = [replace(told[0], notice="daily"), *told]
        relay.bus.down, update = True, relay.ledger.update

        def outraced(kind, key, change):
            relay.ledger.races = races if key == told[1].notice else 0
            return update(kind, key, change)

        relay.ledger.update = outraced
        with pytest.raises(RetryLater):
            relay.receipts.take("sms", NOTHING)
        first, second = (relay.ledger.all(NoticeRecord)[r.notice] for r in told)
        assert (first.state, first.untold) == (UNDELIVERED, True)
        assert (second.state, second.untold) == ((ACCEPTED, False) if races else (UNDELIVERED, True))

    def test_a_second_time_change_nothing(self, relay):
        relay.told_of(UNDELIVERED, "off")
        before = relay.records(), relay.sent()
        assert relay.told_of(UNDELIVERED, "off") == 0
        assert (relay.records(), relay.sent()) == before

    @pytest.mark.parametrize(
        ("first", "later"), [(DELIVERED, ACCEPTED), (UNDELIVERED, DELIVERED), (ACCEPTED, ACCEPTED)]
    )
    def test_out_of_order_move_nothing_back(self, relay, first, later):
        relay.told_of(first)
        relay.told_of(later, at=relay.now + timedelta(minutes=1))
        assert relay.first().state is first

    @pytest.mark.parametrize(("seconds", "state"), [(60, UNDELIVERED), (-60, DELIVERED)])
    def test_a_bounce_counts_after_a_delivery_but_not_before_it(self, relay, seconds, state):
        at = relay.now
        relay.told_of(DELIVERED, at=at)
        relay.told_of(UNDELIVERED, at=at + timedelta(seconds=seconds))
        assert relay.first().state is state

    @pytest.mark.parametrize("state", [FAILED, SUPPRESSED])
    def test_leave_what_is_final(self, relay, state):
        key = relay.sms.sent[0].notice
        stored = relay.ledger.get(NoticeRecord, key)
        relay.ledger.put(key, replace(stored.item, state=state), stored.version)
        assert relay.told_of(DELIVERED) == 0

    @pytest.mark.parametrize("notice", ["", "f" * 64])
    def test_of_other_senders_on_the_account_are_passed_over(self, relay, notice):
        assert relay.told_of(DELIVERED, notice=notice or None) == 0

    def test_of_another_provider_say_nothing_of_ours(self, relay):
        key = relay.sms.sent[0].notice
        stored = relay.ledger.get(NoticeRecord, key)
        relay.ledger.put(key, replace(stored.item, provider="another"), stored.version)
        assert relay.told_of(DELIVERED) == 0

    def test_forged_change_nothing(self, relay):
        before = relay.records()
        with pytest.raises(InvalidSignature):
            relay.receipts.take("sms", NOTHING)
        assert relay.records() == before

    def test_of_a_provider_not_in_use_are_refused(self, relay):
        with pytest.raises(NotInUse, match="FORMER_PROVIDERS"):
            relay.receipts.take("other", NOTHING)

    def test_run_again_after_a_lost_race_and_come_again_after_five(self, relay):
        relay.ledger.races = 2
        assert relay.told_of(DELIVERED) == 1
        relay.ledger.races = 5
        with pytest.raises(RetryLater):
            relay.told_of(UNDELIVERED, at=relay.now + timedelta(minutes=1))

    def test_read_no_request(self, relay):
        kinds = []
        get = relay.ledger.get
        relay.ledger.get = lambda kind, key: kinds.append(kind) or get(kind, key)
        relay.provider.told = [
            Receipt(notice=relay.sms.sent[0].notice, provider_id="", state=UNDELIVERED, at=relay.now)
        ]
        relay.receipts.take("sms", NOTHING)
        assert set(kinds) == {NoticeRecord}


@pytest.mark.parametrize(
    ("provider_id", "state", "after"),
    [
        ("sid-of-the-first", UNDELIVERED, ACCEPTED),  # the second may still arrive
        ("sid-of-the-first", DELIVERED, DELIVERED),
        ("sms-1", UNDELIVERED, UNDELIVERED),
        ("", UNDELIVERED, UNDELIVERED),
    ],
)
def test_a_late_bounce_of_a_first_try_whose_answer_was_lost_does_not_fail_the_second(provider_id, state, after):
    relay = ReceiptWorld()
    relay.sms.outcomes = [OutcomeUnknown("lost"), OutcomeUnknown("lost")]
    relay.hear(SENT)
    relay.advance(timedelta(minutes=20))
    key, record = next((k, r) for k, r in relay.ledger.all(NoticeRecord).items() if r.provider_id == "sms-1")
    late = Receipt(notice=key, provider_id=provider_id, state=state, at=relay.now)
    settled_as = settled(record, late, relay.now)
    assert (settled_as or record).state is after
