"""Which signer an event or answer means, the signing order, and when a new round begins."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from shared.domain import trust
from shared.domain.errors import RetryLater
from shared.domain.identity import keys_of
from shared.domain.merge import merge
from shared.domain.model import (
    AccountAnswers,
    ApiRequest,
    ApiSigner,
    EventType,
    Request,
    Role,
    Signer,
    SignerState,
    Status,
    digest,
)
from shared.domain.policy import Policy
from shared.domain.signatures import MAX_UNMATCHED
from shared.domain.signing_order import ahead, is_due
from tests.fakes import START, answer, seen
from tests.merge_steps import COMPLETE, POLICY, SENT, SIGNED, SILENT, TWO, event, later, sent, states, who


def row(text: str, *, signed: bool | None = False) -> ApiSigner:
    """A row from "ids/name"."""
    ids, _, name = text.partition("/")
    return ApiSigner(ids=tuple(ids.split()), name=name, request_url="u", signed=signed)


def seen_as(**fields) -> ApiSigner:
    return replace(seen("a"), **fields)


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

    def test_a_request_sent_that_came_while_it_was_paused_invites_once_it_is_open(self):
        met = later(None, answer(seen("a", signed=True), seen("b")), SIGNED, "a").request
        paused = later(met, answer(*TWO, status=Status.PAUSED), minutes=2).request
        heard = later(paused, answer(seen("a", signed=True), seen("b"), status=Status.PAUSED), SENT, minutes=3).request
        assert who(heard, "b").adopted
        resumed = later(heard, answer(seen("a", signed=True), seen("b")), minutes=9).request
        assert (who(resumed, "b").adopted, who(resumed, "b").invited_at) == (False, START + timedelta(minutes=9))

    def test_a_later_request_sent_invites_those_still_due(self):
        met = later(None, answer(seen("a", signed=True), seen("b")), SIGNED, "a").request
        request = later(met, answer(seen("a", signed=True), seen("b")), SENT, minutes=2).request
        assert not request.adopted
        assert states(request) == ["signed", "invited"]
        assert not who(request, "b").adopted
        assert who(request, "b").invited_at == START + timedelta(minutes=2)

    @pytest.mark.parametrize(("hours", "invites"), [(25, True), (25.1, False)])
    def test_a_request_sent_that_comes_too_late_invites_nobody_with_an_alert(self, hours, invites):
        met = later(None, answer(*TWO), minutes=0).request
        merged = later(met, answer(*TWO), SENT, minutes=60 * hours)
        assert merged.request.adopted is not invites
        assert [alert.partition(":")[0] for alert in merged.alerts] == ([] if invites else ["late_sent"])

    @pytest.mark.parametrize(
        ("adopted", "known", "kind", "news"),
        [  # whether it was met otherwise, and known before the answer that shows the signature
            (False, False, SENT, False),
            (True, False, None, False),
            (True, False, SIGNED, True),
            (True, True, None, False),
            (True, True, SIGNED, True),
            (False, True, None, True),
            (False, True, SIGNED, True),
        ],
    )
    def test_a_signature_is_news_where_it_was_watched_or_its_event_was_heard(self, adopted, known, kind, news):
        before = (later(None, answer(*TWO), minutes=0).request if adopted else sent(*TWO)) if known else None
        request = later(before, answer(seen("a", signed=True), seen("b")), kind, "a", minutes=5).request
        assert who(request, "a").signed_at == (START + timedelta(minutes=5) if news else None)

    def test_what_happened_before_our_watch_is_no_news(self):
        met = later(None, answer(seen("a", signed=True), seen("b", signed=True), seen("c")), SIGNED, "b").request
        assert who(met, "a").signed_at is None
        assert who(met, "b").signed_at is not None

    def test_a_completion_seen_by_a_look_is_no_news_but_its_event_is(self):
        met = later(None, answer(*TWO), None).request
        complete = answer(*TWO, status=Status.COMPLETE)
        rechecked = later(met, complete, minutes=2).request
        assert rechecked.completed_at is None
        heard = later(rechecked, complete, COMPLETE, minutes=3).request
        assert heard.completed_at == START + timedelta(minutes=3)


class TestSignatures:
    def test_one_that_was_doubted_is_sound_once_the_api_agrees(self):
        doubted = later(sent(*TWO), answer(*TWO), SIGNED, "a", minutes=3, age=120).request
        agreed = who(later(doubted, answer(seen("a", signed=True), seen("b")), minutes=9).request, "a")
        assert (agreed.state, agreed.confirmed, agreed.doubted_since) == (SignerState.SIGNED, True, None)
        assert agreed.signed_at == START + timedelta(minutes=9)

    def test_one_that_only_a_webhook_tells_is_news_of_an_adopted_request_too(self):
        adopted = later(None, answer(*SILENT, status=None)).request
        heard = who(later(adopted, answer(*SILENT, status=None), SIGNED, "a", minutes=2).request, "a")
        assert (heard.signed_at, heard.confirmed) == (START + timedelta(minutes=2), False)

    @pytest.mark.parametrize("rows", [[SILENT[1]], [seen("c", role=Role.RECIPIENT, signed=False)]])
    def test_one_is_believed_at_once_where_an_answer_that_lacks_the_signer_says_nothing_of_the_others(self, rows):
        stored = sent(*SILENT, seen("c", role=Role.RECIPIENT))
        heard = later(stored, answer(*rows, status=None), SIGNED, "a")
        assert (who(heard.request, "a").state, heard.alerts) == (SignerState.SIGNED, ())

    def test_one_of_a_signer_who_has_left_fits_nobody(self):
        left = later(later(sent(*TWO), answer(TWO[0])).request, answer(TWO[0]), minutes=7).request
        heard = later(left, answer(TWO[0]), SIGNED, "b", minutes=9)
        assert (states(heard.request), heard.alerts[0][:9]) == (["invited", "removed"], "unmatched")

    def test_one_under_an_unknown_id_is_the_only_signers_where_the_first_answer_shows_it(self):
        assert states(later(None, answer(seen("a", signed=True)), SIGNED, "?").request) == ["signed"]

    def test_those_that_only_the_completion_tells_are_not_confirmed(self):
        done = later(sent(*TWO), answer(*SILENT, status=Status.COMPLETE), COMPLETE).request
        assert [(s.state, s.confirmed) for s in done.signers.values()] == [(SignerState.SIGNED, False)] * 2

    def test_where_the_api_usually_tells_and_is_silent_now_a_webhook_is_held(self):
        def heard(stored: Request, age: float, rows=SILENT) -> tuple[str, tuple[str, ...]]:
            now, usual = START + timedelta(minutes=3), AccountAnswers(read=20, signed=1.0)
            told = merge(stored, answer(*rows), event(SIGNED, "a", age=age, at=now), now, POLICY, usual)
            return who(told.request, "a").state, told.alerts

        with pytest.raises(RetryLater):
            heard(sent(*TWO), 119)
        assert heard(sent(*TWO), 120) == ("invited", (trust.ALERT_HELD,))
        known = later(sent(*TWO), answer(seen("a", signed=True), seen("b")), SIGNED, "a").request
        assert heard(known, 0) == ("signed", ())
        assert heard(sent(*TWO), 120, TWO) == ("signed", ("believed: a webhook says signed, the API denies it",))


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

    @pytest.mark.parametrize("minutes", [20, 25 * 60])
    def test_one_denial_only_raises_doubt(self, minutes):
        unconfirmed = later(self.signed(), answer(*TWO), minutes=minutes).request
        assert unconfirmed.round == 1
        assert unconfirmed.next_at == unconfirmed.unconfirmed_since + timedelta(minutes=5)
        assert states(unconfirmed) == ["signed", "invited"]

    def test_a_second_denial_five_minutes_later_begins_a_round(self):
        unconfirmed = later(self.signed(), answer(*TWO), minutes=20).request
        assert later(unconfirmed, answer(*TWO), minutes=24).request.round == 1
        again = later(unconfirmed, answer(*TWO), minutes=25).request
        assert (again.round, states(again)) == (2, ["invited", "invited"])
        assert who(again, "a").signed_at is None
        assert who(again, "b").invited_at == START + timedelta(minutes=25)

    @pytest.mark.parametrize(
        ("said", "status"), [(Status.PAUSED, Status.PAUSED), (None, Status.OPEN), (Status.EXPIRED, Status.EXPIRED)]
    )
    def test_a_round_stands_as_the_answer_says_and_is_open_where_it_says_nothing(self, said, status):
        unconfirmed = later(self.signed(), answer(*TWO), minutes=20).request
        again = later(unconfirmed, answer(*TWO, status=said), minutes=25).request
        assert (again.round, again.status, again.completed_at, again.unconfirmed_since) == (2, status, None, None)

    def test_a_request_sent_settles_a_doubt_at_once(self):
        unconfirmed = later(self.signed(), answer(*TWO), minutes=20).request
        assert later(unconfirmed, answer(*TWO), SENT, minutes=21).request.round == 2

    def test_a_request_sent_that_was_received_before_the_signature_settles_nothing(self):
        unconfirmed = later(self.signed(), answer(*TWO), minutes=20).request
        assert later(unconfirmed, answer(*TWO), SENT, minutes=21, age=25 * 60).request.round == 1
        assert later(unconfirmed, answer(*TWO), SENT, minutes=21, age=20 * 60).request.round == 2  # with it

    def test_a_signed_that_was_received_before_the_request_was_sent_anew_is_not_believed_against_the_api(self):
        revised = later(sent(*TWO), answer(*TWO), SENT, minutes=14).request
        merged = later(revised, answer(*TWO), SIGNED, "a", minutes=19, age=7 * 60)
        assert states(merged.request) == ["invited", "invited"]
        assert merged.alerts[0].startswith("outdated:")
        later_one = later(revised, answer(*TWO), SIGNED, "a", minutes=19, age=4 * 60).request
        assert states(later_one) == ["signed", "invited"]

    @pytest.mark.parametrize(("other", "after"), [(True, "invited"), (False, "signed")])
    def test_a_signature_that_a_webhook_told_falls_after_a_day_of_denial_where_the_api_shows_anothers(
        self, other, after
    ):
        believed = later(sent(*TWO), answer(*TWO), SIGNED, "a", minutes=3, age=120).request
        said = answer(seen("a"), seen("b", signed=other))
        assert states(later(believed, said, minutes=24 * 60).request)[0] == "signed"
        fallen = later(believed, said, minutes=24 * 60 + 3).request
        assert states(fallen)[0] == after
        assert (fallen.round, who(fallen, "a").doubted_since is None) == (1, other)

    def test_with_it_goes_the_time_at_which_it_was_believed_where_the_api_was_silent_then(self):
        believed = later(sent(*SILENT), answer(*SILENT, status=None), SIGNED, "a").request
        said = answer(seen("a"), seen("b", signed=True))
        assert who(later(believed, said, minutes=24 * 60).request, "a").signed_at == START + timedelta(minutes=1)
        fallen = who(later(believed, said, minutes=24 * 60 + 1).request, "a")
        assert (fallen.state, fallen.signed_at, fallen.reminders.keys()) == ("invited", None, {"3", "7", "14"})

    @pytest.mark.parametrize("shown", ["in this request", "in an earlier round", "in another request", "never"])
    def test_and_where_the_api_has_shown_a_signature_before(self, shown):
        shows = AccountAnswers(shown=shown == "in another request")
        first = sent(*TWO)
        if shown == "in this request":
            first = later(first, answer(seen("a"), seen("b", signed=True)), SIGNED, "b").request
        first = replace(first, round=2 if shown == "in an earlier round" else 1)
        believed = later(first, answer(*TWO), SIGNED, "a", minutes=3, age=120).request
        now = START + timedelta(minutes=24 * 60 + 3)
        fallen = merge(believed, answer(*TWO), None, now, POLICY, shows).request
        assert who(fallen, "a").state == ("signed" if shown == "never" else "invited")

    def test_takes_a_young_signature_with_it_that_was_known_when_the_first_was_denied(self):
        both = answer(seen("a", signed=True), seen("b", signed=True), seen("c"))
        three = (*TWO, seen("c"))
        one = later(sent(*three), answer(seen("a", signed=True), seen("b"), seen("c")), SIGNED, "a").request
        two = later(one, both, SIGNED, "b", minutes=20).request
        unconfirmed = later(two, answer(*three), SENT, minutes=20.5).request
        again = later(unconfirmed, answer(*three), minutes=25.5).request
        assert (again.round, states(again)) == (2, ["invited"] * 3)
        assert later(again, answer(*three), minutes=60).request.round == 2

    def test_waits_for_an_answer_that_lacks_nobody_who_has_signed(self):
        three, c = (*TWO, seen("c")), seen("c")
        both = answer(seen("a", signed=True), seen("b", signed=True), c)
        unconfirmed = later(later(sent(*three), both, SIGNED, "a").request, answer(*three), minutes=20).request
        partial = later(unconfirmed, answer(seen("a"), c), minutes=25).request
        assert partial.round == 1
        assert (later(partial, answer(*three), minutes=26).request.round, states(partial)[1]) == (2, "signed")
        assert later(partial, answer(seen("a"), c), minutes=30).request.round == 2

    def test_leaves_a_signature_that_was_given_after_the_first_denial(self):
        unconfirmed = later(self.signed(), answer(*TWO), minutes=20).request
        given = later(unconfirmed, answer(seen("a"), seen("b", signed=True)), SIGNED, "b", minutes=24).request
        again = later(given, answer(*TWO), minutes=25).request
        assert (again.round, states(again)) == (2, ["invited", "signed"])
        at_once = later(self.signed(), answer(seen("a"), seen("b", signed=True)), SIGNED, "b", minutes=20).request
        assert states(later(at_once, answer(*TWO), minutes=25).request) == ["invited", "invited"]

    def test_ends_an_adoption_since_nobody_else_has_invited_for_it(self):
        adopted = later(None, answer(seen("a", signed=True), seen("b"))).request
        days = 60 * 24
        unconfirmed = later(adopted, answer(*TWO), SENT, minutes=2 * days).request
        again = later(unconfirmed, answer(*TWO), minutes=2 * days + 5).request
        assert not again.adopted
        assert [(s.state, s.adopted) for s in again.signers.values()] == [("invited", False)] * 2

    @pytest.mark.parametrize("age", [150, 30])
    def test_the_first_sent_of_a_request_met_complete_may_be_late_and_tells_of_no_revision(self, age):
        pair = [replace(s, signed=True) for s in TWO]
        met = later(None, answer(*pair, status=Status.COMPLETE), COMPLETE).request
        unconfirmed = later(met, answer(*TWO), minutes=2).request
        sent = later(unconfirmed, answer(*TWO), SENT, minutes=3, age=age).request
        assert (sent.round, later(sent, answer(*TWO), minutes=7).request.round) == (1, 2)

    def test_an_agreeing_answer_ends_the_doubt(self):
        unconfirmed = later(self.signed(), answer(*TWO), minutes=20).request
        assert (
            later(unconfirmed, answer(seen("a", signed=True), seen("b")), minutes=25).request.unconfirmed_since is None
        )

    def test_a_young_or_unconfirmed_signature_is_not_doubted(self):
        assert later(self.signed(), answer(*TWO), minutes=10.9).request.unconfirmed_since is None
        assert later(self.signed(), answer(*TWO), minutes=11).request.unconfirmed_since == START + timedelta(minutes=11)
        believed = later(sent(*TWO), answer(*TWO), SIGNED, "a", age=120).request
        assert later(believed, answer(*TWO), minutes=20).request.unconfirmed_since is None

    def test_a_completion_is_undone_by_a_round(self):
        pair = [replace(s, signed=True) for s in TWO]
        done = later(sent(*TWO), answer(*pair, status=Status.COMPLETE), COMPLETE).request
        unconfirmed = later(done, answer(*TWO), minutes=20).request
        again = later(unconfirmed, answer(*TWO), minutes=30).request
        assert (again.status, again.round, again.completed_at) == (Status.OPEN, 2, None)


class TestWhoIsWho:
    def test_a_signer_absent_once_stays_and_absent_twice_leaves(self):
        once = later(sent(*TWO), answer(TWO[0])).request
        assert states(once) == ["invited", "invited"]
        assert once.next_at == once.checked_at + timedelta(minutes=5)
        assert states(later(once, answer(TWO[0]), minutes=3).request) == ["invited", "invited"]
        left = later(once, answer(TWO[0]), minutes=7).request
        assert states(left) == ["invited", "removed"]
        assert states(later(left, answer(*TWO), minutes=9).request) == ["invited", "invited"]

    @pytest.mark.parametrize(
        ("before", "after", "shown"),
        [  # ids of the rows, and which of the stored signers (1, 2, ...) each row after shows; 0: a new one
            (["7 a@x"], ["new 7 a@x"], [1]),
            (["7 a@x"], ["new a@x"], [0]),  # two ids, one address: two people
            (["7 a@x"], ["a@x"], [1]),  # an answer that lacks the id
            (["a@x"], ["7 a@x"], [1]),
            (["john o@x"], ["jane o@x", "john o@x"], [0, 1]),  # whoever is listed first takes nobody's place
            (["john o@x", "jim o@x"], ["jane o@x", "jim o@x", "john o@x"], [0, 2, 1]),
            (["john o@x", "jim o@x"], ["o@x"], [0]),  # might be either
            (["jane o@x", "john o@x"], ["o@x", "john o@x"], [1, 2]),
            (["jane f@x", "f@x"], ["f@x", "jane f@x"], [2, 1]),  # an address that is somebody's own id
            (["eric row1", "dana row2"], ["dana row1", "eric row2"], [2, 1]),  # the first id is the strongest
            (["eric row1"], ["dana row1"], [1]),  # a delegate takes over the row
            (["o@x/JOHN", "o@x/JANE"], ["o@x/JANE", "o@x/JOHN"], [2, 1]),  # one id for two: the name tells
        ],
    )
    def test_a_row_shows_whom_its_own_ids_name_and_an_address_only_where_it_can_mean_one(self, before, after, shown):
        stored = sent(*map(row, before))
        request = later(stored, answer(*map(row, after))).request
        absent = {s.number for s in request.signers.values() if s.missing_since}
        assert absent == set(range(1, len(before) + 1)) - set(shown)
        assert len(request.signers) == len(before) + shown.count(0)
        keys = keys_of([row(text) for text in after], stored.signers)
        assert [stored.signers[keys[n]].number if n in keys else 0 for n in range(len(after))] == shown

    @pytest.mark.parametrize(
        ("ids", "signer", "signed"),
        [
            (["jane f@x", "f@x"], "f@x", ["f@x"]),  # the own id of one, the address of both
            (["jane f@x", "john f@x"], "f@x", []),  # either may be meant
            (["jane f@x", "john"], "f@x", ["jane"]),
        ],
    )
    def test_a_signature_is_credited_to_whose_own_id_it_names_and_to_nobody_where_two_fit(self, ids, signer, signed):
        rows = [row(text, signed=None) for text in ids]
        merged = later(sent(*rows, status=None), answer(*rows, status=None), SIGNED, signer)
        assert [s.aliases[0] for s in merged.request.signers.values() if s.state is SignerState.SIGNED] == signed
        assert bool(merged.request.unmatched) is not bool(signed)

    def test_a_copy_of_ones_event_is_not_credited_to_the_other_at_the_address(self):
        ann, bob = (ApiSigner(ids=(), name=n, email="o@x.org", request_url="u", signed=False) for n in ("ANN", "BOB"))
        said = answer(replace(ann, signed=True), bob)
        once = later(sent(ann, bob), said, SIGNED, "o@x.org").request
        twice = later(once, said, SIGNED, "o@x.org", minutes=20, age=900).request
        assert states(once) == states(twice) == ["signed", "invited"]

    def test_of_two_at_one_address_whoever_the_api_shows_to_have_signed_is_meant(self):
        ann, bob = (ApiSigner(ids=(), name=n, email="o@x.org", request_url="u", signed=None) for n in ("ANN", "BOB"))
        merged = later(sent(ann, bob), answer(ann, replace(bob, signed=True)), SIGNED, "o@x.org")
        assert states(merged.request) == ["invited", "signed"]
        assert (merged.request.unmatched, merged.alerts) == ((), ())

    def test_where_two_fit_and_the_api_denies_both_the_event_waits_for_it(self):
        rows = [row("jane f@x"), row("john f@x")]
        with pytest.raises(RetryLater):
            later(sent(*rows), answer(*rows), SIGNED, "f@x", age=119)

    @pytest.mark.parametrize("lacking", ["mobile", "email"])
    def test_an_address_is_gone_once_answers_have_lacked_it_for_an_hour(self, lacking):
        whole = seen("a", email="a@x.org")
        without = answer(replace(whole, **{lacking: ""}))
        first = later(sent(whole), without).request
        assert getattr(who(first, "a"), lacking) == getattr(whole, lacking)
        again = later(first, answer(whole), minutes=3).request
        assert who(again, "a").lacking_since is None
        second = later(first, without, minutes=61).request
        assert (getattr(who(second, "a"), lacking), who(second, "a").lacking_since) == ("", None)
        assert [second.signers.keys(), len(who(second, "a").channels)] == [first.signers.keys(), 1]

    @pytest.mark.parametrize(
        ("before", "after", "anew"),
        [
            ({}, {"mobile": "+13175550199"}, True),  # a number corrected, or a delegate in place
            ({}, {"email": "a@x.org"}, False),  # one more address
            ({"mobile": ""}, {"email": "a@x.org"}, True),  # the first one
            ({"email": "a@x.org"}, {"email": "b@x.org"}, False),  # one of two corrected
            ({}, {"name": "Changed"}, False),
        ],
    )
    def test_whoever_reads_at_other_addresses_only_is_invited_anew(self, before, after, anew):
        stored = sent(seen_as(**before))
        request = later(stored, answer(seen_as(**before | after)), minutes=60 * 24 * 22).request
        ((key, signer),) = request.signers.items()
        at = START + timedelta(days=22) if anew else START
        assert signer.invited_at == at
        assert signer.reminders == ahead(key, signer, request, at, POLICY, int(at.timestamp()) if anew else 0)

    def test_an_adopted_signer_is_not_invited_at_another_address(self):
        met = later(None, answer(seen("a"))).request
        assert who(later(met, answer(seen("a", mobile="+13175550199")), minutes=9).request, "a").adopted

    def test_whose_signature_a_webhook_told_has_signed_after_a_passing_absence(self):
        stored = later(sent(*SILENT), answer(*SILENT, status=None), SIGNED, "a").request
        for minutes in (2, 8):
            stored = later(stored, answer(SILENT[1], status=None), minutes=minutes).request
        assert states(stored) == ["removed", "invited"]
        assert states(later(stored, answer(*SILENT, status=None), minutes=9).request) == ["signed", "invited"]
        assert states(later(stored, answer(*TWO), minutes=9).request) == ["invited", "invited"]  # the API denies it

    def test_two_with_one_id_are_both_kept(self):
        twins = (seen("a"), seen("a", mobile="+13175550199"))
        request = later(sent(*twins), answer(*twins)).request
        assert [s.mobile for s in request.signers.values()] == ["+13175550101", "+13175550199"]

    @pytest.mark.parametrize(
        "nameless",
        [
            ApiSigner(ids=(), mobile="+13175550101", request_url="u"),
            ApiSigner(ids=(), request_url="u"),
            ApiSigner(ids=()),
        ],
    )
    def test_one_without_any_id_is_known_again(self, nameless):
        request = later(sent(nameless, seen("b")), answer(nameless, seen("b"))).request
        assert len(request.signers) == 2
        assert not any(s.missing_since for s in request.signers.values())

    def test_one_without_any_id_is_known_by_their_address_before_their_place(self):
        ann, bob = (ApiSigner(ids=(), email=f"{n}@x.org", request_url="u", signed=n == "bob") for n in ("ann", "bob"))
        stored = sent(ann, bob)
        request = later(stored, answer(bob)).request  # a truncated answer
        assert states(request) == ["invited", "signed"]
        assert states(later(request, answer(ann, bob), minutes=9).request) == ["invited", "signed"]

    def test_an_unmatched_signer_id_holds_reminders_back_for_a_day_and_not_again(self):
        held = later(sent(*SILENT), answer(*SILENT), SIGNED, "?").request
        assert later(held, answer(*SILENT), minutes=24 * 60).request.unmatched
        free = later(held, answer(*SILENT), minutes=24 * 60 + 1).request
        assert free.unmatched == ()
        again = later(free, answer(*SILENT), SIGNED, "??", minutes=24 * 60 + 2)
        assert (again.request.unmatched, again.alerts[0][:9]) == ((), "unmatched")

    def test_an_unknown_signer_id_is_the_one_who_is_left(self):
        request = later(sent(seen("a", signed=None)), answer(seen("a", signed=None), status=None), SIGNED, "?").request
        assert states(request) == ["signed"]

    def test_an_unknown_signer_id_is_the_only_signer_though_the_api_denies_it(self):
        with pytest.raises(RetryLater):
            later(sent(seen("a")), answer(seen("a")), SIGNED, "?", age=119)
        merged = later(sent(seen("a")), answer(seen("a")), SIGNED, "?", age=120)
        assert who(merged.request, "a").doubted_since
        assert [merged.alerts[0][:9], merged.request.unmatched] == ["believed:", ()]

    def test_an_unknown_signer_id_is_not_the_only_one_shown_until_a_later_answer_shows_no_more(self):
        with pytest.raises(RetryLater):
            later(None, answer(SILENT[1]), SIGNED, "a")
        assert who(later(None, answer(*SILENT), SIGNED, "a", age=30).request, "b").state == "invited"
        assert states(later(None, answer(SILENT[1]), SIGNED, "a", age=120).request) == ["signed"]

    def test_names_that_fit_nobody_are_kept_up_to_a_number(self):
        known = tuple(f"{n}" for n in range(MAX_UNMATCHED))
        full = replace(sent(*SILENT), unmatched=known, unmatched_since=START)
        more = later(full, answer(*SILENT, status=None), SIGNED, "one more").request
        assert (len(more.unmatched), more.unmatched[:-1]) == (MAX_UNMATCHED, known[1:])

    def test_an_unknown_signer_id_with_several_left_is_unmatched_until_the_api_tells(self):
        merged = later(sent(*SILENT), answer(*SILENT), SIGNED, "?")
        assert states(merged.request) == ["invited", "invited"]
        assert merged.request.unmatched == (digest("?")[:16],)
        assert merged.alerts[0].startswith("unmatched:")
        told = later(merged.request, answer(*TWO), minutes=2).request
        assert (told.unmatched, told.unmatched_since) == ((), None)

    def test_an_unknown_signer_id_is_not_put_on_one_whom_the_api_denies_to_have_signed(self):
        half = answer(seen("a", signed=True), seen("b"))
        rechecked = later(sent(*TWO), half).request
        request = later(rechecked, half, SIGNED, "?", minutes=30, age=900).request
        assert states(request) == ["signed", "invited"]


class TestADayOfTenSeconds:
    """As in a demo: a span is never shorter than what it must outlast."""

    @staticmethod
    def after(seconds: float, stored: Request, said: ApiRequest, kind: EventType | None = None) -> Request:
        now = START + timedelta(seconds=seconds)
        return merge(stored, said, event(kind, "a", at=now) if kind else None, now, Policy(day=10)).request

    def test_a_signature_is_doubted_after_two_seconds_and_undone_a_second_later(self):
        signed = self.after(1, sent(*TWO), answer(seen("a", signed=True), seen("b")), SIGNED)
        assert self.after(2.9, signed, answer(*TWO)).unconfirmed_since is None
        doubted = self.after(3, signed, answer(*TWO))
        assert doubted.unconfirmed_since
        assert [self.after(s, doubted, answer(*TWO)).round for s in (3.9, 4)] == [1, 2]

    def test_an_absent_signer_leaves_after_a_second(self):
        once = self.after(1, sent(*TWO), answer(TWO[0]))
        assert [states(self.after(s, once, answer(TWO[0])))[1] for s in (1.9, 2)] == ["invited", "removed"]

    def test_an_address_that_is_lacking_goes_after_two_seconds(self):
        said = answer(seen("a", mobile="", email="a@x.org"))
        first = self.after(1, sent(seen("a", email="a@x.org")), said)
        assert [bool(who(self.after(s, first, said), "a").mobile) for s in (2.9, 3)] == [True, False]
