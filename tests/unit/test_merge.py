"""Who is believed when the webhook and the API differ, and what the state becomes."""

from datetime import timedelta
from itertools import count

import pytest
from msgspec.structs import replace

from shared.domain.merge import MAX_SIGNERS, forget_at, gone, is_due, merge, next_look, public
from shared.domain.model import Answer, ChannelName, Event, EventType, Request, Role, Seen, Signer, SignerState, Status
from shared.domain.outcomes import GiveUp, Retry
from shared.domain.policy import Policy, choose_channels, normal_email, normal_mobile
from tests.fakes import START, answer, seen

POLICY = Policy()
SENT, SIGNED, COMPLETE, EXPIRED = EventType
SMS, EMAIL = ChannelName.SMS, ChannelName.EMAIL
_ids = count()


def event(kind: EventType, signer: str | None = None, *, age: float = 0, at=START) -> Event:
    received = at - timedelta(seconds=age)
    return Event(event=f"e{next(_ids)}", type=kind, request="r1", signer=signer, received_at=received)


def sent(*signers: Seen, **fields) -> Request:
    """The state after `request_sent`."""
    return merge(None, answer(*signers, **fields), event(SENT), START, POLICY).request


def later(stored: Request | None, said: Answer, kind: EventType | None = None, signer=None, *, minutes=1.0, age=0.0):
    """The state after one more event (or look) some minutes later."""
    now = START + timedelta(minutes=minutes)
    return merge(stored, said, event(kind, signer, age=age, at=now) if kind else None, now, POLICY)


def who(request: Request, name: str) -> Signer:
    return next(s for s in request.signers.values() if name in s.aliases)


def states(request: Request) -> list[str]:
    return [s.state.value for s in request.signers.values()]


TWO = (seen("a"), seen("b"))
SILENT = (seen("a", signed=None), seen("b", signed=None))


class TestSignedAgainstTheApi:
    @pytest.mark.parametrize("flag", [True, None])
    def test_is_believed_where_the_api_agrees_or_is_silent(self, flag):
        said = answer(seen("a", signed=flag), seen("b"), status=None)
        merged = later(sent(*TWO), said, SIGNED, "a")
        assert states(merged.request) == ["signed", "invited"]
        assert who(merged.request, "a").confirmed is bool(flag)
        assert merged.alerts == ()

    def test_waits_while_the_event_is_younger_than_two_minutes_and_the_api_denies(self):
        with pytest.raises(Retry) as e:
            later(sent(*TWO), answer(*TWO), SIGNED, "a", age=119)
        assert 1 <= e.value.after <= 60

    def test_is_believed_after_two_minutes_of_denial_with_an_alert(self):
        merged = later(sent(*TWO), answer(*TWO), SIGNED, "a", age=120)
        assert states(merged.request) == ["signed", "invited"]
        assert merged.alerts[0].startswith("believed:")

    def test_of_one_known_to_have_signed_waits_for_nothing(self):
        state = later(sent(*TWO), answer(seen("a", signed=True), seen("b"))).request
        assert states(later(state, answer(*TWO), SIGNED, "a", minutes=2).request) == ["signed", "invited"]


class TestCompleteAgainstTheApi:
    @pytest.mark.parametrize("said", [answer(*TWO, status=Status.COMPLETE), answer(*SILENT, status=None)])
    def test_is_believed_where_the_api_agrees_or_is_silent(self, said):
        request = later(sent(*SILENT), said, COMPLETE).request
        assert request.status is Status.COMPLETE
        assert request.completed_at == START + timedelta(minutes=1)
        assert set(states(request)) == {"signed"}

    @pytest.mark.parametrize("said", [answer(*TWO), answer(*TWO, status=None), answer(*TWO, status=Status.EXPIRED)])
    def test_waits_ten_minutes_then_is_disputed_where_the_api_denies(self, said):
        with pytest.raises(Retry):
            later(sent(*TWO), said, COMPLETE, age=599)
        merged = later(sent(*TWO), said, COMPLETE, age=600)
        assert merged.request.status is Status.DISPUTED
        assert merged.request.completed_at is None
        assert merged.alerts[0].startswith("disputed:")

    def test_disputed_is_checked_hourly_and_settled_by_a_later_answer(self):
        disputed = later(sent(*TWO), answer(*TWO), COMPLETE, age=600).request
        assert disputed.next_at == disputed.checked_at + timedelta(hours=1)
        assert later(disputed, answer(*TWO), minutes=60).request.status is Status.DISPUTED
        healed = later(disputed, answer(*TWO, status=Status.COMPLETE), minutes=120).request
        assert healed.status is Status.COMPLETE
        assert healed.completed_at is not None

    def test_again_on_a_complete_request_changes_nothing(self):
        done = later(sent(*TWO), answer(*TWO, status=Status.COMPLETE), COMPLETE).request
        again = later(done, answer(*TWO), COMPLETE, minutes=5).request
        assert again.status is Status.COMPLETE
        assert again.completed_at == done.completed_at

    def test_all_signatures_are_a_completion_but_none_are_not(self):
        signed = [replace(s, signed=True) for s in TWO]
        assert later(sent(*TWO), answer(*signed, status=None)).request.status is Status.COMPLETE
        recipient = seen("a", role=Role.RECIPIENT, signed=True)
        assert sent(recipient, status=None).status is Status.OPEN


