"""Whole lives of a request over the fakes: what leaves, how often, and what is on record."""

import pytest
from msgspec.structs import replace

from shared.domain.errors import RetryLater
from shared.domain.model import NoticeRecord, Request, Status
from tests.fakes import FakeLedger, World, answer, seen
from tests.lifecycles import COMPLETE, DAY, HOUR, SENT, SIGNED, begun, live


class TestWholeLife:
    @pytest.mark.parametrize(("names", "messages"), [("a", 2), ("ab", 5), ("abc", 10)])
    def test_tells_exactly_what_it_should(self, names, messages):
        world = live(names)
        world.advance(30 * DAY, reconcile=True)
        kinds = [kind for kind, _, _ in world.told()]
        count = len(names)
        assert len(kinds) == messages
        assert (kinds.count("invitation"), kinds.count("completion")) == (count, count)
        assert kinds.count("progress") == (count - 1) ** 2

    @pytest.mark.parametrize("order", [(SIGNED, COMPLETE), (COMPLETE, SIGNED)])
    @pytest.mark.parametrize("status", [Status.COMPLETE, None])
    def test_a_single_signer_never_gets_progress(self, order, status):
        world = begun("a")
        world.says(seen("a", signed=True if status else None), status=status)
        for kind in order:
            world.hear(kind, "a" if kind is SIGNED else None)
        assert world.told() == [("completion", "a", 0), ("invitation", "a", 0)]

    def test_repetitions_of_every_event_send_nothing_twice(self):
        world = live("ab")
        before = world.told()
        for key in ("", "other"):
            for kind, who in ((SENT, None), (SIGNED, "a"), (SIGNED, "b"), (COMPLETE, None)):
                world.hear(kind, who, key and f"{key}-{kind}-{who}")
        assert world.told() == before

    def test_a_repeated_notice_is_not_sent_again(self):
        world = begun("a")
        world.bus.pending += [(world.names.notices_topic, m.data) for m in world.bus.topics[world.names.notices_topic]]
        world.pump()
        assert len(world.sent()) == 1

    def test_a_late_request_sent_after_the_signature_invites_only_the_others(self):
        world = World()
        world.says(seen("a", signed=True), seen("b"))
        world.hear(SIGNED, "a")
        assert [t for t in world.told() if t[0] == "invitation"] == []
        world.hear(SENT)
        assert [t for t in world.told() if t[0] == "invitation"] == [("invitation", "b", 0)]

    def test_in_a_signing_order_each_is_invited_in_turn(self):
        world = World()
        pair = seen("a", order=1), seen("b", order=2)
        world.says(*pair, ordered=True)
        world.hear(SENT)
        assert world.told() == [("invitation", "a", 0)]
        world.says(replace(pair[0], signed=True), pair[1], ordered=True)
        world.hear(SIGNED, "a")
        assert world.told() == [("invitation", "a", 0), ("invitation", "b", 0)]

    def test_both_channels_carry_every_notice(self):
        world = World()
        world.says(seen("a", email="a@x.org"))
        world.hear(SENT)
        assert [len(world.sms.sent), len(world.email.sent)] == [1, 1]
        assert world.email.sent[0].to == "a@x.org"

    def test_a_corrected_number_is_invited_once_more(self):
        world = begun("a")
        world.says(seen("a", mobile="+13175550199"))
        world.advance(HOUR, reconcile=True)
        assert [m.to for m in world.sms.sent] == ["+13175550101", "+13175550199"]

    def test_a_signer_whom_only_a_number_names_is_invited_once(self):
        world = World()
        world.says(seen("a", ids=()))
        world.hear(SENT)
        world.advance(2 * HOUR, reconcile=True)
        assert len(world.sent()) == 1

    def test_the_status_stream_tells_each_change_once(self):
        world = live("ab")
        told = len(world.bus.topics[world.names.status_topic])
        world.advance(DAY, reconcile=True)
        assert len(world.bus.topics[world.names.status_topic]) == told


class TestHealing:
    def test_lost_webhooks_are_made_up_for_by_reconcile(self):
        world = begun("a", "b")
        world.says(seen("a", signed=True), seen("b"))
        world.advance(HOUR, reconcile=True)
        world.says(seen("a", signed=True), seen("b", signed=True), status=Status.COMPLETE)
        world.advance(HOUR, reconcile=True)
        kinds = [kind for kind, _, _ in world.told()]
        assert kinds == ["completion", "completion", "invitation", "invitation", "progress"]

    def test_a_lost_echo_is_made_up_for(self):
        world = World()
        world.says(seen("a"))
        world.bus.down = True
        world.hear(SENT)
        assert len(world.later) == 1
        world.bus.down = False
        world.later.clear()
        world.advance(HOUR, reconcile=True)
        assert world.told() == [("invitation", "a", 0)]
        assert len(world.scheduler.names) == 3

    def test_going_live_over_a_thousand_old_requests_sends_nothing(self):
        world = World()
        for n in range(1000):
            key = f"old{n}"
            signers = seen("a", signed=n % 3 > 0), seen("b", signed=n % 3 > 1)
            status = Status.COMPLETE if n % 3 > 1 else Status.OPEN
            old = answer(*signers, status=status, created_at=world.now - 40 * DAY)
            world.api.truth[key] = replace(old, id=key)
            world.resolve.recheck(key)
        world.pump()
        world.reconcile.run()
        world.pump()
        assert world.sent() == []
        assert world.scheduler.tasks == {}
        assert world.ledger.all(NoticeRecord) == {}

    def test_one_request_that_cannot_be_read_does_not_hold_up_the_others(self):
        world = World()
        for key in ("x", "y"):
            world.api.truth[key] = replace(answer(seen("a")), id=key)
            world.resolve.recheck(key)
        world.now += HOUR
        world.api.truth["x"] = RetryLater("down")
        assert world.reconcile.run() == {"rechecked": 1, "postponed": 1}


def test_the_fake_ledger_refuses_a_version_that_is_not_the_last():
    ledger = FakeLedger()
    first = ledger.put("r1", Request(id="r1"), None)
    assert ledger.put("r1", Request(id="r1"), None) is None
    second = ledger.put("r1", Request(id="r1", title="x"), first)
    assert second
    assert ledger.put("r1", Request(id="r1"), first) is None
