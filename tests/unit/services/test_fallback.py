"""What does not arrive: receipts settle it, the other channel takes over once, and a dead address is remembered."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from shared.domain.errors import OutcomeUnknown, PermanentFailure, RetryLater
from shared.domain.model import ChannelName, EventType, NoticeRecord, NoticeState, Suppression, address_key
from shared.domain.policy import Policy
from shared.domain.receipts import InvalidSignature, Receipt, ReceiptRequest
from shared.handlers.receipts import Receipts
from tests.fakes import PHONES, Crash, World, seen

SENT, SIGNED, COMPLETE, _ = EventType
SMS_FIRST = Policy(channels="sms-first")
MAIL = "a@example.com"
NOTHING = ReceiptRequest("https://receipts.test/sms", {}, b"")
PLANNED, SENDING, ACCEPTED, DELIVERED, UNDELIVERED, FAILED, UNKNOWN, SUPPRESSED = NoticeState


class Provider:
    """Says what it is told to say."""

    name = "sms"

    def __init__(self) -> None:
        self.told: list[Receipt] = []

    def receipts(self, request, now):
        if not self.told:
            raise InvalidSignature("nothing proven")
        return self.told


class Relay(World):
    def __init__(self, policy: Policy = SMS_FIRST, **fields) -> None:
        super().__init__(policy)
        self.provider = Provider()
        self.receipts = Receipts(self.ledger, {"sms": self.provider}, self.fallback, self.clock)
        self.says(seen("a", email=MAIL, **fields), seen("b"))

    def told_of(self, state: NoticeState, reason: str = "", **fields) -> int:
        """A receipt for the first SMS that left."""
        notice = fields.pop("notice", self.sms.sent[0].notice if self.sms.sent else "")
        at = fields.pop("at", self.now)
        self.provider.told = [Receipt(notice=notice, provider_id="", state=state, reason=reason, at=at, **fields)]
        settled = self.receipts.take("sms", NOTHING)
        self.pump()
        return settled

    def first(self) -> NoticeRecord:
        return self.records()[0]


@pytest.fixture
def relay() -> Relay:
    relay = Relay()
    relay.hear(SENT)
    return relay


class TestReceipts:
    def test_record_what_arrived_with_its_time(self, relay):
        at = relay.now + timedelta(seconds=5)
        assert relay.told_of(DELIVERED, at=at) == 1
        assert (relay.first().state, relay.first().history[-1].at) == (DELIVERED, at)

    @pytest.mark.parametrize("lost", [OutcomeUnknown("lost"), RetryLater("busy", after=9_000)])
    @pytest.mark.parametrize("state", [ACCEPTED, DELIVERED, UNDELIVERED])
    def test_settle_what_was_not_known_to_have_left(self, lost, state):
        relay = Relay()
        relay.sms.outcomes = [lost]
        relay.hear(SENT)
        key = next(k for k, r in relay.ledger.all(NoticeRecord).items() if r.state in (UNKNOWN, PLANNED))
        assert relay.told_of(state, notice=key) == 1
        assert relay.ledger.all(NoticeRecord)[key].state is state

    def test_a_settled_notice_is_not_tried_again(self):
        relay = Relay()
        relay.sms.outcomes = [OutcomeUnknown("lost")]
        relay.hear(SENT)
        relay.told_of(DELIVERED, notice=next(iter(relay.ledger.all(NoticeRecord))))
        relay.advance(timedelta(hours=2), reconcile=True)
        assert [m.to for m in relay.sms.sent] == [PHONES["b"]]

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
        with pytest.raises(KeyError):
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


class TestTheOtherChannel:
    def test_takes_over_once(self, relay):
        assert relay.email.sent == []
        relay.told_of(UNDELIVERED, "out of reach")
        assert [m.to for m in relay.email.sent] == [MAIL]
        relay.provider.name = "email"
        relay.receipts = Receipts(relay.ledger, {"sms": relay.provider}, relay.fallback, relay.clock)
        relay.told_of(UNDELIVERED, "full", notice=relay.email.sent[0].notice)
        assert len(relay.sent()) == 3

    def test_says_in_whose_place_it_stands(self, relay):
        relay.told_of(UNDELIVERED)
        assert relay.ledger.all(NoticeRecord)[relay.email.sent[0].notice].instead_of == relay.sms.sent[0].notice

    def test_takes_over_after_a_refusal(self):
        relay = Relay()
        relay.sms.outcomes = [PermanentFailure("refused")]
        relay.hear(SENT)
        assert [m.to for m in relay.email.sent] == [MAIL]

    def test_takes_over_after_the_last_attempt(self):
        relay = Relay(replace(SMS_FIRST, max_attempts=2))
        relay.sms.always = RetryLater("busy")
        relay.hear(SENT)
        relay.advance(timedelta(hours=1))
        assert [m.to for m in relay.email.sent] == [MAIL]

    @pytest.mark.parametrize("policy", ["send_to", "all", "sms"])
    def test_is_left_alone_where_the_policy_says_so_or_uses_it_already(self, policy):
        relay = Relay(Policy(channels=policy))
        relay.hear(SENT)
        before = len(relay.email.sent)
        relay.told_of(UNDELIVERED)
        assert len(relay.email.sent) == before

    def test_is_not_used_when_the_message_is_no_longer_due(self, relay):
        relay.says(seen("a", email=MAIL, signed=True), seen("b"))
        relay.hear(SIGNED, "a")
        relay.told_of(UNDELIVERED)
        assert relay.email.sent == []

    def test_is_not_lost_by_a_crash_at_any_point(self):
        for point in range(6):
            relay = Relay()
            relay.hear(SENT)
            relay.faults.count, relay.faults.at = 0, point
            with pytest.raises(Crash):
                relay.told_of(UNDELIVERED)
            relay.pump()
            relay.told_of(UNDELIVERED)  # the provider repeats what was not answered
            assert [m.to for m in relay.email.sent] == [MAIL], point
            assert relay.first().state is UNDELIVERED

    def test_waits_for_pubsub_and_the_refused_message_with_it(self):
        relay = Relay()
        relay.sms.outcomes = [PermanentFailure("refused"), PermanentFailure("refused")]
        relay.says(seen("a", email=MAIL))
        publish, faults = relay.bus.publish, [RetryLater("Pub/Sub cannot be reached")]

        def fails_once(topic, messages):
            if faults and any(b"instead_of" in m.data for m in messages):
                raise faults.pop()
            publish(topic, messages)

        relay.bus.publish = fails_once
        relay.hear(SENT)
        assert relay.email.sent == []
        relay.advance(timedelta(minutes=10))
        assert [m.to for m in relay.email.sent] == [MAIL]


class TestADeadAddress:
    def refused(self) -> Relay:
        relay = Relay()
        relay.sms.outcomes = [PermanentFailure("opted out", suppress=True)]
        relay.hear(SENT)
        return relay

    def test_is_remembered_with_its_reason(self):
        relay = self.refused()
        found = relay.ledger.all(Suppression)[address_key(ChannelName.SMS, PHONES["a"])]
        assert (found.channel, found.reason, found.since) == (
            ChannelName.SMS,
            "opted out",
            relay.now - timedelta(seconds=1),
        )

    def test_is_remembered_from_a_receipt_too(self, relay):
        relay.told_of(UNDELIVERED, "landline", suppress=True)
        assert list(relay.ledger.all(Suppression)) == [address_key(ChannelName.SMS, PHONES["a"])]

    def test_is_not_tried_again_and_the_other_channel_goes_at_once(self):
        relay = self.refused()
        relay.advance(timedelta(days=3, hours=1))
        assert [m.to for m in relay.sms.sent] == [PHONES["b"], PHONES["b"]]
        assert [m.to for m in relay.email.sent] == [MAIL, MAIL]
        passed = [r for r in relay.records() if r.state is SUPPRESSED]
        assert [r.reason for r in passed] == ["the address is not to be used: opted out"]

    def test_is_tried_again_once_cleared_and_remembered_anew(self):
        relay = self.refused()
        key = address_key(ChannelName.SMS, PHONES["a"])
        stored = relay.ledger.get(Suppression, key)
        relay.ledger.put(key, replace(stored.item, cleared_at=relay.now), stored.version)
        relay.sms.outcomes = [PermanentFailure("landline", suppress=True)]
        relay.advance(timedelta(days=3, hours=1))
        assert relay.ledger.all(Suppression)[key].reason == "landline"
        assert relay.ledger.all(Suppression)[key].cleared_at is None

    def test_keeps_its_first_reason(self):
        relay = self.refused()
        relay.fallback.suppress(
            replace(relay.first(), address=address_key(ChannelName.SMS, PHONES["a"])), "again", relay.now
        )
        assert [s.reason for s in relay.ledger.all(Suppression).values()] == ["opted out"]

    def test_of_a_notice_begun_by_an_older_version_cannot_be_told_and_is_let_be(self, relay):
        relay.fallback.suppress(replace(relay.first(), address=""), "landline", relay.now)
        assert relay.ledger.all(Suppression) == {}
