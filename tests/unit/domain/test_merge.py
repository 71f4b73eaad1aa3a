"""Which of the webhook and the API counts when they differ, and the state that follows."""

from datetime import timedelta

import msgspec
import pytest
from msgspec.structs import replace

from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.merge import MAX_BYTES, gone, merge
from shared.domain.model import ApiRequest, ApiSigner, Role, Status
from shared.domain.policy import Policy
from shared.domain.reading import wait_for
from shared.domain.recheck import EVENTS_KEPT, forget_at, next_check_at, stub
from shared.domain.signers import MAX_SIGNERS
from shared.domain.status_event import request_status
from tests.fakes import START, answer, seen
from tests.merge_steps import COMPLETE, EXPIRED, POLICY, SENT, SIGNED, SILENT, TWO, event, later, sent, states, who


def _person(n: int, url_length: int) -> ApiSigner:
    address = {"name": f"Signer Number {n}", "email": f"signer.number.{n}@example.com", "mobile": f"+1317555{n:04}"}
    return ApiSigner(ids=(f"5f0c6a2d9b1e4c00{n:08}",), **address, request_url="https://".ljust(url_length, "x"))


def _stored_size(value: object) -> int:
    """As Firestore counts a document: https://firebase.google.com/docs/firestore/storage-size"""
    if isinstance(value, str):
        return len(value.encode()) + 1
    if isinstance(value, dict):
        return 32 + sum(len(name) + 1 + _stored_size(v) for name, v in value.items())
    if isinstance(value, list):
        return sum(_stored_size(v) for v in value)
    return _stored_size(msgspec.to_builtins(value)) if isinstance(value, msgspec.Struct) else 8


class TestSignedAgainstTheApi:
    def test_an_answer_that_lacks_only_this_signer_is_given_time_then_the_webhook_is_doubted(self):
        without_b = answer(seen("a"))
        with pytest.raises(RetryLater):
            later(sent(*TWO), without_b, SIGNED, "b", age=119)
        merged = later(sent(*TWO), without_b, SIGNED, "b", age=120)
        assert who(merged.request, "b").doubted_since is not None

    @pytest.mark.parametrize("flag", [True, None])
    def test_is_believed_where_the_api_agrees_or_is_silent(self, flag):
        said = answer(seen("a", signed=flag), seen("b"), status=None)
        merged = later(sent(*TWO), said, SIGNED, "a")
        assert states(merged.request) == ["signed", "invited"]
        assert who(merged.request, "a").confirmed is bool(flag)
        assert merged.alerts == ()

    def test_comes_again_after_as_long_as_it_has_waited(self):
        with pytest.raises(RetryLater) as e:
            later(sent(*TWO), answer(*TWO), SIGNED, "a", age=30)
        assert (e.value.after, e.value.reason) == (30, "a webhook says signed, the API does not yet")

    def test_waits_while_the_event_is_younger_than_two_minutes_and_the_api_denies(self):
        with pytest.raises(RetryLater) as e:
            later(sent(*TWO), answer(*TWO), SIGNED, "a", age=119)
        assert 1 <= e.value.after <= 60

    def test_is_believed_after_two_minutes_of_denial_with_an_alert(self):
        merged = later(sent(*TWO), answer(*TWO), SIGNED, "a", age=120)
        assert states(merged.request) == ["signed", "invited"]
        assert merged.alerts[0].startswith("believed:")

    def test_of_one_known_to_have_signed_waits_for_nothing(self):
        state = later(sent(*TWO), answer(seen("a", signed=True), seen("b"))).request
        assert states(later(state, answer(*TWO), SIGNED, "a", minutes=2).request) == ["signed", "invited"]


@pytest.mark.parametrize(
    ("slower", "day", "pauses"),
    [  # (age of the event, seconds until it comes again; None: it is waited for no longer)
        (1.0, 86_400.0, [(0, 1), (0.5, 1), (30, 30), (100, 60), (570, 30), (599.5, 1), (600, None), (601, None)]),
        (4.0, 86_400.0, [(0, 2), (0.5, 2), (1, 4), (100, 400), (500, 100), (600, None)]),
        (1.0, 60.0, [(0, 1), (1.9, 1), (2, None)]),
    ],
)
def test_an_event_waits_for_a_lagging_answer(slower, day, pauses):
    for age, pause in pauses:
        try:
            found = wait_for(event(SENT, age=age), 600.0, START, Policy(day=day), "why", slower)
        except RetryLater as e:
            found = e.after
        assert found == pause, age
    assert wait_for(None, 600.0, START, POLICY, "why", slower) is None


