"""Send windows over zones and the changes of daylight saving, and spans of a shortened day."""

from datetime import UTC, datetime, time, timedelta

import pytest

from shared.domain.policy import Policy, into_window, spread_in_window, zone_of

POLICY = Policy()
INDIANA, LOS_ANGELES, LONDON = "+13174037298", "+12135550123", "+442079460958"
TOLL_FREE, ANYWHERE = "+18005550123", "+80012345678"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("mobile", "at", "moved"),
    [
        ("", "2026-03-02T15:00", "2026-03-02T15:00"),  # 10:00 in New York
        ("", "2026-03-02T12:59", "2026-03-02T13:00"),  # before eight: the same day
        ("", "2026-03-03T02:00", "2026-03-03T13:00"),  # 21:00 sharp is closed
        ("", "2026-03-03T01:59", "2026-03-03T01:59"),
        (LOS_ANGELES, "2026-03-02T15:00", "2026-03-02T16:00"),  # 7:00 there
        (LONDON, "2026-03-02T21:30", "2026-03-03T08:00"),
        (TOLL_FREE, "2026-03-02T12:00", "2026-03-02T13:00"),  # names no one zone: the configured one
        (ANYWHERE, "2026-03-02T12:00", "2026-03-02T13:00"),  # names none
        ("", "2026-03-08T02:30", "2026-03-08T12:00"),  # the night the clocks go forward: eight is UTC-4
        ("", "2026-11-01T02:30", "2026-11-01T13:00"),  # the night they go back: eight is UTC-5
    ],
)
def test_a_time_is_moved_into_the_signers_own_day(mobile, at, moved):
    found = into_window(utc(at), mobile, POLICY)
    assert found == utc(moved)
    assert found.tzinfo is UTC


def test_without_a_window_any_hour_will_do():
    assert into_window(utc("2026-03-02T08:00"), "", Policy(window=None)) == utc("2026-03-02T08:00")


@pytest.mark.parametrize(
    ("mobile", "at", "window", "moved"),
    [
        ("", "2026-03-02T15:00", (8, 21), "2026-03-02T15:00"),  # inside: as it is
        ("", "2026-03-02T12:00", (8, 21), "2026-03-02T14:30"),  # half of three hours after the opening
        ("", "2026-03-02T12:00", (8, 10), "2026-03-02T14:00"),  # half of the window
        ("", "2026-03-02T12:00", (8, 9), "2026-03-02T13:30"),
        (LOS_ANGELES, "2026-03-02T15:30", (8, 21), "2026-03-02T17:30"),
        (LOS_ANGELES, "2026-03-02T15:30", (8, 10), "2026-03-02T17:00"),  # over in New York by then
        (LOS_ANGELES, "2026-03-02T23:30", (8, 15), "2026-03-03T17:30"),
    ],
)
def test_what_waits_for_the_opening_is_spread_over_the_time_after_it(mobile, at, window, moved):
    policy = Policy(window=(time(window[0]), time(window[1])), spread=timedelta(hours=3))
    assert spread_in_window([utc(at)], 0.5, mobile, policy) == [utc(moved)]


def test_a_spread_longer_than_the_window_is_one_over_the_window():
    """Else most would leave at its opening after all."""
    policy = Policy(window=(time(8), time(9)), spread=timedelta(hours=24))
    shares = [n / 100 for n in range(100)]
    moved = [spread_in_window([utc("2026-03-02T04:00")], share, "", policy)[0] for share in shares]
    assert moved == [utc("2026-03-02T13:00") + timedelta(hours=share) for share in shares]


def test_what_was_moved_is_inside_and_stays():
    policy = Policy(window=(time(8), time(9)))
    for hours in range(0, 24 * 365, 7):
        moved = into_window(utc("2026-01-01T00:00") + timedelta(hours=hours), INDIANA, policy)
        assert into_window(moved, INDIANA, policy) == moved
        assert moved.astimezone(zone_of(INDIANA, policy)).hour == 8


def test_a_short_day_shrinks_spans_but_not_below_what_they_must_outlast():
    short = Policy(day=60)
    assert short.span(86_400) == timedelta(seconds=60)
    assert short.span(90) == timedelta(seconds=0.0625)
    assert short.span(90, floor=30) == timedelta(seconds=30)
    assert short.span(20, floor=30) == timedelta(seconds=20)
    assert POLICY.span(90, floor=30) == timedelta(seconds=90)
    assert short.days(3) == timedelta(minutes=3)
