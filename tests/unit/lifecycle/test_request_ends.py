"""How requests end over months: expired, gone, silent, forgotten."""

import pytest

from shared.domain.errors import OutcomeUnknown
from shared.domain.model import EventType, NoticeRecord, NoticeState, Status
from shared.domain.policy import Policy
from shared.ports import NotFound
from tests.fakes import START, Crash, seen
from tests.simulated_time import DAY, HOUR, MINUTE, Days

SENT, SIGNED, COMPLETE, EXPIRED = EventType


def invited(**said) -> Days:
    days = Days()
    days.says(seen("a"), seen("b"), **said)
    days.hear(SENT)
    return days


def completed(days: Days) -> None:
    days.says(seen("a", signed=True), seen("b", signed=True), status=Status.COMPLETE)


def kinds(days: Days) -> list[str]:
    return sorted(m.kind for m in days.left if m.kind != "invitation")


class TestExpiry:
    def test_a_date_that_passes_stops_the_reminders_without_a_webhook(self):
        days = invited(status=None, expires_at=START + 5 * DAY)
        days.live(30 * DAY)
        assert days.steps() == [3]
        assert days.request().status is Status.EXPIRED

    def test_the_api_saying_open_outweighs_the_date(self):
        days = invited(expires_at=START + 5 * DAY)
        days.live(20 * DAY)
        assert days.steps() == [3, 7, 14]

    def test_a_date_put_off_brings_back_the_steps_ahead(self):
        days = invited(status=None, expires_at=START + 5 * DAY)
        days.live(6 * DAY)
        days.says(seen("a"), seen("b"), status=None, expires_at=START + 50 * DAY)
        days.hear(SENT, key="again")  # says nothing of its own, but makes us look
        days.live(20 * DAY)
        assert days.steps() == [3]
        days.says(seen("a"), seen("b"), status=Status.OPEN, expires_at=START + 50 * DAY)
        days.live(HOUR)
        assert days.steps() == [3]

    def test_an_old_request_that_expired_and_was_put_off_is_met_again_within_a_day(self):
        days = Days(Policy(reminder_days=(3, 25)))
        days.says(seen("a"))
        days.hear(SENT)
        days.live(20 * DAY)
        days.says(seen("a"), status=Status.EXPIRED)
        days.live(2 * DAY)
        assert days.request().status is Status.EXPIRED
        days.says(seen("a"))
        days.live(4 * DAY)
        assert days.steps() == [3, 25]


class TestGone:
    def test_an_old_request_that_the_api_had_lost_for_an_hour_is_met_again_within_a_day(self):
        days = Days(Policy(reminder_days=(3, 25)))
        days.says(seen("a"))
        days.hear(SENT)
        days.live(20 * DAY)
        truth = days.api.truth["r1"]
        days.api.truth["r1"] = NotFound()
        days.live(DAY + HOUR)
        assert days.request().status is Status.GONE
        days.api.truth["r1"] = truth
        days.live(5 * DAY)
        assert days.steps() == [3, 25]

    def test_one_that_stays_gone_is_left_alone_after_a_week(self):
        days = invited()
        days.live(20 * DAY)
        days.api.truth["r1"] = NotFound()
        days.live(10 * DAY)
        calls = days.api.calls
        days.live(50 * DAY)
        assert days.api.calls == calls


class TestNewsWithoutAWebhook:
    """Reconcile found it on an old request, and dies between the commit and what follows from it."""

    def crashed(self, days: Days) -> None:
        versions = days.ledger._version
        points = 0
        while days.ledger._version == versions:  # the first crash after the commit of the look
            days.faults.count, days.faults.at = 0, points
            with pytest.raises(Crash):
                days.reconcile.run()
            points += 1

    def test_a_completion_is_told_within_the_hour(self):
        days = invited()
        days.live(20 * DAY)
        completed(days)
        days.now = days.request().next_at
        self.crashed(days)
        assert kinds(days).count("completion") == 0
        days.live(HOUR)
        assert kinds(days).count("completion") == 2

    def test_a_signature_is_told_within_the_hour_and_the_next_in_order_invited(self):
        days = Days()
        days.says(seen("a", order=1), seen("b", order=2), ordered=True)
        days.hear(SENT)
        days.live(20 * DAY)
        days.says(seen("a", order=1, signed=True), seen("b", order=2), ordered=True)
        days.now = days.request().next_at
        self.crashed(days)
        days.live(HOUR)
        assert [(m.kind, m.signer) for m in days.left if m.at > START + 19 * DAY] == [("invitation", "b")]

    def test_a_completion_whose_answer_was_lost_is_tried_again(self):
        days = invited()
        days.live(20 * DAY)
        completed(days)
        days.sms.outcomes = [OutcomeUnknown("lost"), OutcomeUnknown("lost")]
        days.live_until(days.request().next_at + 5 * MINUTE)
        assert days.states("completion") == [NoticeState.UNKNOWN] * 2
        days.later.clear()  # and the messages with it
        days.live(HOUR)
        assert kinds(days).count("completion") == 2

    def test_looks_become_rare_again(self):
        days = invited()
        days.live(20 * DAY)
        days.says(seen("a", signed=True), seen("b"))
        days.live(10 * DAY)
        calls = days.api.calls
        days.live(5 * DAY)
        assert days.api.calls - calls <= 6


