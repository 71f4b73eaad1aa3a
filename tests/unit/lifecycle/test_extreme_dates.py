"""Dates in the API's answers that are too early or too late for any calendar."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from shared.adapters.clickwrap.payload import parse_time
from shared.domain.model import EventType, Request, SignerState, Status
from shared.domain.timeline import timeline
from tests.fakes import START, seen
from tests.simulated_time import DAY, Days

SENT, SIGNED, COMPLETE, EXPIRED = EventType


def invited(**said) -> Days:
    days = Days()
    days.says(seen("a"), seen("b"), **said)
    days.hear(SENT)
    return days


ODD = [
    datetime.min.replace(tzinfo=UTC),
    datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
    datetime.max.replace(tzinfo=UTC),
    datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))),
    datetime(9998, 12, 31, tzinfo=UTC),
    datetime(2, 1, 1, tzinfo=UTC),
    START + 400 * DAY,
]


class TestOddTimes:
    @pytest.mark.parametrize("kind", [SENT, SIGNED])
    @pytest.mark.parametrize("odd", ODD, ids=str)
    def test_of_creation_neither_crash_nor_shift_a_reminder_of_ours(self, odd, kind):
        days = Days()
        days.says(seen("a"), seen("b"), created_at=odd)
        days.hear(kind, "a" if kind is SIGNED else None)
        days.live(60 * DAY)
        assert {s.state for s in days.request().signers.values()} <= {SignerState.INVITED, SignerState.SIGNED}
        assert timeline(days.request(), days.ledger.records("r1"), days.now, days.policy)
        if kind is SENT:
            assert days.steps() == [3, 7, 14]

    def test_of_creation_in_the_future_count_as_now_for_an_adopted_request(self):
        days = Days()
        days.says(seen("a"), created_at=START + 400 * DAY)
        days.hear(EXPIRED)  # an event that is no invitation, and that the API denies
        days.live(20 * DAY)
        assert [m.kind for m in days.left] == ["reminder"] * 3

    @pytest.mark.parametrize("odd", ODD, ids=str)
    @pytest.mark.parametrize("status", [Status.OPEN, None])
    def test_of_expiry_do_not_crash(self, odd, status):
        days = invited(status=status, expires_at=odd)
        days.live(20 * DAY)
        expired = status is None and odd < days.now
        assert days.steps() == ([] if expired else [3, 7, 14])

    @pytest.mark.parametrize(
        "text",
        ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59-12:00"],
    )
    def test_that_stand_for_none_are_read_as_none(self, text):
        assert parse_time(text) is None

    @pytest.mark.parametrize(
        "text", ["0002-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2028-02-29T12:00:00Z", "9998-12-31"]
    )
    def test_that_are_only_far_away_are_read(self, text):
        assert parse_time(text) is not None

    def test_an_answer_of_nothing_but_odd_times_leaves_a_request_that_can_be_stored(self):
        days = invited(created_at=datetime.min.replace(tzinfo=UTC), expires_at=datetime.max.replace(tzinfo=UTC))
        assert days.ledger.all(Request)["r1"].status is Status.OPEN
