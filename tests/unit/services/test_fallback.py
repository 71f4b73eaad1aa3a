"""A message that cannot be delivered: the other channel is used once, and the address is not used again."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.model import ChannelName, EventType, NoticeRecord, NoticeState, Suppression
from shared.domain.policy import Policy, address_key
from shared.handlers.receipts import Receipts
from tests.fakes import PHONES, Crash, seen
from tests.receipt_world import MAIL, SMS_FIRST, ReceiptWorld

SENT, SIGNED, COMPLETE, _ = EventType
PLANNED, SENDING, ACCEPTED, DELIVERED, UNDELIVERED, FAILED, UNKNOWN, SUPPRESSED = NoticeState


@pytest.fixture
def relay() -> ReceiptWorld:
    relay = ReceiptWorld()
    relay.hear(SENT)
    return relay


class TestTheOtherChannel:
    def test_takes_over_once(self, relay):
        assert relay.email.sent == []
        relay.told_of(UNDELIVERED, "out of reach")
        assert [m.to for m in relay.email.sent] == [MAIL]
        relay.provider.name = "email"
        relay.receipts = Receipts(
            relay.ledger, {"sms": relay.provider}, relay.fallback, relay.outcomes, relay.clock, relay.policy
        )
        relay.told_of(UNDELIVERED, "full", notice=relay.email.sent[0].notice)
        assert len(relay.sent()) == 3

    def test_says_in_whose_place_it_stands(self, relay):
        relay.told_of(UNDELIVERED)
        assert relay.ledger.all(NoticeRecord)[relay.email.sent[0].notice].instead_of == relay.sms.sent[0].notice

    def test_takes_over_after_a_refusal(self):
        relay = ReceiptWorld()
        relay.sms.outcomes = [PermanentFailure("refused")]
        relay.hear(SENT)
        assert [m.to for m in relay.email.sent] == [MAIL]

    def test_takes_over_after_the_last_attempt(self):
        relay = ReceiptWorld(replace(SMS_FIRST, max_attempts=2))
        relay.sms.always = RetryLater("busy")
        relay.hear(SENT)
        relay.advance(timedelta(hours=1))
        assert [m.to for m in relay.email.sent] == [MAIL]

    @pytest.mark.parametrize("policy", ["send_to", "all", "sms"])
    def test_is_left_alone_where_the_policy_says_so_or_uses_it_already(self, policy):
        relay = ReceiptWorld(Policy(channels=policy))
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
            relay = ReceiptWorld()
            relay.hear(SENT)
            relay.faults.count, relay.faults.at = 0, point
            with pytest.raises(Crash):
                relay.told_of(UNDELIVERED)
            relay.pump()
            relay.told_of(UNDELIVERED)  # the provider repeats what was not answered
            assert [m.to for m in relay.email.sent] == [MAIL], point
            assert relay.first().state is UNDELIVERED

    def test_waits_for_pubsub_and_the_refused_message_with_it(self):
        relay = ReceiptWorld()
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
    def refused(self) -> ReceiptWorld:
        relay = ReceiptWorld()
        relay.sms.outcomes = [PermanentFailure("opted out", suppress=True)]
        relay.hear(SENT)
        return relay

    def test_is_remembered_with_its_reason_for_a_year(self):
        relay = self.refused()
        found = relay.ledger.all(Suppression)[address_key(ChannelName.SMS, PHONES["a"], Policy())]
        at = relay.now - timedelta(seconds=1)
        assert (found.channel, found.reason, found.since) == (ChannelName.SMS, "opted out", at)
        assert found.purge_at == at + timedelta(days=365)

    def test_is_remembered_from_a_receipt_too(self, relay):
        relay.told_of(UNDELIVERED, "landline", suppress=True)
        assert list(relay.ledger.all(Suppression)) == [address_key(ChannelName.SMS, PHONES["a"], Policy())]

    def test_is_not_tried_again_and_the_other_channel_goes_at_once(self):
        relay = self.refused()
        relay.advance(timedelta(days=3, hours=1))
        assert [m.to for m in relay.sms.sent] == [PHONES["b"], PHONES["b"]]
        assert [m.to for m in relay.email.sent] == [MAIL, MAIL]
        passed = [r for r in relay.records() if r.state is SUPPRESSED]
        assert [r.reason for r in passed] == ["the address is not to be used: opted out"]

    def test_is_tried_again_once_cleared_and_remembered_anew(self):
        relay = self.refused()
        key = address_key(ChannelName.SMS, PHONES["a"], Policy())
        stored = relay.ledger.get(Suppression, key)
        relay.ledger.put(key, replace(stored.item, cleared_at=relay.now), stored.version)
        relay.sms.outcomes = [PermanentFailure("landline", suppress=True)]
        relay.advance(timedelta(days=3, hours=1))
        assert relay.ledger.all(Suppression)[key].reason == "landline"
        assert relay.ledger.all(Suppression)[key].cleared_at is None

    def test_keeps_its_first_reason(self):
        relay = self.refused()
        relay.fallback.suppress(
            replace(relay.first(), address=address_key(ChannelName.SMS, PHONES["a"], Policy())), "again", relay.now
        )
        assert [s.reason for s in relay.ledger.all(Suppression).values()] == ["opted out"]

    def test_of_a_notice_begun_by_an_older_version_cannot_be_told_and_is_let_be(self, relay):
        relay.fallback.suppress(replace(relay.first(), address=""), "landline", relay.now)
        assert relay.ledger.all(Suppression) == {}
