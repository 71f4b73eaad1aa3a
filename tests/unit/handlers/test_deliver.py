"""What happens to a notice after each kind of answer of a provider."""

from contextlib import suppress
from datetime import timedelta

import pytest
from msgspec.structs import replace

from shared.domain.errors import OutcomeUnknown, PermanentFailure, RetryLater
from shared.domain.lost_answers import fingerprint
from shared.domain.model import ChannelName, Kind, NoticeRecord, NoticeState, Request, Status
from shared.domain.planner import fallback_of, notice_for
from shared.domain.policy import Policy, address_key
from shared.ports import NotFound, Outgoing, Wording
from tests.fakes import PHONES, Crash, World, seen
from tests.lifecycles import DAY, HOUR, MINUTE, SENT, begun, sign


class TestProviders:
    def test_a_retry_is_tried_again_at_growing_intervals(self):
        world = World()
        world.sms.outcomes = [RetryLater("busy")] * 3
        world.says(seen("a"))
        world.hear(SENT)
        assert world.states("invitation") == [NoticeState.PLANNED]
        world.advance(69 * timedelta(seconds=1))
        assert world.told() == []
        world.advance(5 * timedelta(seconds=1))
        assert world.told() == [("invitation", "a", 0)]
        assert world.records()[0].attempts == 4

    def test_a_retry_waits_as_long_as_it_was_asked_to(self):
        world = World()
        world.sms.outcomes = [RetryLater("limit", after=1000)]
        world.says(seen("a"))
        world.hear(SENT)
        world.advance(timedelta(seconds=998))
        assert world.told() == []
        world.advance(timedelta(seconds=3))
        assert len(world.told()) == 1

    def test_after_max_attempts_it_has_failed_for_good(self):
        world = World(Policy(max_attempts=3))
        world.sms.always = RetryLater("busy")
        world.says(seen("a"))
        world.hear(SENT)
        world.advance(HOUR, reconcile=True)
        (record,) = world.records()
        assert (record.state, record.attempts) == (NoticeState.FAILED, 3)
        assert record.reason == "given up after 3 attempts: busy"
        world.sms.always = None
        world.advance(HOUR, reconcile=True)
        assert world.told() == []

    @pytest.mark.parametrize("after", [None, 1.0, 60.0])
    def test_a_provider_that_takes_no_more_now_uses_up_no_attempt_and_is_asked_more_and_more_rarely(self, after):
        """Of a bulk send over a slow provider each message may be refused for a day."""
        world = World(Policy(max_attempts=3))
        world.sms.always = RetryLater("429", after=after, paced=True)
        world.says(seen("a"))
        world.hear(SENT)
        world.advance(timedelta(days=2))
        (record,) = world.records()
        assert (record.state, record.attempts) == (NoticeState.PLANNED, 0)
        assert record.changes < 2 * 240  # a try in a quarter of an hour, and some more at first
        world.sms.always = None
        world.advance(timedelta(minutes=16))
        assert world.told() == [("invitation", "a", 0)]

    @pytest.mark.parametrize("outcome", [None, RetryLater("x"), PermanentFailure("x"), OutcomeUnknown("x"), KeyError()])
    def test_whatever_it_says_its_status_and_its_time_are_recorded(self, outcome):
        world = World()
        world.says(seen("a"))
        send, world.http_status = world.sms.send, 299

        def slow(message):
            world.now += timedelta(milliseconds=412)
            return send(message)

        world.sms.send, world.sms.outcomes = slow, [outcome] if outcome else []
        world.hear(SENT)
        sending, answered, *_ = world.records()[0].history
        assert (sending.status, sending.milliseconds) == (0, 0)
        assert (answered.status, answered.milliseconds) == (299, 412)

    def test_a_refusal_is_recorded_and_final(self):
        world = World()
        world.sms.outcomes = [PermanentFailure("landline", suppress=True)]
        world.says(seen("a"))
        world.hear(SENT)
        world.advance(HOUR, reconcile=True)
        (record,) = world.records()
        assert (record.state, record.reason) == (NoticeState.FAILED, "landline")
        assert world.told() == []

    def test_a_message_to_an_address_not_to_be_used_goes_by_the_other_channel_and_its_record_says_so(self):
        world = World(Policy(channels="sms-first"))
        world.sms.outcomes = [PermanentFailure("landline", suppress=True)]
        world.says(seen("a", email="a@x.org"))
        world.hear(SENT)
        world.advance(3.1 * DAY, reconcile=True)
        reminders = {k: r for k, r in world.ledger.all(NoticeRecord).items() if r.kind is Kind.REMINDER}
        (closed,) = [r for r in reminders.values() if r.channel is ChannelName.SMS]
        assert (closed.state, closed.reason) == (NoticeState.SUPPRESSED, "the address is not to be used: landline")
        assert closed.address == address_key(ChannelName.SMS, PHONES["a"], world.policy)
        assert reminders[closed.fallback].state is NoticeState.ACCEPTED

    @pytest.mark.parametrize("lost", [OutcomeUnknown("time-out"), RuntimeError("bug")])
    def test_a_lost_answer_is_unknown_and_tried_once_more_after_15_minutes(self, lost):
        world = World()
        world.sms.outcomes = [lost, OutcomeUnknown("time-out")]
        world.says(seen("a"))
        world.hear(SENT)
        assert world.states("invitation") == [NoticeState.UNKNOWN]
        world.advance(14 * MINUTE, reconcile=True)
        assert world.records()[0].attempts == 1
        world.advance(DAY, reconcile=True)
        assert world.records()[0].attempts == 2
        assert world.states("invitation") == [NoticeState.UNKNOWN]
        assert world.told() == []

    def test_an_unknown_completion_gets_its_second_try(self):
        world = begun("a")
        world.sms.outcomes = [OutcomeUnknown("time-out")]
        sign(world, "a", "a")
        world.advance(DAY, reconcile=True)
        assert world.told() == [("completion", "a", 0), ("invitation", "a", 0)]

    def test_an_unknown_progress_or_reminder_stays_silent(self):
        world = begun("a", "b")
        world.sms.outcomes = [OutcomeUnknown("time-out")]
        sign(world, "ab", "a")
        assert world.states("progress") == [NoticeState.UNKNOWN]
        world.advance(2 * DAY, reconcile=True)
        world.sms.outcomes = [OutcomeUnknown("time-out")]
        world.advance(2 * DAY, reconcile=True)
        assert world.states("reminder") == [NoticeState.UNKNOWN]
        assert {kind for kind, _, _ in world.told()} == {"invitation"}

    def test_a_receipt_that_was_faster_than_our_own_record_stands(self):
        world = World()
        world.says(seen("a"))
        send = world.sms.send

        def overtaken(message):
            record = world.ledger.get(NoticeRecord, message.notice)
            delivered = replace(record.item, state=NoticeState.DELIVERED)
            world.ledger.put(message.notice, delivered, record.version)
            return send(message)

        world.sms.send = overtaken
        world.hear(SENT)
        assert world.states("invitation") == [NoticeState.DELIVERED]

    def test_one_without_a_channel_is_recorded_as_failed_and_never_published(self):
        world = begun("a", "z")
        failed = [r for r in world.records() if r.channel is ChannelName.NONE]
        assert [(r.state, r.kind) for r in failed] == [(NoticeState.FAILED, Kind.INVITATION)]
        assert "no usable" in failed[0].reason
        assert world.told() == [("invitation", "a", 0)]

    def test_a_channel_whose_provider_was_taken_away_is_recorded_as_failed(self):
        world = World(channels=())
        world.says(seen("a"))
        world.hear(SENT)
        reason = "no provider is set for sms: see SMS_PROVIDER"
        assert [(r.state, r.reason) for r in world.records()] == [(NoticeState.FAILED, reason)]

    @pytest.mark.parametrize("error", [RetryLater("down"), PermanentFailure("no")])
    def test_without_the_shortener_the_long_link_goes(self, error):
        world = World()
        world.shortener.error = error
        world.says(seen("a"))
        world.hear(SENT)
        assert world.sms.sent[0].text.endswith("https://sign.test/a")
        assert "https://sign.test/***" in world.records()[0].text

    def test_the_link_is_masked_on_record(self):
        world = begun("a")
        assert "https://l.test/" in world.sms.sent[0].text
        assert world.records()[0].text.endswith("https://l.test/***")

    def test_another_delivery_at_work_is_waited_for_and_its_silence_is_unknown(self):
        world = World()
        world.says(seen("a"))
        world.resolve.event(world.event(SENT))
        world.sms.send = lambda message: (_ for _ in ()).throw(Crash())
        with pytest.raises(Crash):
            world.pump()
        assert world.states("invitation") == [NoticeState.SENDING]
        world.pump()
        assert len(world.later) == 1
        world.advance(3 * MINUTE)
        assert world.states("invitation") == [NoticeState.UNKNOWN]