class TestExpiredAgainstTheApi:
    def test_stops_where_the_api_agrees(self):
        assert later(sent(*TWO), answer(*TWO, status=Status.EXPIRED), EXPIRED).request.status is Status.EXPIRED

    def test_stops_where_the_api_is_silent(self):
        request = later(sent(*TWO), answer(*SILENT, status=None), EXPIRED).request
        assert request.status is Status.EXPIRED
        assert not any(s.reminders for s in request.signers.values())

    def test_is_ignored_where_the_api_denies(self):
        request = later(sent(*TWO), answer(*TWO), EXPIRED).request
        assert request.status is Status.OPEN
        assert all(s.reminders for s in request.signers.values())

    def test_by_its_own_date_needs_no_event(self):
        said = answer(*SILENT, status=None, expires_at=START)
        assert later(sent(*TWO), said).request.status is Status.EXPIRED

    def test_resumes_under_new_tasks_when_a_later_answer_shows_it_open(self):
        open_ = sent(*TWO)
        expired = later(open_, answer(*TWO, status=Status.EXPIRED), EXPIRED).request
        resumed = later(expired, answer(*TWO), minutes=60).request
        old, new = who(open_, "a").reminders, who(resumed, "a").reminders
        assert resumed.status is Status.OPEN
        assert [new[d].due_at for d in new] == [old[d].due_at for d in old]
        assert not {r.task for r in old.values()} & {r.task for r in new.values()}

    @pytest.mark.parametrize("kind", [None, EXPIRED])
    def test_does_not_undo_a_completion(self, kind):
        done = later(sent(*TWO), answer(*SILENT, status=None), COMPLETE).request
        past = answer(*SILENT, status=None, expires_at=START)
        assert later(done, past, kind, minutes=9).request.status is Status.COMPLETE


class TestStatus:
    def test_open_does_not_undo_a_completion(self):
        done = later(sent(*TWO), answer(*SILENT, status=None), COMPLETE).request
        assert later(done, answer(*TWO), minutes=2).request.status is Status.COMPLETE

    def test_paused_keeps_the_reminders(self):
        paused = later(sent(*TWO), answer(*TWO, status=Status.PAUSED)).request
        assert paused.status is Status.PAUSED
        assert who(paused, "a").reminders

    def test_gone_waits_ten_minutes_for_a_lagging_api_then_stops_everything(self):
        with pytest.raises(Retry):
            gone(None, event(SENT, age=599), "r1", START, POLICY)
        request = gone(sent(*TWO), event(SENT, age=600), "r1", START, POLICY)
        assert request.status is Status.GONE
        assert request.next_at == START + timedelta(days=1)

    def test_one_stray_404_silences_nobody(self):
        doubted = gone(sent(*TWO), None, "r1", START, POLICY)
        assert doubted.status is Status.OPEN
        assert doubted.next_at == START + timedelta(minutes=5)
        assert later(doubted, answer(*TWO)).request.absent_at is None
        assert gone(doubted, None, "r1", START + timedelta(minutes=5), POLICY).status is Status.GONE

    @pytest.mark.parametrize("said", [None, Status.OPEN])
    def test_gone_comes_back_when_the_api_knows_it_again(self, said):
        lost = gone(sent(*TWO), event(SENT, age=600), "r1", START, POLICY)
        assert later(lost, answer(*SILENT, status=said), SENT).request.status is Status.OPEN

    def test_thirty_silent_days_after_the_last_step_it_is_dormant(self):
        request = later(sent(*TWO), answer(*TWO), minutes=60 * 24 * 45).request
        assert request.status is Status.DORMANT
        assert request.next_at == forget_at(request, Policy())
        assert later(request, answer(*SILENT, status=None), SIGNED, "x").request.status is Status.OPEN