class TestAfterARestore:
    """The first reading after it shows what signers were told of before. A webhook that waited is news."""

    POLICY = replace(POLICY, restored=(START, START + timedelta(hours=1)))
    SIGNED_BY_A = answer(seen("a", signed=True), seen("b"))
    DONE = answer(seen("a", signed=True), seen("b", signed=True), status=Status.COMPLETE)

    def read(self, before, said, kind=None, signer=None, minutes=61):
        now = START + timedelta(minutes=minutes)
        heard = event(kind, signer, at=now) if kind else None
        return merge(before, said, heard, now, self.POLICY).request

    def test_a_signature_is_no_news(self):
        request = self.read(sent(*TWO), self.SIGNED_BY_A)
        assert states(request) == ["signed", "invited"]
        assert who(request, "a").signed_at is None

    def test_a_signature_whose_webhook_waited_is(self):
        request = self.read(sent(*TWO), self.SIGNED_BY_A, SIGNED, "a")
        assert who(request, "a").signed_at is not None
        late = self.read(self.read(sent(*TWO), self.SIGNED_BY_A), self.SIGNED_BY_A, SIGNED, "a", minutes=62)
        assert who(late, "a").signed_at is not None

    def test_a_completion_is_no_news_until_its_webhook_comes(self):
        request = self.read(sent(*TWO), self.DONE)
        assert (request.status, request.completed_at) == (Status.COMPLETE, None)
        assert self.read(request, self.DONE, COMPLETE, minutes=62).completed_at is not None
        assert self.read(sent(*TWO), self.DONE, COMPLETE).completed_at is not None

    def test_what_a_second_reading_shows_is(self):
        request = self.read(self.read(sent(*TWO), answer(*TWO)), self.SIGNED_BY_A, minutes=62)
        assert who(request, "a").signed_at is not None


class TestCompleteAgainstTheApi:
    def test_is_believed_where_the_api_agrees(self):
        request = later(sent(*SILENT), answer(*TWO, status=Status.COMPLETE), COMPLETE).request
        assert request.status is Status.COMPLETE
        assert request.completed_at == START + timedelta(minutes=1)
        assert set(states(request)) == {"signed"}

    @pytest.mark.parametrize("said", [answer(*TWO), answer(*TWO, status=None), answer(*TWO, status=Status.EXPIRED)])
    def test_waits_ten_minutes_then_is_disputed_where_the_api_denies(self, said):
        with pytest.raises(RetryLater):
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

    def test_disputed_lasts_a_day_from_its_webhook_whatever_changes_meanwhile(self):
        disputed = later(sent(*TWO), answer(*TWO), COMPLETE, age=600).request
        one_signed = answer(seen("a", signed=True), seen("b"))
        changed = later(disputed, one_signed, minutes=20 * 60).request
        assert (changed.status, changed.changed_at) == (Status.DISPUTED, START + timedelta(hours=20))
        assert later(changed, one_signed, minutes=25 * 60).request.status is Status.OPEN

    @pytest.mark.parametrize(("heard", "told"), [(SIGNED, True), (None, False)])
    def test_a_completion_found_by_a_recheck_is_told_where_a_signature_was_heard_before(self, heard, told):
        adopted = later(None, answer(seen("a", signed=True), seen("b")), heard, "a" if heard else None).request
        done = later(adopted, answer(*TWO, status=Status.COMPLETE), minutes=6).request
        assert (done.status, done.completed_at is not None) == (Status.COMPLETE, told)

    @pytest.mark.parametrize(("then", "told"), [(SIGNED, True), (SENT, False), (COMPLETE, False), (None, False)])
    def test_as_the_first_webhook_where_the_api_is_silent_is_told_once_a_signature_is_heard(self, then, told):
        silent = answer(*SILENT, status=None)
        believed = later(later(None, silent, COMPLETE).request, silent, minutes=11).request
        assert (believed.status, believed.completed_at) == (Status.COMPLETE, None)
        after = later(believed, silent, then, "a" if then is SIGNED else None, minutes=15).request
        assert (after.status, after.completed_at is not None) == (Status.COMPLETE, told)

    @pytest.mark.parametrize("said", [Status.COMPLETE, Status.OPEN, None])
    def test_after_a_sent_that_met_the_request_complete_is_news_whatever_the_api_says_now(self, said):
        met = later(None, answer(*TWO, status=Status.COMPLETE), SENT).request
        assert (met.completed_at, met.met_complete_by) == (None, SENT)
        signers = SILENT if said is None else TWO
        assert later(met, answer(*signers, status=said), COMPLETE, minutes=2).request.completed_at is not None

    def test_again_on_a_complete_request_changes_nothing(self):
        done = later(sent(*TWO), answer(*TWO, status=Status.COMPLETE), COMPLETE).request
        again = later(done, answer(*TWO), COMPLETE, minutes=5).request
        assert again.status is Status.COMPLETE
        assert again.completed_at == done.completed_at

    def test_all_signatures_are_a_completion_but_none_are_not(self):
        signed = [replace(s, signed=True) for s in TWO]
        assert later(sent(*TWO), answer(*signed, status=None)).request.status is Status.COMPLETE
        assert later(sent(*TWO), answer(signed[0], status=None)).request.status is Status.OPEN  # one is missing
        recipient = seen("a", role=Role.RECIPIENT, signed=True)
        assert sent(recipient, status=None).status is Status.OPEN