def test_what_is_sent_and_what_stays_on_record_of_it():
    world = World(Policy(channels="sms-first", address_secret="s"))
    worded = Wording(
        text="Sign https://l.test/x now", subject="S", html="<p>", sender="f@x", reply_to="r@x", segments=2
    )
    world.deliver._render = lambda request, notice, link, **_: replace(worded, text=f"Sign {link}/{notice.kind} now")
    world.says(seen("a", email="a@x.org"))
    world.hear(SENT)
    (notice,) = [world.notice(key) for key in world.ledger.all(NoticeRecord)]
    (sent,) = world.sms.sent
    text = f"Sign https://l.test/{notice.signer}/invitation now"
    told = {"subject": "S", "html": "<p>", "sender": "f@x", "reply_to": "r@x"}
    assert sent == Outgoing(notice=notice.notice, to=PHONES["a"], text=text, **told)
    (record,) = world.records()
    request = world.request()
    assert (record.text, record.segments) == ("Sign https://l.test/***/invitation now", 2)
    assert record.fingerprint == fingerprint(text)
    assert record.address == address_key(ChannelName.SMS, PHONES["a"], world.policy)
    assert record.fallback == fallback_of(request, notice, world.policy).notice
    assert (record.provider, record.provider_id, record.state) == ("sms", "sms-1", NoticeState.ACCEPTED)