class TestAdoption:
    @pytest.mark.parametrize("kind", [None, SIGNED, COMPLETE])
    def test_a_request_met_otherwise_invites_nobody(self, kind):
        created = START - timedelta(days=5)
        said = answer(seen("a", signed=True), seen("b"), status=Status.OPEN if kind is not COMPLETE else None)
        said = replace(said, created_at=created)
        if kind is COMPLETE:
            said = replace(said, status=Status.COMPLETE)
        request = later(None, said, kind, "a").request
        assert request.adopted
        assert all(s.adopted for s in request.signers.values() if s.state is SignerState.INVITED)

    def test_counts_as_invited_at_its_own_time_and_skips_past_steps(self):
        said = answer(*TWO, created_at=START - timedelta(days=5))
        signer = who(later(None, said).request, "a")
        assert signer.invited_at == START - timedelta(days=5)
        assert list(signer.reminders) == ["7", "14"]

    def test_a_later_request_sent_invites_those_still_due(self):
        met = later(None, answer(seen("a", signed=True), seen("b")), SIGNED, "a").request
        request = later(met, answer(seen("a", signed=True), seen("b")), SENT, minutes=2).request
        assert not request.adopted
        assert states(request) == ["signed", "invited"]
        assert not who(request, "b").adopted
        assert who(request, "b").invited_at == START + timedelta(minutes=2)

    def test_what_happened_before_our_watch_is_no_news(self):
        met = later(None, answer(seen("a", signed=True), seen("b", signed=True), seen("c")), SIGNED, "b").request
        assert who(met, "a").signed_at is None
        assert who(met, "b").signed_at is not None

    def test_a_completion_seen_by_a_look_is_no_news_but_its_event_is(self):
        met = later(None, answer(*TWO), None).request
        complete = answer(*TWO, status=Status.COMPLETE)
        looked = later(met, complete, minutes=2).request
        assert looked.completed_at is None
        heard = later(looked, complete, COMPLETE, minutes=3).request
        assert heard.completed_at == START + timedelta(minutes=3)


class TestOrder:
    def test_whoever_is_next_is_invited_by_the_signature_before(self):
        pair = (seen("a", order=1), seen("b", order=2))
        first = sent(*pair, ordered=True)
        assert states(first) == ["invited", "waiting"]
        after = later(first, answer(replace(pair[0], signed=True), pair[1], ordered=True), SIGNED, "a").request
        assert states(after) == ["signed", "invited"]

    def test_equals_sign_together_and_one_without_an_order_at_once(self):
        request = sent(seen("a", order=1), seen("b", order=1), seen("c"), ordered=True)
        assert states(request) == ["invited"] * 3

    def test_nobody_is_invited_without_a_url(self):
        request = sent(seen("a", request_url=""))
        assert states(request) == ["waiting"]
        assert states(later(request, answer(seen("a"))).request) == ["invited"]

    def test_a_recipient_is_never_due(self):
        assert not is_due(Signer(number=1, role=Role.RECIPIENT, request_url="u"), {}, ordered=False)

    def test_a_delegator_becomes_a_recipient_and_is_not_called_signed(self):
        delegated = answer(seen("a", role=Role.RECIPIENT, signed=True), seen("b"))
        request = later(sent(seen("a")), delegated, SIGNED, "a").request
        assert who(request, "a").role is Role.RECIPIENT
        assert states(request) == ["invited", "invited"]


class TestRounds:
    def signed(self) -> Request:
        return later(sent(*TWO), answer(seen("a", signed=True), seen("b")), SIGNED, "a").request

    def test_one_denial_only_raises_doubt(self):
        doubted = later(self.signed(), answer(*TWO), minutes=20).request
        assert doubted.round == 1
        assert doubted.next_at == doubted.doubt_at + timedelta(minutes=5)
        assert states(doubted) == ["signed", "invited"]

    def test_a_second_denial_five_minutes_later_begins_a_round(self):
        doubted = later(self.signed(), answer(*TWO), minutes=20).request
        assert later(doubted, answer(*TWO), minutes=24).request.round == 1
        again = later(doubted, answer(*TWO), minutes=25).request
        assert (again.round, states(again)) == (2, ["invited", "invited"])
        assert who(again, "a").signed_at is None
        assert who(again, "b").invited_at == START + timedelta(minutes=25)

    def test_a_request_sent_settles_a_doubt_at_once(self):
        doubted = later(self.signed(), answer(*TWO), minutes=20).request
        assert later(doubted, answer(*TWO), SENT, minutes=21).request.round == 2

    def test_an_agreeing_answer_ends_the_doubt(self):
        doubted = later(self.signed(), answer(*TWO), minutes=20).request
        assert later(doubted, answer(seen("a", signed=True), seen("b")), minutes=25).request.doubt_at is None

    def test_a_young_or_unconfirmed_signature_is_not_doubted(self):
        assert later(self.signed(), answer(*TWO), minutes=10.9).request.doubt_at is None
        believed = later(sent(*TWO), answer(*TWO), SIGNED, "a", age=120).request
        assert later(believed, answer(*TWO), minutes=20).request.doubt_at is None

    def test_a_completion_is_undone_by_a_round(self):
        pair = [replace(s, signed=True) for s in TWO]
        done = later(sent(*TWO), answer(*pair, status=Status.COMPLETE), COMPLETE).request
        doubted = later(done, answer(*TWO), minutes=20).request
        again = later(doubted, answer(*TWO), minutes=30).request
        assert (again.status, again.round, again.completed_at) == (Status.OPEN, 2, None)


