"""The table of forged events holds: what signers hear, what it costs, whom it silences, which alert is raised."""

from datetime import timedelta

import pytest

from shared.domain.model import EventType, SignerState, Status
from tests.fakes import START, World, answer, seen
from tests.merge_steps import COMPLETE, EXPIRED, SENT, SIGNED, SILENT, later, sent, states
from tests.security.forged_events import APIS, FORGED, STATES, row

# of the API for each forged event, within a day
MOST_CALLS = {"made up": 7, "never met": 40, "adopted": 40, "open": 33, "complete": 1, "never met, complete": 11}
SAYING = ("full", "new")
# Everything that a holder of the token can make a signer hear. All other rows: nothing.
HEARD = {
    **{
        ("sent", "never met", api): ("invitation",) for api in APIS
    },  # it is open, and this service might have missed it
    ("sent", "never met, complete", "silent"): ("invitation",),  # the API does not say that it is complete
    # where the API does not say, there is no other source
    **{(e, s, "silent"): ("progress",) for e in ("signed", "all signed") for s in ("adopted", "open")},
    ("complete", "open", "silent"): ("completion",),  # after ten minutes, with an alert
    **{("all signed, complete", s, "silent"): ("completion", "progress") for s in ("adopted", "open")},
    ("all signed, complete", "never met", "silent"): ("completion",),
    **{("all signed, complete", "never met, complete", api): ("completion",) for api in APIS},  # which is true
}
# Whose reminders stop: where the API says, only until it first shows a signature of the account.
SILENCED = {
    **{("signed", s, api): ("a",) for s in ("adopted", "open") for api in ("new", "silent")},
    **{
        (e, s, api): ("a", "b")
        for e in ("all signed", "all signed, complete")
        for s in ("adopted", "open")
        for api in ("new", "silent")
    },
    **{(e, s, "silent"): ("a", "b") for e in ("complete", "expired") for s in ("adopted", "open")},
}
# Every alert, and no other: where no row stands here, none is raised.
UNMET = ("never met", "adopted", "open")
ALERTS: dict[tuple[str, str, str], tuple[str, ...]] = {
    **{(e, "made up", api): ("absent",) for e in FORGED for api in APIS},
    **{(e, "never met, complete", api): ("unheard",) for e in FORGED for api in SAYING},
    **{("signed, unknown id", s, api): ("unmatched",) for s in STATES[1:] for api in APIS},
    **{("signed, unknown id", "never met, complete", api): ("unheard", "unmatched") for api in SAYING},
    **{("complete", s, api): ("disputed",) for s in UNMET for api in SAYING},
    **{("complete", s, "silent"): ("unheard",) for s in ("never met", "adopted", "never met, complete")},
    **{(e, s, api): ("believed",) for e in ("signed", "all signed") for s in UNMET for api in SAYING},
    **{("all signed, complete", s, api): ("believed", "disputed") for s in UNMET for api in SAYING},
    **{("sent", "adopted", api): ("late_sent",) for api in APIS},
    ("complete", "open", "silent"): ("unproven",),
    **{("expired", s, api): ("expired_denied",) for s in UNMET for api in SAYING},
    **{("expired", s, "silent"): ("expired_unproven",) for s in (*UNMET, "never met, complete")},
}


@pytest.mark.parametrize("key", [(e, s, a) for e in FORGED for s in STATES for a in APIS], ids="-".join)
def test_a_forged_event_does_no_more_than_the_table_says(key: tuple[str, str, str]) -> None:
    found = row(*key)
    assert found.told == HEARD.get(key, ())
    assert found.calls <= MOST_CALLS[found.state] * len(FORGED[found.event])
    assert found.silenced == SILENCED.get(key, ())
    assert found.alerts == ALERTS.get(key, ())


def test_a_sent_of_a_request_adopted_long_ago_invites_nobody() -> None:
    assert row("sent", "adopted", "silent").told == ()