@pytest.mark.parametrize(
    ("kind", "age", "asks"),
    [("invitation", 60, 0), ("invitation", 61, 1), ("reminder", 60, 0), ("reminder", 61, 1), ("completion", 9999, 0)],
)
def test_a_notice_that_asks_somebody_to_sign_rests_on_an_answer_of_the_last_minute(kind, age, asks):
    world = World()
    world.says(seen("a"))
    world.resolve.event(world.event(SENT))
    world.now += HOUR
    world.resolve.recheck("r1")
    request, before = world.request(), world.api.calls
    world.now = request.checked_at + age * timedelta(seconds=1)
    notice = notice_for(request, *request.signers, Kind(kind), ChannelName.SMS, reminder_day=3)
    with suppress(RetryLater):
        world.deliver.notice(notice)
    assert world.api.calls - before == asks
    assert world.request().checked_at == (world.now if asks else request.checked_at)


@pytest.mark.parametrize(
    ("fields", "waits"), [({}, True), ({"forgotten": True}, False), ({"status": Status.GONE}, False)]
)
def test_a_request_that_the_api_does_not_find_is_asked_for_in_five_minutes_unless_it_has_ended(fields, waits):
    world = World()
    world.says(seen("a"))
    world.resolve.event(world.event(SENT))
    request = replace(world.request(), not_found_since=world.now, **fields)
    world.ledger.put("r1", request, world.ledger.get(Request, "r1").version)
    asked = []

    def fetch(key, after):
        asked.append((key, after))
        raise NotFound

    world.api.fetch = fetch
    notice = notice_for(request, *request.signers, Kind.INVITATION, ChannelName.SMS)
    try:
        world.deliver.notice(notice)
        found = None
    except RetryLater as e:
        found = e.after
    assert asked == [("r1", request.checked_at)]  # an answer from before the 404 will not do
    assert (found == 300) is waits


def test_a_reminder_waits_for_the_invitation_of_its_own_signer():
    world = World(Policy(window=None))
    world.says(seen("a"), seen("b"))
    world.resolve.event(world.event(SENT))
    request = world.request()
    first, second = (notice_for(request, key, Kind.INVITATION, ChannelName.SMS) for key in request.signers)
    world.deliver.notice(second)
    world.now += 3 * DAY
    with pytest.raises(RetryLater, match="the invitation has not left yet"):
        world.deliver.notice(notice_for(request, first.signer, Kind.REMINDER, ChannelName.SMS, reminder_day=3))
    world.deliver.notice(notice_for(request, second.signer, Kind.REMINDER, ChannelName.SMS, reminder_day=3))
    assert world.told() == [("invitation", "b", 0), ("reminder", "b", 3)]