class TestSilence:
    def test_thirty_days_past_the_last_step_it_is_dormant_and_costs_no_more_calls(self):
        days = invited()
        days.live(43 * DAY)
        assert days.request().status is Status.OPEN
        days.live(2 * DAY + HOUR)
        assert days.request().status is Status.DORMANT
        calls = days.api.calls
        days.live(60 * DAY)
        assert days.api.calls == calls
        assert days.steps() == [3, 7, 14]

    def test_a_dormant_request_wakes_by_an_event(self):
        days = invited()
        days.live(50 * DAY)
        days.says(seen("a", signed=True), seen("b"))
        days.hear(SIGNED, "a")
        assert (days.request().status, kinds(days).count("progress")) == (Status.OPEN, 1)
        completed(days)
        days.hear(COMPLETE)
        assert kinds(days).count("completion") == 2

    def test_a_dormant_request_is_forgotten_like_any_that_ended(self):
        days = invited()
        days.live((44 + 90) * DAY)
        assert days.request().forgotten

    def test_a_paused_request_is_not_looked_at_for_ever(self):
        days = invited()
        days.says(seen("a"), seen("b"), status=Status.PAUSED)
        days.live(50 * DAY)
        assert days.request().status is Status.DORMANT

    def test_a_disputed_request_is_not_looked_at_for_ever(self):
        days = invited()
        days.hear(COMPLETE)
        days.live(HOUR)
        assert days.request().status is Status.DISPUTED
        days.live(50 * DAY)
        calls = days.api.calls
        days.live(10 * DAY)
        assert (days.request().status, days.api.calls) == (Status.DORMANT, calls)


class TestForgetting:
    def test_at_89_days_a_stub_stays_and_late_events_after_it_do_nothing(self):
        days = invited()
        completed(days)
        days.hear(COMPLETE)
        ended = days.now
        days.live_until(ended + 89 * DAY - MINUTE)
        assert not days.request().forgotten
        days.live(2 * MINUTE)
        stub, sent = days.request(), len(days.left)
        assert (stub.status, stub.signers, stub.title, stub.next_at) == (Status.COMPLETE, {}, "", None)
        days.says(seen("a"), seen("b"))
        for kind in EventType:
            days.hear(kind, "a", f"late-{kind}")
        days.ledger.postpone("r1", days.now)  # by a receipt that could not be told
        days.live(30 * DAY)
        assert (days.request(), len(days.left)) == (stub, sent)

    def test_a_reconcile_down_for_that_day_still_lets_no_late_event_do_anything(self):
        days = invited()
        completed(days)
        days.hear(COMPLETE)
        days.live(80 * DAY)
        days.reconciling = False
        days.live(9 * DAY + HOUR)
        sent = len(days.left)
        days.says(seen("a"), seen("b"))
        days.hear(SENT, key="late")
        assert (days.request().forgotten, len(days.left)) == (True, sent)

    def test_a_notice_that_comes_after_it_leaves_nothing(self):
        days = invited()
        notice = days.bus.topics[days.names.notices_topic][0]
        completed(days)
        days.hear(COMPLETE)
        days.live(89 * DAY + HOUR)
        sent = len(days.left)
        days.ledger.documents = {k: v for k, v in days.ledger.documents.items() if k[0] is not NoticeRecord}
        days._handle(days.names.notices_topic, notice.data)
        assert (days.states("invitation"), len(days.left)) == ([], sent)