class TestACompleteWhereTheApiIsSilent:
    """The guide's own flow: sent, signed, complete from webhooks, in any order."""

    def test_is_believed_at_once_with_a_signed_of_every_signer(self) -> None:
        state = later(sent(*SILENT), SILENT_ANSWER, SIGNED, "a").request
        merged = later(later(state, SILENT_ANSWER, SIGNED, "b").request, SILENT_ANSWER, COMPLETE)
        assert (merged.request.status, merged.alerts) == (Status.COMPLETE, ())
        assert merged.request.completed_at

    def test_is_believed_with_the_last_signed_that_comes_after_it(self) -> None:
        state = later(sent(*SILENT), SILENT_ANSWER, SIGNED, "a").request
        waiting = later(state, SILENT_ANSWER, COMPLETE).request
        assert waiting.status is Status.OPEN
        merged = later(waiting, SILENT_ANSWER, SIGNED, "b")
        assert (merged.request.status, merged.alerts) == (Status.COMPLETE, ())
        assert merged.request.completed_at

    def test_counts_signers_whom_the_api_does_not_name(self) -> None:
        state = later(sent(*SILENT), SILENT_ANSWER, SIGNED, "customer-1").request
        state = later(state, SILENT_ANSWER, SIGNED, "customer-2").request
        assert later(state, SILENT_ANSWER, COMPLETE).request.status is Status.COMPLETE

    def test_waits_ten_minutes_without_them_and_raises_an_alert(self) -> None:
        waiting = later(sent(*SILENT), SILENT_ANSWER, COMPLETE, minutes=1)
        assert (waiting.request.status, waiting.alerts) == (Status.OPEN, ())
        assert waiting.request.next_at == START + timedelta(minutes=11)
        assert later(waiting.request, SILENT_ANSWER, minutes=10).request.status is Status.OPEN
        merged = later(waiting.request, SILENT_ANSWER, minutes=11)
        assert (merged.request.status, merged.alerts[0].split(":")[0]) == (Status.COMPLETE, "unproven")
        assert set(states(merged.request)) == {"signed"}

    def test_is_dropped_when_the_api_denies_it_meanwhile(self) -> None:
        waiting = later(sent(*SILENT), SILENT_ANSWER, COMPLETE).request
        merged = later(waiting, answer(seen("a"), seen("b")), minutes=12)
        assert (merged.request.status, merged.alerts[0].split(":")[0]) == (Status.OPEN, "disputed")
        assert merged.request.complete_heard_at is None

    def test_lets_nobody_be_invited_while_it_waits(self) -> None:
        waiting = later(None, SILENT_ANSWER, COMPLETE).request
        assert states(later(waiting, SILENT_ANSWER, SENT, minutes=2).request) == ["waiting", "waiting"]


SILENT_ANSWER = answer(*SILENT, status=None)


class TestWhereTheApiUsuallySpeaks:
    """Its silence is no agreement."""

    @pytest.fixture
    def world(self) -> World:
        world = World()
        for n in range(20):
            world.says(seen("a"), seen("b"))
            world.hear(SENT, key=f"{n}")
        world.says(*SILENT, status=None)
        return world

    @pytest.mark.parametrize(
        ("kind", "who"), [(COMPLETE, None), (SIGNED, "a"), (EXPIRED, None)], ids=["complete", "signed", "expired"]
    )
    def test_a_webhook_alone_is_held_with_an_alert(
        self, world: World, caplog: pytest.LogCaptureFixture, kind: EventType, who: str | None
    ) -> None:
        told = world.told()
        world.hear(kind, who)
        world.advance(timedelta(hours=1))
        assert world.told() == told
        assert "signed" not in states(world.request())
        assert "held: " in caplog.text

    def test_what_is_held_is_told_once_the_api_agrees(self, world: World) -> None:
        world.hear(COMPLETE)
        world.advance(timedelta(hours=1))
        assert world.request().status is Status.DISPUTED
        world.says(*[seen(n, signed=True) for n in "ab"], status=Status.COMPLETE)
        world.advance(timedelta(hours=2), reconcile=True)
        assert ("completion", "a", 0) in world.told()


class TestASignedThatTheApiDenies:
    """It stops that signer's reminders, and says nothing to anybody."""

    @pytest.fixture
    def world(self) -> World:
        world = World()
        world.says(seen("a"), seen("b"))
        world.hear(SENT)
        world.hear(SIGNED, "a")
        world.advance(timedelta(minutes=10))
        assert world.request().signers[world.signer("a")].state is SignerState.SIGNED
        return world

    def test_is_told_to_nobody_and_falls_once_the_api_shows_anothers(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        world.hear(SIGNED, "a", key="once more")
        world.advance(timedelta(hours=1), reconcile=True)
        assert "progress" not in {kind for kind, _, _ in world.told()}
        world.says(seen("a"), seen("b", signed=True))
        world.advance(timedelta(days=8), reconcile=True)
        assert ("progress", "b", 1) not in world.told()
        assert ("reminder", "a", 3) in world.told()
        assert "refuted: " in caplog.text

    def test_is_told_once_the_api_agrees(self, world: World) -> None:
        world.says(seen("a", signed=True), seen("b"))
        world.advance(timedelta(hours=1), reconcile=True)
        assert ("progress", "b", 1) in world.told()

    def test_is_nobodys_turn_to_sign(self) -> None:
        ordered = answer(seen("a", order=1), seen("b", order=2), ordered=True)
        state = later(None, ordered, SENT).request
        assert states(later(state, ordered, SIGNED, "a", minutes=9, age=300).request) == ["signed", "waiting"]


def test_a_request_met_when_complete_is_told_with_its_second_webhook_only() -> None:
    done = answer(seen("a", signed=True), status=Status.COMPLETE)
    met = later(None, done, COMPLETE)
    assert met.request.completed_at is None
    assert later(met.request, done, COMPLETE, minutes=2).request.completed_at is None
    assert later(met.request, done, SIGNED, "a", minutes=2).request.completed_at
    assert later(met.request, done, SIGNED, "a", minutes=60 * 26).request.completed_at is None