class TestExpiredAgainstTheApi:
    def test_stops_where_the_api_agrees(self):
        assert later(sent(*TWO), answer(*TWO, status=Status.EXPIRED), EXPIRED).request.status is Status.EXPIRED

    def test_stops_where_the_api_is_silent(self):
        request = later(sent(*TWO), answer(*SILENT, status=None), EXPIRED).request
        assert request.status is Status.EXPIRED
        assert request.next_at == request.checked_at + timedelta(minutes=15)  # it may be extended

    def test_is_ignored_where_the_api_denies(self):
        """After two minutes, in which the answer may lag, and with an alert."""
        open_ = sent(*TWO)
        with pytest.raises(RetryLater):
            later(open_, answer(*TWO), EXPIRED, age=119)
        merged = later(open_, answer(*TWO), EXPIRED, age=120)
        assert (merged.request.status, [a.split(":")[0] for a in merged.alerts]) == (Status.OPEN, ["expired_denied"])
        assert all(s.reminders for s in merged.request.signers.values())

    def test_by_its_own_date_needs_no_event(self):
        said = answer(*SILENT, status=None, expires_at=START + timedelta(minutes=1))
        assert later(sent(*TWO), said, minutes=0.9).request.status is Status.OPEN
        assert later(sent(*TWO), said, minutes=1).request.status is Status.EXPIRED

    def test_keeps_its_reminders_for_a_later_answer_that_shows_it_open(self):
        open_ = sent(*TWO)
        expired = later(open_, answer(*TWO, status=Status.EXPIRED), EXPIRED).request
        resumed = later(expired, answer(*TWO), minutes=60).request
        old, new = who(open_, "a").reminders, who(resumed, "a").reminders
        assert resumed.status is Status.OPEN
        assert old == new

    def test_by_a_date_that_has_passed_denies_no_completion(self):
        past = answer(*SILENT, status=None, expires_at=START)
        waiting = later(sent(*SILENT), past, COMPLETE, minutes=9).request
        assert later(waiting, past, minutes=20).request.status is Status.COMPLETE

    @pytest.mark.parametrize("kind", [None, EXPIRED])
    def test_does_not_undo_a_completion(self, kind):
        done = later(sent(*TWO), answer(*SILENT, status=Status.COMPLETE), COMPLETE).request
        past = answer(*SILENT, status=None, expires_at=START)
        assert later(done, past, kind, minutes=9).request.status is Status.COMPLETE