class TestWhoIsWho:
    def test_a_signer_absent_once_stays_and_absent_twice_leaves(self):
        once = later(sent(*TWO), answer(TWO[0])).request
        assert states(once) == ["invited", "invited"]
        assert once.next_at == once.checked_at + timedelta(minutes=5)
        assert states(later(once, answer(TWO[0]), minutes=3).request) == ["invited", "invited"]
        left = later(once, answer(TWO[0]), minutes=7).request
        assert states(left) == ["invited", "left"]
        assert states(later(left, answer(*TWO), minutes=9).request) == ["invited", "invited"]

    def test_any_shared_id_is_the_same_person(self):
        request = sent(Seen(ids=("7", "a@x.org"), request_url="u"))
        after = later(request, answer(Seen(ids=("new", "a@x.org"), request_url="u"))).request
        assert len(after.signers) == 1
        assert who(after, "new").aliases == ("7", "a@x.org", "new")

    def test_two_with_one_id_are_both_kept(self):
        twins = (seen("a"), seen("a", mobile="+13175550199"))
        request = later(sent(*twins), answer(*twins)).request
        assert [s.mobile for s in request.signers.values()] == ["+13175550101", "+13175550199"]

    @pytest.mark.parametrize(
        "nameless",
        [Seen(ids=(), mobile="+13175550101", request_url="u"), Seen(ids=(), request_url="u"), Seen(ids=())],
    )
    def test_one_without_any_id_is_known_again(self, nameless):
        request = later(sent(nameless, seen("b")), answer(nameless, seen("b"))).request
        assert len(request.signers) == 2
        assert not any(s.missing_at for s in request.signers.values())

    def test_an_unknown_signer_id_is_the_one_who_is_left(self):
        request = later(sent(seen("a", signed=None)), answer(seen("a", signed=None), status=None), SIGNED, "?").request
        assert states(request) == ["signed"]

    def test_an_unknown_signer_id_with_several_left_is_unmatched_until_the_api_tells(self):
        merged = later(sent(*SILENT), answer(*SILENT), SIGNED, "?")
        assert states(merged.request) == ["invited", "invited"]
        assert len(merged.request.unmatched) == 1
        assert merged.alerts[0].startswith("unmatched:")
        assert later(merged.request, answer(*TWO), minutes=2).request.unmatched == ()

    def test_an_unknown_signer_id_is_not_put_on_one_whom_the_api_denies_to_have_signed(self):
        half = answer(seen("a", signed=True), seen("b"))
        looked = later(sent(*TWO), half).request
        request = later(looked, half, SIGNED, "?", minutes=30, age=900).request
        assert states(request) == ["signed", "invited"]


class TestAnswers:
    def test_without_a_signer_is_no_answer(self):
        with pytest.raises(Retry):
            sent()

    def test_with_more_than_a_thousand_signers_fails_visibly(self):
        many = [Seen(ids=(str(n),)) for n in range(MAX_SIGNERS + 1)]
        with pytest.raises(GiveUp, match="1001 signers"):
            sent(*many)
        assert len(sent(*many[:-1]).signers) == MAX_SIGNERS

    def test_silence_keeps_what_was_known(self):
        full = sent(seen("a"), ordered=True, created_at=START, expires_at=START + timedelta(days=9), download_url="d")
        bare = Answer(id="r1", signers=(Seen(ids=("a",)),))
        after = later(full, bare).request
        kept = ("title", "sender", "ordered", "created_at", "expires_at", "download_url", "status")
        assert [getattr(after, f) for f in kept] == [getattr(full, f) for f in kept]
        assert (who(after, "a").name, who(after, "a").request_url) == ("A", "https://sign.test/a")

    def test_the_title_hint_serves_where_the_api_gives_none(self):
        hint = replace(event(SENT), title_hint="Lease 7")
        assert merge(None, answer(seen("a")), hint, START, POLICY).request.title == "Lease"
        untitled = replace(answer(seen("a")), title="")
        assert merge(None, untitled, hint, START, POLICY).request.title == "Lease 7"

    def test_only_so_many_events_are_remembered(self):
        request = sent(seen("a"))
        crowded = replace(request, events={str(n): START for n in range(600)} | {"old": START - timedelta(days=32)})
        after = later(crowded, answer(seen("a")), SIGNED, "a", age=120).request
        assert len(after.events) == 500
        assert "old" not in after.events

    def test_what_leaves_for_other_systems_holds_no_personal_data(self):
        shown = str(public(sent(seen("a", email="jo@x.org"))))
        assert not any(secret in shown for secret in ("jo@x.org", "317555", "https", "Lease"))


