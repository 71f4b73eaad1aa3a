"""Whole lives of a request over the fakes: what leaves, how often, and what is on record."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from shared.domain.model import ChannelName, EventType, Kind, NoticeState, Record, Request, Status
from shared.domain.outcomes import GiveUp, Retry, Unknown
from shared.domain.policy import Policy
from shared.handlers.parking import Parking
from shared.handlers.remind import Firing
from tests.fakes import Crash, FakeLedger, World, answer, seen

SENT, SIGNED, COMPLETE, EXPIRED = EventType
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


def begun(*names: str, policy: Policy | None = None) -> World:
    """A world in which a request has been sent to these signers."""
    world = World(policy)
    world.says(*[seen(n) for n in names])
    world.hear(SENT)
    return world


def sign(world: World, names: str, done: str) -> None:
    """`done` have signed, the last of them just now; with the last of all the request is complete."""
    status = Status.COMPLETE if len(done) == len(names) else Status.OPEN
    world.says(*[seen(n, signed=n in done) for n in names], status=status)
    world.hear(SIGNED, done[-1])


def live(names: str) -> World:
    world = begun(*names)
    for n in range(1, len(names) + 1):
        sign(world, names, names[:n])
    world.hear(COMPLETE)
    return world


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


class TestReminders:
    def test_come_at_their_steps_until_the_signature(self):
        world = begun("a", "b")
        world.advance(8 * DAY)
        sign(world, "ab", "a")
        world.advance(20 * DAY)
        reminders = [(who, step) for kind, who, step in world.told() if kind == "reminder"]
        assert reminders == [("a", 3), ("a", 7), ("b", 3), ("b", 7), ("b", 14)]

    def test_are_called_off_by_the_completion(self):
        world = begun("a", "b")
        assert len(world.scheduler.tasks) == 6
        sign(world, "ab", "a")
        assert len(world.scheduler.tasks) == 3
        sign(world, "ab", "ab")
        assert world.scheduler.tasks == {}

    def test_stop_at_expiry_and_resume_when_it_did_not_last(self):
        world = begun("a")
        world.says(seen("a"), status=Status.EXPIRED)
        world.hear(EXPIRED)
        assert world.scheduler.tasks == {}
        world.advance(4 * DAY)
        assert len(world.sent()) == 1
        world.says(seen("a"))
        world.advance(4 * DAY, reconcile=True)
        assert [t for t in world.told() if t[0] == "reminder"] == [("reminder", "a", 7)]

    @pytest.mark.parametrize("wrong", [{"task": "x"}, {"signer": "x"}, {"request": "x"}, {"step": 5}])
    def test_only_the_task_that_the_state_names_is_obeyed(self, wrong):
        world = begun("a")
        key = world.signer("a")
        task = world.request().signers[key].reminders["3"].task
        firing = {"request": "r1", "signer": key, "step": 3, "task": task, **wrong}
        assert world.remind.fire(Firing(**firing)) == "not due"

    def test_a_task_before_its_time_comes_again_and_a_second_one_does_nothing(self):
        world = begun("a")
        key = world.signer("a")
        reminder = world.request().signers[key].reminders["3"]
        firing = Firing("r1", key, 3, reminder.task)
        with pytest.raises(Retry, match="before its time"):
            world.remind.fire(firing)
        world.now = reminder.due_at - timedelta(seconds=1)
        assert world.remind.fire(firing) == "published"
        assert world.remind.fire(firing) == "not due"

    def test_a_task_is_not_obeyed_while_the_request_is_paused(self):
        world = begun("a")
        world.says(seen("a"), status=Status.PAUSED)
        world.advance(4 * DAY, reconcile=True)
        assert len(world.sent()) == 1
        world.says(seen("a"))
        world.advance(DAY, reconcile=True)
        assert [t for t in world.told() if t[0] == "reminder"] == [("reminder", "a", 3)]

    def test_steps_missed_in_an_outage_collapse_into_the_latest(self):
        world = begun("a")
        world.scheduler.tasks.clear()
        world.advance(8 * DAY)
        world.advance(2 * DAY, reconcile=True)
        assert [t for t in world.told() if t[0] == "reminder"] == [("reminder", "a", 7)]

    def test_a_lost_task_costs_one_look_more_not_one_a_minute(self):
        world = begun("a")
        world.scheduler.tasks.clear()
        world.advance(3 * DAY + HOUR, reconcile=True)
        calls = world.api.calls
        world.advance(2 * DAY, reconcile=True)
        assert ("reminder", "a", 3) in world.told()
        assert world.api.calls - calls < 10

    def test_a_lost_race_is_run_again_and_five_are_left_to_later(self):
        world = begun("a")
        task = min(world.scheduler.tasks.values(), key=lambda t: t.at)
        world.now, world.ledger.races = task.at, 1
        world.fire(task)
        assert ("reminder", "a", 3) in world.told()
        task = min(world.scheduler.tasks.values(), key=lambda t: t.at)
        world.now, world.ledger.races = task.at, 5
        with pytest.raises(Retry, match="keep changing"):
            world.fire(task)

    def test_the_api_is_asked_live_so_a_signature_just_made_is_not_reminded(self):
        world = begun("a", "b")
        world.says(seen("a", signed=True), seen("b"))
        world.advance(3 * DAY + MINUTE)
        assert [t for t in world.told() if t[0] == "reminder"] == [("reminder", "b", 3)]
        assert world.states("reminder").count(NoticeState.SUPPRESSED) == 1

    def test_wait_for_an_invitation_that_has_not_left(self):
        world = World()
        world.sms.always = Retry("down", after=6 * 3600)
        world.says(seen("a"))
        world.hear(SENT)
        world.advance(3 * DAY + MINUTE)
        assert world.states("reminder") == []
        assert any("reminder" in data.decode() for _, _, data in world.later)
        world.sms.always = None
        world.advance(6 * HOUR + MINUTE)
        assert world.told() == [("invitation", "a", 0), ("reminder", "a", 3)]

    def test_need_not_wait_for_an_invitation_that_will_never_come(self):
        world = World()
        world.sms.outcomes = [GiveUp("refused")]
        world.says(seen("a"))
        world.hear(SENT)
        world.advance(3 * DAY + MINUTE)
        assert world.told() == [("reminder", "a", 3)]

    def test_of_an_adopted_signer_wait_for_no_invitation(self):
        world = World()
        world.says(seen("a"))
        world.resolve.look("r1")
        world.advance(3 * DAY + MINUTE)
        assert world.told() == [("reminder", "a", 3)]


class TestProviders:
    def test_a_retry_is_tried_again_at_growing_intervals(self):
        world = World()
        world.sms.outcomes = [Retry("busy")] * 3
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
        world.sms.outcomes = [Retry("limit", after=1000)]
        world.says(seen("a"))
        world.hear(SENT)
        world.advance(timedelta(seconds=998))
        assert world.told() == []
        world.advance(timedelta(seconds=3))
        assert len(world.told()) == 1

    def test_after_max_attempts_it_has_failed_for_good(self):
        world = World(Policy(max_attempts=3))
        world.sms.always = Retry("busy")
        world.says(seen("a"))
        world.hear(SENT)
        world.advance(HOUR, reconcile=True)
        (record,) = world.records()
        assert (record.state, record.attempts) == (NoticeState.FAILED, 3)
        assert record.reason == "given up after 3 attempts: busy"
        world.sms.always = None
        world.advance(HOUR, reconcile=True)
        assert world.told() == []

    def test_a_refusal_is_recorded_and_final(self):
        world = World()
        world.sms.outcomes = [GiveUp("landline", suppress=True)]
        world.says(seen("a"))
        world.hear(SENT)
        world.advance(HOUR, reconcile=True)
        (record,) = world.records()
        assert (record.state, record.reason) == (NoticeState.FAILED, "landline")
        assert world.told() == []

    @pytest.mark.parametrize("lost", [Unknown("time-out"), RuntimeError("bug")])
    def test_a_lost_answer_is_unknown_and_tried_once_more_after_15_minutes(self, lost):
        world = World()
        world.sms.outcomes = [lost, Unknown("time-out")]
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
        world.sms.outcomes = [Unknown("time-out")]
        sign(world, "a", "a")
        world.advance(DAY, reconcile=True)
        assert world.told() == [("completion", "a", 0), ("invitation", "a", 0)]

    def test_an_unknown_progress_or_reminder_stays_silent(self):
        world = begun("a", "b")
        world.sms.outcomes = [Unknown("time-out")]
        sign(world, "ab", "a")
        assert world.states("progress") == [NoticeState.UNKNOWN]
        world.advance(2 * DAY, reconcile=True)
        world.sms.outcomes = [Unknown("time-out")]
        world.advance(2 * DAY, reconcile=True)
        assert world.states("reminder") == [NoticeState.UNKNOWN]
        assert {kind for kind, _, _ in world.told()} == {"invitation"}

    def test_a_receipt_that_was_faster_than_our_own_record_stands(self):
        world = World()
        world.says(seen("a"))
        send = world.sms.send

        def overtaken(message):
            record = world.ledger.get(Record, message.notice)
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
        assert world.records()[0].reason == "no provider is set for sms"

    @pytest.mark.parametrize("error", [Retry("down"), GiveUp("no")])
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


class TestGates:
    def test_a_notice_that_is_no_longer_due_is_recorded_with_its_reason(self):
        world = World()
        world.says(seen("a"), seen("b"))
        world.sms.always = Retry("down")
        world.hear(SENT)
        sign(world, "ab", "a")
        world.sms.always = None
        world.advance(HOUR)
        suppressed = [r.reason for r in world.records() if r.state is NoticeState.SUPPRESSED]
        assert suppressed == ["already signed"]

    def test_one_left_in_sending_and_no_longer_due_ends_as_unknown_too(self):
        world = World()
        world.says(seen("a"), seen("b"))
        send, world.sms.send = world.sms.send, lambda message: (_ for _ in ()).throw(Crash())
        with pytest.raises(Crash):
            world.hear(SENT)
        world.sms.send = send
        world.says(seen("a", signed=True), seen("b", signed=True), status=Status.COMPLETE)
        world.hear(COMPLETE)
        world.advance(3 * MINUTE)
        assert world.states("invitation").count(NoticeState.UNKNOWN) == 1
        assert NoticeState.SENDING not in world.states("invitation")

    def test_one_too_late_has_failed(self):
        world = begun("a", policy=Policy(reminder_days=(30,)))
        world.sms.sent.clear()
        stale = world.bus.topics[world.names.notices_topic][0]
        world.ledger.documents = {k: v for k, v in world.ledger.documents.items() if k[0] is Request}
        world.now += 8 * DAY
        world.bus.pending.append((world.names.notices_topic, stale.data))
        world.pump()
        assert [(r.state, r.reason) for r in world.records()] == [(NoticeState.FAILED, "too late")]

    def test_a_paused_request_holds_its_notices_back(self):
        world = World()
        world.says(seen("a"), seen("b"))
        world.sms.outcomes = [Retry("down", after=90)] * 2
        world.hear(SENT)
        world.says(seen("a"), seen("b"), status=Status.PAUSED)
        world.advance(2 * HOUR, reconcile=True)
        assert world.told() == []
        world.says(seen("a"), seen("b"))
        world.advance(4 * HOUR, reconcile=True)
        assert len(world.told()) == 2

    def test_a_wait_does_not_revive_what_has_left(self):
        world = begun("a")
        notice = world.bus.topics[world.names.notices_topic][0]
        world.says(seen("a"), status=Status.PAUSED)
        world.resolve.look("r1")
        world.bus.pending.append((world.names.notices_topic, notice.data))
        world.pump()
        assert world.later == []

    def test_an_invitation_older_than_a_minute_asks_the_api_again(self):
        world = World()
        world.says(seen("a"), seen("b"))
        world.sms.always = Retry("down", after=90)
        world.hear(SENT)
        world.api.truth.clear()
        world.sms.always = None
        world.advance(2 * MINUTE)
        assert world.told() == []
        world.says(seen("a", signed=True), seen("b"))
        world.advance(10 * MINUTE)
        assert world.told() == [("invitation", "b", 0)]

    def test_a_notice_of_a_request_that_the_ledger_does_not_hold_is_given_up(self):
        world = begun("a")
        world.ledger.documents.clear()
        world.bus.pending.append((world.names.notices_topic, world.bus.topics[world.names.notices_topic][0].data))
        world.pump()
        assert world.dead == [(world.names.notices_topic, "the ledger holds no such request")]


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
            world.resolve.look(key)
        world.pump()
        world.reconcile.run()
        world.pump()
        assert world.sent() == []
        assert world.scheduler.tasks == {}
        assert world.ledger.all(Record) == {}

    def test_one_request_that_cannot_be_read_does_not_hold_up_the_others(self):
        world = World()
        for key in ("x", "y"):
            world.api.truth[key] = replace(answer(seen("a")), id=key)
            world.resolve.look(key)
        world.now += HOUR
        world.api.truth["x"] = Retry("down")
        assert world.reconcile.run() == {"looked": 1, "later": 1}


class TestTheApi:
    def test_a_404_is_taken_for_lag_for_ten_minutes(self):
        world = World()
        world.hear(SENT)
        world.advance(5 * MINUTE)
        world.says(seen("a"))
        world.advance(5 * MINUTE)
        assert world.told() == [("invitation", "a", 0)]

    def test_a_404_that_lasts_stops_everything_visibly(self):
        world = begun("a")
        world.api.truth.clear()
        world.hear(SIGNED, "a")
        world.advance(20 * MINUTE)
        assert world.request().status is Status.GONE
        assert world.scheduler.tasks == {}
        assert len(world.sent()) == 1

    def test_a_stray_404_does_not_cost_a_reminder(self):
        world = begun("a")
        said = world.api.truth.pop("r1")
        world.advance(17 * MINUTE, reconcile=True)
        world.api.truth["r1"] = said
        world.advance(4 * DAY, reconcile=True)
        assert world.told() == [("invitation", "a", 0), ("reminder", "a", 3)]

    @pytest.mark.parametrize("refusal", [Retry("401", after=900), Retry("429", after=30), Retry("503")])
    def test_what_is_no_answer_is_waited_for_and_loses_nothing(self, refusal):
        world = World()
        world.api.truth["r1"] = refusal
        world.hear(SENT)
        world.advance(HOUR)
        world.says(seen("a"))
        world.advance(HOUR)
        assert world.told() == [("invitation", "a", 0)]

    def test_a_lying_complete_sends_nothing_and_is_disputed(self):
        world = begun("a", "b")
        world.hear(COMPLETE)
        world.advance(15 * MINUTE)
        assert world.request().status is Status.DISPUTED
        assert {kind for kind, _, _ in world.told()} == {"invitation"}

    def test_more_than_a_thousand_signers_end_among_the_dead_letters(self):
        world = begun(*map(str, range(1001)))
        assert world.dead == [(world.names.events_topic, "the request has 1001 signers; at most 1000 are supported")]

    def test_a_stale_event_is_given_up(self):
        world = World()
        event = world.event(SENT)
        world.now += 32 * DAY
        with pytest.raises(GiveUp, match="stale"):
            world.resolve.event(event)

    def test_a_lost_commit_publishes_nothing_and_is_planned_again(self):
        world = World()
        world.says(seen("a"))
        world.ledger.races = 2
        world.hear(SENT)
        assert len(world.bus.topics[world.names.notices_topic]) == 1
        world.ledger.races = 5
        world.says(seen("a", signed=True))
        with pytest.raises(Retry, match="keep changing"):
            world.resolve.event(world.event(SIGNED, "a"))


class TestLinks:
    @pytest.fixture
    def world(self) -> World:
        from shared.domain.model import Link

        world = begun("a", "b")
        link = Link(request_id="r1", signer=world.signer("a"), round=1)
        world.ledger.put("c" * 22, link, None)
        world.ledger.put("d" * 22, replace(link, signer="nobody"), None)
        return world

    def follow(self, world: World, code: str = "c" * 22) -> tuple[int, str]:
        followed = world.links.follow(code)
        assert bool(followed.reason) != bool(followed.location)
        return followed.status, followed.location

    def test_leads_to_the_signing_page_then_ends_then_leads_to_the_document(self, world):
        assert self.follow(world) == (302, "https://sign.test/a")
        sign(world, "ab", "a")
        assert self.follow(world) == (410, "")
        sign(world, "ab", "ab")
        assert self.follow(world) == (302, "https://sign.test/a")

    @pytest.mark.parametrize("code", ["", "x", "../../etc", "e" * 22, "é" * 22])
    def test_an_unknown_code_is_404(self, world, code):
        assert self.follow(world, code) == (404, "")

    def test_a_link_of_nobody_is_dead(self, world):
        assert self.follow(world, "d" * 22) == (410, "")

    @pytest.mark.parametrize("status", [Status.EXPIRED, Status.GONE])
    def test_is_dead_once_the_request_is(self, world, status):
        stored = world.ledger.get(Request, "r1")
        world.ledger.put("r1", replace(stored.item, status=status), stored.version)
        assert self.follow(world) == (410, "")

    def test_of_a_completion_prefers_what_the_operator_chose(self, world):
        from shared.handlers.links import completion_url

        request = replace(world.request(), download_url="https://doc.test")
        signer = request.signers[world.signer("a")]
        assert completion_url(request, signer, "request_url") == "https://sign.test/a"
        assert completion_url(request, signer, "download_url") == "https://doc.test"
        assert completion_url(request, replace(signer, request_url=""), "request_url") == "https://doc.test"
        assert completion_url(replace(request, download_url=""), signer, "auto") == "https://sign.test/a"

    def test_of_a_completion_is_dead_where_nothing_is_known(self, world):
        stored = world.ledger.get(Request, "r1")
        signers = {k: replace(s, request_url="") for k, s in stored.item.signers.items()}
        world.ledger.put("r1", replace(stored.item, status=Status.COMPLETE, signers=signers), stored.version)
        assert self.follow(world) == (410, "")


class TestParking:
    @pytest.fixture
    def world(self) -> World:
        return World()

    def park(self, world: World, retry: Retry, age: timedelta | None = MINUTE) -> bool:
        parking = Parking(world.scheduler, "retries", "https://deliver.test", world.bus, "notices", world.clock)
        return parking.park(b"{}", world.now - age if age is not None else None, retry)

    @pytest.mark.parametrize(
        ("retry", "age"), [(Retry("x", after=60), HOUR), (Retry("x"), 2 * MINUTE), (Retry("x"), None)]
    )
    def test_up_to_a_minute_a_nack_will_do(self, world, retry, age):
        assert not self.park(world, retry, age)
        assert world.scheduler.tasks == {}

    @pytest.mark.parametrize(
        ("retry", "age", "seconds"),
        [
            (Retry("x", after=61), MINUTE, 61),
            (Retry("x", after=10**6), MINUTE, 86_400),
            (Retry("x"), 10 * MINUTE, 300),
            (Retry("x"), DAY, 900),
            (Retry("x", after=90), None, 90),
        ],
    )
    def test_longer_sleeps_in_a_task_that_brings_the_same_message(self, world, retry, age, seconds):
        assert self.park(world, retry, age)
        (task,) = world.scheduler.tasks.values()
        assert task.at == world.now + timedelta(seconds=seconds)
        assert b'"data":"e30="' in task.body
        self.park(world, retry, age)
        assert len(world.scheduler.tasks) == 1


def test_the_fake_ledger_refuses_a_version_that_is_not_the_last():
    ledger = FakeLedger()
    first = ledger.put("r1", Request(id="r1"), None)
    assert ledger.put("r1", Request(id="r1"), None) is None
    second = ledger.put("r1", Request(id="r1", title="x"), first)
    assert second
    assert ledger.put("r1", Request(id="r1"), first) is None