class TestStatus:
    @pytest.mark.parametrize("said", [Status.OPEN, Status.GONE])
    def test_no_other_status_undoes_a_completion(self, said):
        done = later(sent(*TWO), answer(*SILENT, status=Status.COMPLETE), COMPLETE).request
        assert later(done, answer(*TWO, status=said), minutes=2).request.status is Status.COMPLETE

    def test_paused_keeps_the_reminders(self):
        paused = later(sent(*TWO), answer(*TWO, status=Status.PAUSED)).request
        assert paused.status is Status.PAUSED
        assert who(paused, "a").reminders

    def test_gone_waits_ten_minutes_for_a_lagging_api_then_stops_everything(self):
        with pytest.raises(RetryLater):
            gone(None, event(SENT, age=599), "r1", START, POLICY)
        request = gone(sent(*TWO), event(SENT, age=600), "r1", START, POLICY)
        assert request.status is Status.GONE
        assert request.next_at == START + timedelta(minutes=15)

    @pytest.mark.parametrize(
        ("met", "kind", "adopted"),
        [
            (None, SENT, False),
            (None, SIGNED, True),
            (None, None, True),
            (SENT, SIGNED, False),
            (SIGNED, None, True),
            (SIGNED, SENT, False),
        ],
    )
    def test_gone_is_known_by_how_it_was_met_and_asked_for_more_rarely_if_never_seen(self, met, kind, adopted):
        said = answer(seen("a", signed=True), seen("b"))
        stored = later(None, said, met, "a", minutes=0).request if met else None
        request = gone(stored, kind and event(kind, age=600), "r9", START, POLICY)
        assert (request.id, request.adopted, request.met_at) == ("r1" if met else "r9", adopted, START)
        assert (request.status, request.not_found_since) == (Status.GONE if kind else Status.OPEN, START)
        assert len(request.events) == bool(met) + bool(kind)
        with pytest.raises(RetryLater) as e:
            gone(stored, event(SIGNED, age=100), "r9", START, POLICY)
        assert e.value.after == (60 if met else 400)

    def test_the_first_404_changes_no_status_that_is_told(self):
        before = sent(*TWO)
        assert gone(before, None, "r1", START, POLICY).status_sequence == before.status_sequence

    def test_only_another_sent_is_remembered_as_a_revision(self):
        assert later(sent(*TWO), answer(*SILENT), SIGNED, "a").request.resent_at is None
        assert later(sent(*TWO), answer(*TWO), SENT, minutes=5, age=60).request.resent_at == START + timedelta(
            minutes=4
        )

    def test_one_stray_404_silences_nobody(self):
        unpublished_tasks = gone(sent(*TWO), None, "r1", START, POLICY)
        assert unpublished_tasks.status is Status.OPEN
        assert unpublished_tasks.next_at == START + timedelta(minutes=5)
        assert later(unpublished_tasks, answer(*TWO)).request.not_found_since is None
        assert gone(unpublished_tasks, None, "r1", START + timedelta(minutes=5), POLICY).status is Status.GONE

    @pytest.mark.parametrize("said", [None, Status.OPEN])
    def test_gone_comes_back_when_the_api_knows_it_again(self, said):
        lost = gone(sent(*TWO), event(SENT, age=600), "r1", START, POLICY)
        assert later(lost, answer(*SILENT, status=said), SENT).request.status is Status.OPEN

    def test_thirty_silent_days_after_the_last_step_it_is_dormant(self):
        request = later(sent(*TWO), answer(*TWO), minutes=60 * 24 * 45).request
        assert request.status is Status.DORMANT
        again = later(request, answer(*TWO), minutes=60 * 24 * 45 + 20).request
        assert (again.status, again.next_at) == (Status.DORMANT, forget_at(again, Policy()))
        assert later(request, answer(*SILENT, status=None), SIGNED, "x").request.status is Status.OPEN