class TestNextLook:
    def test_a_reminder_whose_task_was_lost_is_looked_after_once_then_at_the_common_pace(self):
        request = sent(seen("a"))
        due = who(request, "a").reminders["3"].due_at
        assert next_look(request, None, due - timedelta(minutes=5), POLICY) == due + timedelta(minutes=2)
        after = next_look(request, None, due + timedelta(minutes=3), POLICY)
        assert after >= due + timedelta(minutes=15)

    def test_a_complete_request_is_looked_at_once_more_and_then_left_until_it_is_forgotten(self):
        done = later(sent(*TWO), answer(*TWO, status=Status.COMPLETE), COMPLETE).request
        assert done.next_at == done.checked_at + timedelta(minutes=20)
        again = later(done, answer(*TWO, status=Status.COMPLETE), minutes=22).request
        assert again.next_at == forget_at(again, Policy())


class TestAddresses:
    @pytest.mark.parametrize(
        ("written", "number"),
        [
            ("+13175551234", "+13175551234"),
            ("13175551234", "+13175551234"),
            ("317-123-1234", "+13171231234"),
            ("(317) 403-7298", "+13174037298"),
            ("+44 20 7946 0958", "+442079460958"),
            ("", ""),
            ("n/a", ""),
            ("12", ""),
            ("+1 317 555", ""),
            ("1" * 40, ""),
            ("\u0000", ""),
        ],
    )
    def test_numbers_in_every_written_form(self, written, number):
        assert normal_mobile(written, "US") == number

    @pytest.mark.parametrize(
        ("written", "email"),
        [
            (" Jo@X.org ", "jo@x.org"),
            ("josé@exämple.de", "josé@exämple.de"),
            ("", ""),
            ("jo", ""),
            ("@x.org", ""),
            ("jo@", ""),
            ("a@b@c", ""),
            ("a b@x.org", ""),
            ("a@x.org\nBcc: z@x.org", ""),
            ("<a@x.org>", ""),
            ("a@x.org,b@x.org", ""),
            ("a" * 250 + "@x.org", ""),
        ],
    )
    def test_email_addresses(self, written, email):
        assert normal_email(written) == email


@pytest.mark.parametrize(
    ("policy", "send_to", "addresses", "expected"),
    [
        ("send_to", {}, "both", (SMS, EMAIL)),
        ("send_to", {EMAIL: True, SMS: False}, "both", (EMAIL,)),
        ("send_to", {EMAIL: False, SMS: True}, "both", (SMS,)),
        ("send_to", {EMAIL: True}, "both", (EMAIL,)),
        ("send_to", {EMAIL: False, SMS: False}, "both", ()),
        ("send_to", {EMAIL: True}, "sms", ()),
        ("all", {EMAIL: False}, "both", (SMS, EMAIL)),
        ("sms-first", {}, "both", (SMS,)),
        ("sms-first", {}, "email", (EMAIL,)),
        ("email-first", {}, "both", (EMAIL,)),
        ("email-first", {}, "sms", (SMS,)),
        ("sms", {}, "both", (SMS,)),
        ("sms", {}, "email", ()),
        ("email", {}, "both", (EMAIL,)),
        ("all", {}, "", ()),
    ],
)
def test_the_channels_that_each_policy_chooses(policy, send_to, addresses, expected):
    mobile = "+13175551234" if addresses in ("both", "sms") else ""
    email = "jo@x.org" if addresses in ("both", "email") else ""
    chosen = choose_channels(Policy(channels=policy), Seen(ids=("a",), send_to=send_to), email, mobile)
    assert chosen == expected


def test_a_channel_without_a_provider_is_never_chosen():
    policy = Policy(channels="all", available=frozenset({EMAIL}))
    assert choose_channels(policy, Seen(ids=("a",)), "jo@x.org", "+13175551234") == (EMAIL,)
