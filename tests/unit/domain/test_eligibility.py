"""Checked just before a message is sent: it is still true and still due."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from shared.domain import planner
from shared.domain.eligibility import BEFORE_RESTORE, Defer, Fail, Send, Suppress, after_invitation, evaluate, since
from shared.domain.model import (
    ChannelName,
    Kind,
    Notice,
    NoticeState,
    Reminder,
    Request,
    Role,
    SignerState,
    Status,
    Transition,
)
from shared.domain.notice_record import NO_SIGNER, first_record
from shared.domain.planner import notice_for
from shared.domain.policy import Policy
from tests.fakes import START, seen
from tests.unit.domain.test_planner import DAY, MINUTE, POLICY, SECOND, signed, state

NEXT = START + MINUTE


def notice(request: Request, kind: Kind, number: int = 1, step: int = 0) -> Notice:
    key = next(k for k, s in request.signers.items() if s.number == number)
    subject = {"about" if kind is Kind.PROGRESS else "reminder_day": step}
    return notice_for(request, key, kind, ChannelName.SMS, **subject)


def with_signer(request: Request, number: int, **fields) -> Request:
    signers = {k: replace(s, **fields) if s.number == number else s for k, s in request.signers.items()}
    return replace(request, signers=signers)


@pytest.fixture
def two() -> Request:
    return state(seen("a"), seen("b"))


def invitation(request: Request, now=NEXT, policy: Policy = POLICY, of: Request | None = None):
    return evaluate(request, notice(of or request, Kind.INVITATION), now, policy)


class TestInvitation:
    def test_leaves_when_due(self, two):
        assert invitation(two) == Send()

    def test_is_suppressed_once_the_signer_has_signed(self, two):
        assert invitation(signed(two, 1)) == Suppress("already signed")

    def test_waits_while_the_api_denies_a_signature_that_a_webhook_told(self, two):
        told = with_signer(two, 1, state=SignerState.SIGNED, doubted_since=START)
        assert invitation(told) == Defer("the API denies the signature", 840)

    def test_waits_while_another_signer_comes_first_again(self, two):
        assert invitation(with_signer(two, 1, request_url="")) == Defer("not this signer's turn", 840)
        assert invitation(with_signer(two, 1, role=Role.RECIPIENT)) == Suppress(NO_SIGNER, for_good=False)
        second = with_signer(with_signer(two, 1, order=2), 2, order=1)
        assert invitation(replace(second, ordered=True)) == Defer("not this signer's turn", 840)
        assert invitation(second) == Send()

    def test_waits_for_an_address_that_one_answer_lacked(self, two):
        assert isinstance(invitation(with_signer(two, 1, mobile=""), of=two), Defer)

    def test_waits_for_a_signer_whom_the_last_answer_lacked(self, two):
        assert isinstance(invitation(with_signer(two, 1, missing_since=START)), Defer)

    def test_is_suppressed_for_one_who_left_or_was_never_there(self, two):
        assert isinstance(invitation(with_signer(two, 1, state=SignerState.REMOVED)), Suppress)
        assert isinstance(evaluate(replace(two, signers={}), notice(two, Kind.INVITATION), NEXT, POLICY), Suppress)

    def test_is_suppressed_when_the_address_or_the_round_is_another(self, two):
        assert isinstance(invitation(with_signer(two, 1, mobile="+13175550199"), of=two), Suppress)
        assert isinstance(invitation(with_signer(two, 1, channels=()), of=two), Suppress)
        assert invitation(replace(two, round=2), of=two) == Suppress("a new signing round has begun")

    def test_is_suppressed_on_the_other_channel_unless_it_stands_in(self):
        policy = Policy(channels="sms-first")
        request = state(seen("a", email="a@x.org"), policy=policy)
        other = notice_for(request, *request.signers, Kind.INVITATION, ChannelName.EMAIL)
        changed = Suppress("the address has changed or is no longer to be used", for_good=False)
        assert evaluate(request, other, NEXT, policy) == changed
        assert evaluate(request, replace(other, instead_of="n"), NEXT, policy) == Send()
        assert evaluate(request, replace(other, instead_of="n"), NEXT, Policy(channels="sms")) == changed

    @pytest.mark.parametrize("status", [Status.EXPIRED, Status.GONE])
    def test_waits_while_an_end_may_not_last(self, two, status):
        assert invitation(replace(two, status=status)) == Defer(f"the request is {status}", 840)

    @pytest.mark.parametrize("status", [Status.COMPLETE, Status.DORMANT])
    def test_is_suppressed_when_the_request_is_over(self, two, status):
        assert invitation(replace(two, status=status)) == Suppress(f"the request is {status}")

    @pytest.mark.parametrize("status", [Status.PAUSED, Status.DISPUTED])
    @pytest.mark.parametrize(("age", "again"), [(0, 15), (1, 15), (14, 30), (16, 30), (59, 120), (200, 240)])
    def test_waits_while_the_request_stands_still_the_longer_the_longer(self, two, status, age, again):
        """Copies of one notice, deferred at different times, come again at the same."""
        wait = (again - age) * 60
        assert invitation(replace(two, status=status), START + age * MINUTE) == Defer(f"the request is {status}", wait)

    @pytest.mark.parametrize(
        ("age", "wait"), [(839, 61), (840, 960), (7 * 86_400 - 70, 70), (7 * 86_400 - 1.5, 1.5), (7 * 86_400 - 0.5, 1)]
    )
    def test_waits_for_a_minute_at_least_and_until_it_is_too_late(self, two, age, wait):
        found = invitation(replace(two, status=Status.PAUSED), START + timedelta(seconds=age))
        assert found == Defer("the request is paused", wait)

    def test_waits_from_now_on_where_nothing_says_since_when_it_is_due(self, two):
        paused = replace(with_signer(two, 1, invited_at=None), status=Status.PAUSED)
        assert invitation(paused, START + 9 * DAY) == Defer("the request is paused", 900)

    def test_is_too_late_after_seven_days(self, two):
        assert isinstance(invitation(two, START + 7 * DAY - MINUTE), Send)
        assert invitation(two, START + 7 * DAY) == Fail("too late")
        assert invitation(replace(two, status=Status.PAUSED), START + 7 * DAY) == Fail("too late")


class TestReminder:
    def at(self, request, now):
        return evaluate(request, notice(request, Kind.REMINDER, step=3), now, POLICY)

    def test_leaves_when_due(self, two):
        assert self.at(two, START + 3 * DAY) == Send()

    @pytest.mark.parametrize(("copied", "stopped", "sent"), [(2, 3, False), (2, 2.9, True), (3, 4, True)])
    def test_is_not_sent_again_where_it_fell_due_after_the_copy_that_was_restored(self, two, copied, stopped, sent):
        policy = replace(POLICY, restored=(START + copied * DAY, START + stopped * DAY))
        reminder = notice(two, Kind.REMINDER, step=3)
        wanted = Send() if sent else Suppress(BEFORE_RESTORE)
        assert evaluate(two, reminder, START + 4 * DAY, policy) == wanted
        resent = planner.resent(two, reminder, START + 5 * DAY)
        again = resent.resends[-1].notice
        assert evaluate(resent, again, START + 5 * DAY, policy) == Send(), "an operator sends it once more"

    @pytest.mark.parametrize(
        ("states", "wait"),
        [  # of the invitation, each with its hour; seconds that the reminder waits
            ([], 900),
            ([("planned", 0)], 900),
            ([("sending", 0), ("accepted", 0)], 0),
            ([("sending", 59), ("accepted", 60)], 0),  # 12 hours before
            ([("sending", 70), ("accepted", 71), ("delivered", 72)], 11 * 3600),
            ([("sending", 71), ("unknown", 71)], 11 * 3600),
            ([("sending", 60), ("accepted", 60 + 1 / 3600)], 1),
            ([("sending", 70), ("delivered", 71)], 11 * 3600),
            ([("sending", 70), ("delivered", 71), ("undelivered", 72)], 11 * 3600),
            ([("sending", 1), ("unknown", 1), ("planned", 2), ("sending", 70), ("accepted", 70)], 10 * 3600),
            ([("failed", 0)], 0),
        ],
    )
    def test_follows_the_invitation_at_half_a_day(self, two, states, wait):
        history = tuple(Transition(at=START + timedelta(hours=h), state=NoticeState(s)) for s, h in states)
        first = first_record(notice(two, Kind.INVITATION), NoticeState.PLANNED, START, POLICY)
        records = [replace(first, state=history[-1].state, history=history)] if history else []
        given = after_invitation(two, notice(two, Kind.REMINDER, step=3), records, START + 3 * DAY, POLICY)
        assert (given.after if isinstance(given, Defer) else 0) == wait
        assert isinstance(given, Send) is (wait == 0)

    @pytest.mark.parametrize(
        ("days", "fields", "waits"),
        [(6.9, {}, True), (7, {}, False), (7, {"invited_at": None}, True), (3, {"adopted": True}, False)],
    )
    def test_without_a_record_of_its_invitation_waits_for_as_long_as_that_may_come(self, two, days, fields, waits):
        reminder, now = notice(two, Kind.REMINDER, step=7), START + days * DAY
        other = first_record(notice(two, Kind.COMPLETION), NoticeState.ACCEPTED, now, POLICY)
        before = first_record(notice(replace(two, round=0), Kind.INVITATION), NoticeState.ACCEPTED, now, POLICY)
        given = after_invitation(with_signer(two, 1, **fields), reminder, [other, before], now, POLICY)
        assert isinstance(given, Defer) is waits

    @pytest.mark.parametrize("status", [Status.EXPIRED, Status.GONE, Status.PAUSED, Status.DISPUTED])
    def test_waits_while_an_end_may_not_last(self, two, status):
        assert isinstance(self.at(replace(two, status=status), START + 3 * DAY), Defer)

    def test_waits_for_an_address_that_one_answer_lacks(self, two):
        reminder = notice(two, Kind.REMINDER, step=3)
        assert isinstance(evaluate(with_signer(two, 1, mobile=""), reminder, START + 3 * DAY, POLICY), Defer)

    def test_waits_the_longer_the_longer_it_is_due(self, two):
        found = self.at(replace(two, status=Status.PAUSED), START + 3 * DAY + 16 * MINUTE)
        assert found == Defer("the request is paused", 14 * 60)
        last = self.at(replace(two, status=Status.PAUSED), START + 7 * DAY - 70 * SECOND)
        assert last == Defer("the request is paused", 70)

    def test_waits_for_the_send_window(self, two):
        late = START + 3 * DAY + timedelta(hours=11)  # 21:00 in Indiana
        assert self.at(two, late) == Defer("outside the send window", 11 * 3600)
        western = state(seen("a", mobile="+12135550123"))  # 7:00 in Los Angeles
        assert self.at(western, START + 3 * DAY) == Defer("outside the send window", 3600)

    def test_waits_while_a_signature_is_unmatched(self, two):
        assert isinstance(self.at(replace(two, unmatched=("x",)), START + 3 * DAY), Defer)

    def test_is_suppressed_once_the_signer_has_signed(self, two):
        assert isinstance(self.at(signed(two, 1), START + 3 * DAY), Suppress)

    @pytest.mark.parametrize(("days", "resent", "late"), [(6.9, False, False), (7, False, True), (7, True, False)])
    def test_is_too_late_once_the_next_one_is_due_though_a_day_may_be_short(self, two, days, resent, late):
        reminders = {d: Reminder(due_at=START + timedelta(days=int(d), hours=2 * (d == "3")), task=d) for d in "37"}
        request, now = with_signer(two, 1, reminders=reminders), START + days * DAY
        reminder = notice(request, Kind.REMINDER, step=3)
        if resent:
            request = planner.resent(request, reminder, now)
            reminder = request.resends[-1].notice
        assert evaluate(request, reminder, now, Policy(window=None)) == (Fail("too late") if late else Send())

    def test_is_too_late_at_the_next_step(self, two):
        assert self.at(two, START + 7 * DAY) == Fail("too late")


class TestProgress:
    def at(self, request, now=NEXT):
        return evaluate(request, notice(request, Kind.PROGRESS, number=2, step=1), now, POLICY)

    def test_leaves_while_a_signature_is_missing(self, two):
        assert self.at(signed(two, 1)) == Send()

    def test_is_suppressed_when_no_signature_is_missing_any_more(self, two):
        assert self.at(signed(signed(two, 1), 2)) == Suppress("no signature is missing any more")

    def test_is_suppressed_when_the_signature_no_longer_stands(self, two):
        assert self.at(two) == Suppress("the signature no longer stands")

    def test_is_suppressed_when_the_request_is_not_open(self, two):
        assert isinstance(self.at(replace(signed(two, 1), status=Status.COMPLETE)), Suppress)

    @pytest.mark.parametrize("status", [Status.PAUSED, Status.DISPUTED])
    def test_waits_while_the_request_is_held(self, two, status):
        assert isinstance(self.at(replace(signed(two, 1), status=status)), Defer)

    def test_is_too_late_after_a_day(self, two):
        assert self.at(signed(two, 1), NEXT + DAY) == Fail("too late")


class TestCompletion:
    def test_leaves_when_complete_also_to_recipients(self, two):
        done = replace(two, status=Status.COMPLETE, completed_at=START)
        assert evaluate(done, notice(done, Kind.COMPLETION), NEXT, POLICY) == Send()
        reader = with_signer(done, 1, role=Role.RECIPIENT)
        assert evaluate(reader, notice(reader, Kind.COMPLETION), NEXT, POLICY) == Send()

    def test_leaves_also_to_whom_the_last_answer_lacked(self, two):
        done = with_signer(replace(two, status=Status.COMPLETE, completed_at=START), 1, missing_since=START)
        assert evaluate(done, notice(done, Kind.COMPLETION), NEXT, POLICY) == Send()

    def test_is_suppressed_when_the_completion_no_longer_stands(self, two):
        assert isinstance(evaluate(two, notice(two, Kind.COMPLETION), NEXT, POLICY), Suppress)

    def test_is_too_late_after_seven_days(self, two):
        done = replace(two, status=Status.COMPLETE, completed_at=START)
        assert evaluate(done, notice(done, Kind.COMPLETION), START + 7 * DAY, POLICY) == Fail("too late")


@pytest.mark.parametrize("kind", list(Kind))
def test_what_has_no_known_beginning_begins_now(two, kind):
    bare = with_signer(two, 1, invited_at=None, reminders={})
    told = notice(bare, kind, step=3)
    assert since(bare, told, bare.signers[told.signer], NEXT) == NEXT
