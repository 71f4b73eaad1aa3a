"""Which signer an event or answer means, the signing order, and when a new round begins."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from shared.domain.model import ApiSigner, Request, Role, Signer, SignerState, Status
from shared.domain.signing_order import is_due
from tests.fakes import START, answer, seen
from tests.merge_steps import COMPLETE, SENT, SIGNED, SILENT, TWO, later, sent, states, who


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
        rechecked = later(met, complete, minutes=2).request
        assert rechecked.completed_at is None
        heard = later(rechecked, complete, COMPLETE, minutes=3).request
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
        unconfirmed = later(self.signed(), answer(*TWO), minutes=20).request
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

    def test_a_request_sent_settles_a_doubt_at_once(self):
        unconfirmed = later(self.signed(), answer(*TWO), minutes=20).request
        assert later(unconfirmed, answer(*TWO), SENT, minutes=21).request.round == 2

    def test_an_agreeing_answer_ends_the_doubt(self):
        unconfirmed = later(self.signed(), answer(*TWO), minutes=20).request
        assert (
            later(unconfirmed, answer(seen("a", signed=True), seen("b")), minutes=25).request.unconfirmed_since is None
        )

    def test_a_young_or_unconfirmed_signature_is_not_doubted(self):
        assert later(self.signed(), answer(*TWO), minutes=10.9).request.unconfirmed_since is None
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

    def test_any_shared_id_is_the_same_person(self):
        request = sent(ApiSigner(ids=("7", "a@x.org"), request_url="u"))
        after = later(request, answer(ApiSigner(ids=("new", "a@x.org"), request_url="u"))).request
        assert len(after.signers) == 1
        assert who(after, "new").aliases == ("7", "a@x.org", "new")

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
        rechecked = later(sent(*TWO), half).request
        request = later(rechecked, half, SIGNED, "?", minutes=30, age=900).request
        assert states(request) == ["signed", "invited"]