class TestAnswers:
    def test_without_a_signer_is_no_answer(self):
        with pytest.raises(RetryLater):
            sent()

    def test_with_more_than_a_thousand_signers_fails_visibly(self):
        many = [ApiSigner(ids=(str(n),)) for n in range(MAX_SIGNERS + 1)]
        with pytest.raises(PermanentFailure, match="1001 signers"):
            sent(*many)
        assert len(sent(*many[:-1]).signers) == MAX_SIGNERS

    @pytest.mark.parametrize("length", [60, 272, 400])
    def test_that_would_outgrow_the_database_fails_visibly_before_anybody_is_invited(self, length):
        """What may begin can live: half of them sign, and as many events come as are kept."""
        people = [_person(n, length) for n in range(MAX_SIGNERS)]
        if length > 272:
            with pytest.raises(PermanentFailure, match="bytes in the database"):
                sent(*people)
            return
        request = sent(*people)
        for n in range(EVENTS_KEPT):
            request = replace(
                request,
                events=request.events | {f"{n:024}": START},
                event_types=request.event_types | {f"{n:024}": SIGNED},
            )
        half = [replace(p, signed=n % 2 == 0) for n, p in enumerate(people)]
        request = later(request, answer(*half)).request
        assert _stored_size(request) < 1_048_576

    @pytest.mark.parametrize(
        ("told", "status"),
        [({"request_url": ""}, Status.OPEN), ({"name": ""}, Status.PAUSED)],
        ids=["linkless", "paused"],
    )
    def test_that_would_outgrow_it_only_once_everybody_is_invited_fails_before_that(self, told, status):
        people = [_person(n, 400) for n in range(MAX_SIGNERS)]
        begun = later(None, answer(*(replace(p, **told) for p in people), status=status), SENT).request
        assert set(states(begun)) == {"waiting"}
        with pytest.raises(PermanentFailure, match="bytes in the database"):
            later(begun, answer(*people))

    def test_silence_keeps_what_was_known(self):
        full = sent(seen("a"), ordered=True, created_at=START, expires_at=START + timedelta(days=9), download_url="d")
        bare = ApiRequest(id="r1", signers=(ApiSigner(ids=("a",)),))
        after = later(full, bare).request
        kept = ("title", "sender", "ordered", "created_at", "expires_at", "download_url", "status")
        assert [getattr(after, f) for f in kept] == [getattr(full, f) for f in kept]
        assert (who(after, "a").name, who(after, "a").request_url) == ("A", "https://sign.test/a")

    def test_the_title_hint_serves_where_the_api_gives_none(self):
        hint = replace(event(SENT), title_hint="Lease 7")
        assert merge(None, answer(seen("a")), hint, START, POLICY).request.title == "Lease"
        untitled = replace(answer(seen("a")), title="")
        assert merge(None, untitled, hint, START, POLICY).request.title == "Lease 7"

    def test_that_outgrow_the_database_later_are_stored_if_they_can_be(self):
        large = replace(answer(*TWO), download_url="u" * MAX_BYTES)
        with pytest.raises(PermanentFailure, match=r"would take 90.,... bytes in the database; at most 900,000 may"):
            later(None, large, SENT)
        assert later(sent(*TWO), large).request.download_url == large.download_url

    def test_without_a_title_or_a_hint_there_is_none(self):
        said = replace(answer(*TWO), title="")
        merged = later(None, said)
        assert (merged.request.title, merged.answer) == ("", said)

    def test_only_so_many_events_are_remembered(self):
        request = sent(seen("a"))
        crowded = replace(request, events={str(n): START for n in range(600)} | {"old": START - timedelta(days=32)})
        after = later(crowded, answer(seen("a")), SIGNED, "a", age=120).request
        assert len(after.events) == 500
        assert "old" not in after.events

    def test_what_leaves_for_other_systems_holds_no_personal_data(self):
        shown = str(request_status(sent(seen("a", email="jo@x.org"))))
        assert not any(secret in shown for secret in ("jo@x.org", "317555", "https", "Lease"))


class TestNextLook:
    def test_a_reminder_whose_task_was_lost_is_looked_after_once_then_at_the_common_pace(self):
        request = sent(seen("a"))
        due = who(request, "a").reminders["3"].due_at
        assert next_check_at(request, None, due - timedelta(minutes=5), POLICY) == due + timedelta(minutes=2)
        after = next_check_at(request, None, due + timedelta(minutes=3), POLICY)
        assert after >= due + timedelta(minutes=15)

    def test_a_complete_request_is_looked_at_once_more_and_then_left_until_it_is_forgotten(self):
        done = later(sent(*TWO), answer(*TWO, status=Status.COMPLETE), COMPLETE).request
        assert done.next_at == done.checked_at + timedelta(minutes=20)
        again = later(done, answer(*TWO, status=Status.COMPLETE), minutes=22).request
        assert again.next_at == forget_at(again, Policy())


class TestWhatOnlyTheTextsNeed:
    def test_is_kept_while_an_answer_lacks_it_and_goes_with_the_personal_data(self):
        told = {"site": "7", "language": "fr", "metadata": {"message": "Please hurry", "deal": "1"}}
        request = sent(seen("a", language="de-AT", metadata={"company": "Acme"}), **told)
        request = later(request, answer(seen("a"), metadata={"deal": "2"})).request
        assert (request.site, request.language) == ("7", "fr")
        assert request.metadata == {"message": "Please hurry", "deal": "2"}
        assert (who(request, "a").language, who(request, "a").metadata) == ("de-AT", {"company": "Acme"})
        assert b"Please hurry" not in msgspec.json.encode(stub(request))
        assert b"Acme" not in msgspec.json.encode(stub(request))
