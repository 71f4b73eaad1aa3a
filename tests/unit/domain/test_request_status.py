"""A Complete or an Expired where the API is silent: when each is believed, and what is told of it."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from shared.domain import trust
from shared.domain.errors import RetryLater
from shared.domain.merge import MergeResult, merge
from shared.domain.model import AccountAnswers, ApiRequest, Request, SignerState, Status
from shared.domain.request_status import DISPUTED
from tests.fakes import START, answer
from tests.merge_steps import COMPLETE, EXPIRED, POLICY, SENT, SIGNED, SILENT, TWO, event, later, sent

MUTE = answer(*SILENT, status=None)
USUALLY = AccountAnswers(read=20, status=1.0)
DAY = 24 * 60


def spoken(stored: Request, said: ApiRequest, kind, *, age: float = 0) -> MergeResult:
    """Of an account whose API usually says how a request stands."""
    now = START + timedelta(minutes=30)
    return merge(stored, said, kind and event(kind, age=age, at=now), now, POLICY, USUALLY)


class TestExpired:
    def test_is_believed_with_one_alert(self):
        expired = later(sent(*SILENT), MUTE, EXPIRED)
        again = later(expired.request, MUTE, EXPIRED, minutes=2)
        assert [expired.request.status, again.request.status] == [Status.EXPIRED] * 2
        assert [expired.alerts, again.alerts] == [(trust.ALERT_EXPIRED,), ()]

    @pytest.mark.parametrize(
        ("before", "after"), [("open", "open"), ("paused", "paused"), ("gone", "open"), ("dormant", "open")]
    )
    def test_is_held_where_the_api_usually_says_so(self, before, after):
        held = spoken(replace(sent(*SILENT), status=Status(before)), MUTE, EXPIRED)
        assert (held.request.status, held.alerts) == (after, (trust.ALERT_HELD,))


class TestComplete:
    def test_is_held_with_its_own_alert_where_the_api_usually_says_so(self):
        with pytest.raises(RetryLater):
            spoken(sent(*SILENT), MUTE, COMPLETE, age=599)
        held = spoken(sent(*SILENT), MUTE, COMPLETE, age=600)
        assert (held.request.status, held.alerts) == (Status.DISPUTED, (trust.ALERT_HELD,))

    @pytest.mark.parametrize(("before", "after"), [("paused", "paused"), ("gone", "open"), ("dormant", "open")])
    def test_waits_for_its_proof_and_the_request_stays_as_it_was(self, before, after):
        waiting = later(replace(sent(*SILENT), status=Status(before)), MUTE, COMPLETE)
        assert (waiting.request.status, waiting.alerts) == (after, ())
        assert waiting.request.complete_heard_at == START + timedelta(minutes=1)

    @pytest.mark.parametrize("denial", [answer(*SILENT), answer(*TWO, status=None)])
    @pytest.mark.parametrize(("minutes", "alerts"), [(10.9, ()), (11, (DISPUTED,))])
    def test_is_dropped_once_the_api_denies_it_with_an_alert_after_ten_minutes(self, denial, minutes, alerts):
        waiting = later(sent(*SILENT), MUTE, COMPLETE).request
        denied = later(waiting, denial, minutes=minutes)
        assert (denied.request.status, denied.request.complete_heard_at) == (Status.OPEN, None)
        assert denied.alerts == alerts

    def test_is_believed_without_proof_after_ten_minutes_with_an_alert_and_no_news_of_signatures(self):
        held = later(sent(*SILENT), MUTE, SIGNED, "?").request
        waiting = later(held, MUTE, COMPLETE).request
        assert later(waiting, MUTE, minutes=10.9).request.status is Status.OPEN
        done = later(waiting, MUTE, minutes=11)
        assert (done.request.status, done.alerts) == (Status.COMPLETE, (trust.ALERT_UNPROVEN,))
        assert (done.request.completed_at, done.request.complete_heard_at) == (START + timedelta(minutes=11), None)
        assert done.request.unmatched == ()
        assert [(s.state, s.signed_at) for s in done.request.signers.values()] == [(SignerState.SIGNED, None)] * 2

    def test_with_every_signature_heard_is_believed_at_once_and_silently(self):
        both = later(later(sent(*SILENT), MUTE, SIGNED, "a").request, MUTE, SIGNED, "b").request
        done = later(both, MUTE, COMPLETE, minutes=2)
        assert (done.request.status, done.alerts) == (Status.COMPLETE, ())

    def test_with_signatures_from_before_is_believed_with_an_alert_and_told_to_nobody(self):
        met = later(None, answer(*[replace(s, signed=True) for s in TWO], status=Status.OPEN)).request
        done = later(met, MUTE, COMPLETE, minutes=2)
        assert (done.request.status, done.alerts) == (Status.COMPLETE, (trust.ALERT_UNHEARD,))
        assert (done.request.completed_at, done.request.met_complete_by) == (None, COMPLETE)

    @pytest.mark.parametrize(("hours", "news"), [(24, True), (26, False)])
    def test_of_a_request_met_complete_is_news_for_as_long_as_webhooks_are_repeated(self, hours, news):
        met = later(None, answer(*TWO, status=Status.COMPLETE)).request
        heard = later(met, answer(*TWO, status=Status.COMPLETE), COMPLETE, minutes=hours * 60).request
        assert (met.completed_at, heard.completed_at is not None) == (None, news)


def test_a_dispute_lasts_a_day_from_its_own_webhook_and_no_other():
    disputed = later(sent(*TWO), answer(*TWO), COMPLETE, minutes=12, age=600).request
    assert later(disputed, answer(*TWO), minutes=DAY + 11.9).request.status is Status.DISPUTED
    young = later(replace(disputed, status=Status.DISPUTED), answer(*TWO), SENT, minutes=DAY).request
    assert later(replace(young, status=Status.DISPUTED), answer(*TWO), minutes=DAY + 12).request.status is Status.OPEN


def test_a_completion_is_news_with_any_event_or_after_a_dispute_and_else_of_no_request_that_was_not_followed():
    adopted = later(None, answer(*TWO)).request
    done = answer(*[replace(s, signed=True) for s in TWO], status=Status.COMPLETE)
    disputed = replace(adopted, status=Status.DISPUTED)
    merged = [later(adopted, done, SIGNED, "a"), later(adopted, done), later(disputed, done)]
    assert [bool(m.request.completed_at) for m in merged] == [True, False, True]


def test_a_request_that_is_complete_when_its_first_webhook_comes_raises_an_alert():
    assert later(None, answer(*TWO, status=Status.COMPLETE), SENT).alerts == (trust.ALERT_UNHEARD,)
