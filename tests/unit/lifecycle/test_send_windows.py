"""Reminders over weeks that hold a change of the clocks, a leap day, a narrow window: each inside its signer's day."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from shared.domain.model import EventType, Signer
from shared.domain.policy import Policy, into_window
from shared.domain.signing_order import steps
from tests.fakes import seen
from tests.simulated_time import DAY, HOUR, Days

SENT = EventType.SENT
NEW_YORK, LONDON, SYDNEY, SANTIAGO, KATHMANDU = (
    ("+13174037298", "America/New_York"),
    ("+442079460958", "Europe/London"),
    ("+61291234567", "Australia/Sydney"),
    ("+56221234567", "America/Santiago"),
    ("+9779841234567", "Asia/Kathmandu"),
)
NOBODYS = ("+18005550123", "America/New_York")  # a toll-free number is at home nowhere: the configured zone


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def invited(at: str, mobile: str = NEW_YORK[0], policy: Policy | None = None) -> Days:
    days = Days(policy, utc(at))
    days.says(seen("a", mobile=mobile))
    days.hear(SENT)
    return days


def local(days: Days, zone: str) -> list[str]:
    """When the reminders left, in the signer's own time."""
    return [f"{m.at.astimezone(ZoneInfo(zone)):%m-%d %H:%M}" for m in days.reminders()]


@pytest.mark.parametrize(
    ("phone", "sent_at", "reminders"),
    [
        (NEW_YORK, "2026-03-05T15:00", ["03-08 11:00", "03-12 11:00", "03-19 11:00"]),  # forward on 8 March
        (NEW_YORK, "2026-03-05T01:30", ["03-07 20:30", "03-12 08:00", "03-19 08:00"]),
        (NEW_YORK, "2026-10-29T15:00", ["11-01 10:00", "11-05 10:00", "11-12 10:00"]),  # back on 1 November
        (NEW_YORK, "2026-10-29T00:30", ["10-31 20:30", "11-04 19:30", "11-11 19:30"]),
        (LONDON, "2026-03-26T10:00", ["03-29 11:00", "04-02 11:00", "04-09 11:00"]),  # forward on 29 March
        (LONDON, "2026-10-22T10:00", ["10-25 10:00", "10-29 10:00", "11-05 10:00"]),  # back on 25 October
        (SYDNEY, "2026-10-01T00:00", ["10-04 11:00", "10-08 11:00", "10-15 11:00"]),  # forward on 4 October
        (SYDNEY, "2026-04-02T00:00", ["04-05 10:00", "04-09 10:00", "04-16 10:00"]),  # back on 5 April
        (SANTIAGO, "2026-09-03T14:00", ["09-06 11:00", "09-10 11:00", "09-17 11:00"]),  # forward at midnight
        (KATHMANDU, "2026-03-02T22:00", ["03-06 08:00", "03-10 08:00", "03-17 08:00"]),  # a quarter of an hour off
        (NOBODYS, "2026-03-05T15:00", ["03-08 11:00", "03-12 11:00", "03-19 11:00"]),
    ],
)
def test_reminders_keep_to_the_signers_day_over_a_change_of_the_clocks(phone, sent_at, reminders):
    mobile, zone = phone
    days = invited(sent_at, mobile)
    days.live(20 * DAY)
    assert local(days, zone) == reminders


def test_a_step_due_in_the_hour_that_does_not_exist_waits_for_the_morning():
    days = invited("2026-03-05T07:30")  # 2:30 in New York; three days on, the clocks skip from 2 to 3
    days.live(4 * DAY)
    assert local(days, "America/New_York") == ["03-08 08:00"]
    assert days.reminders()[0].at == utc("2026-03-08T12:00")


def test_a_step_due_in_the_hour_that_comes_twice_waits_for_the_morning():
    for first_or_second in ("05:30", "06:30"):
        days = invited(f"2026-10-29T{first_or_second}")
        days.live(4 * DAY)
        assert local(days, "America/New_York") == ["11-01 08:00"]


@pytest.mark.parametrize(
    ("sent_at", "left"),
    [
        ("2026-02-02T12:59", "02-05 08:00"),
        ("2026-02-02T13:00", "02-05 08:00"),
        ("2026-02-03T01:59", "02-05 20:59"),
        ("2026-02-03T02:00", "02-06 08:00"),
    ],
)
def test_the_window_opens_at_its_first_minute_and_is_closed_at_its_last(sent_at, left):
    days = invited(sent_at)
    days.live(4 * DAY)
    assert local(days, "America/New_York") == [left]


def test_a_leap_day_is_a_day():
    days = invited("2028-02-26T15:00")
    days.live(20 * DAY)
    assert local(days, "America/New_York") == ["02-29 10:00", "03-04 10:00", "03-11 10:00"]


def test_an_email_signer_is_reminded_in_the_configured_zone():
    days = Days(Policy(timezone="Europe/London"), utc("2026-06-01T22:00"))
    days.says(seen("a", mobile="", email="a@example.com"))
    days.hear(SENT)
    days.live(4 * DAY)
    assert local(days, "Europe/London") == ["06-05 08:00"]


def test_signers_of_one_request_each_keep_to_their_own_day():
    days = Days(start=utc("2026-06-01T23:00"))
    days.says(seen("a", mobile=LONDON[0]), seen("b", mobile=SYDNEY[0]))
    days.hear(SENT)
    days.live(4 * DAY)
    assert local(days, "Europe/London") == ["06-05 08:00"]
    assert [f"{m.at.astimezone(ZoneInfo('Australia/Sydney')):%m-%d %H:%M}" for m in days.reminders("b")] == [
        "06-05 09:00"
    ]


def test_an_invitation_leaves_at_any_hour():
    days = invited("2026-03-02T08:00")  # three in the morning
    assert [(m.kind, m.at) for m in days.left] == [("invitation", utc("2026-03-02T08:00"))]


WINDOWS = [
    (time(8), time(21)),
    (time(2), time(3)),
    (time(2, 15), time(2, 45)),
    (time(0), time(1)),
    (time(23), time(23, 59)),
]


@pytest.mark.parametrize("window", WINDOWS, ids=lambda w: f"{w[0]:%H%M}-{w[1]:%H%M}")
@pytest.mark.parametrize("phone", [NEW_YORK, LONDON, SYDNEY, SANTIAGO], ids=lambda p: p[1])
def test_what_is_moved_lands_inside_the_window_even_where_a_day_lacks_it(window, phone):
    """At all hours of a year."""
    policy, (mobile, zone) = Policy(window=window), phone
    opens, closes = window
    at = utc("2026-01-01T00:00")
    while at < utc("2027-01-01T00:00"):
        moved = into_window(at, mobile, policy)
        assert at <= moved <= at + 2 * DAY
        assert opens <= moved.astimezone(ZoneInfo(zone)).time() < closes
        at += timedelta(hours=5, minutes=45)


@pytest.mark.parametrize(
    ("closes", "spread", "between"),
    [
        (time(21), 0, ("08:00:00", "08:00:00")),
        (time(21), 90, ("08:00:01", "09:30:00")),
        (time(8, 5), 90, ("08:00:00", "08:05:00")),  # where the window is too short for their share, at its opening
    ],
)
def test_the_reminders_of_a_night_are_spread_by_request_and_those_of_the_day_keep_their_time(closes, spread, between):
    policy = Policy(window=(time(8), closes), spread=timedelta(minutes=spread))
    nights, noon = utc("2026-06-02T04:00"), utc("2026-06-02T12:03")
    signer = Signer(number=1, invited_at=nights, mobile=NEW_YORK[0])
    due = [steps(f"r{n}", signer, policy)[3].astimezone(ZoneInfo("America/New_York")) for n in range(100)]
    assert between[0] <= f"{min(due):%H:%M:%S}" <= f"{max(due):%H:%M:%S}" <= between[1]
    assert len(set(due)) > (90 if between[0] > "08:00:00" else 0)
    assert steps("r1", replace(signer, invited_at=noon), policy)[3] == noon + 3 * DAY


def test_two_steps_that_meet_send_only_the_later_one():
    """A five-minute window missed the day before, and a day of 23 hours: the earlier step is not too old yet."""
    policy = Policy(window=(time(8), time(8, 5)), reminder_days=(3, 4))
    days = invited("2026-03-04T12:00", policy=policy)
    days.live_until(utc("2026-03-07T12:59"))
    days.reconciling, days.queue_late = False, HOUR
    days.live_until(utc("2026-03-08T11:59"))
    days.reconciling, days.queue_late = True, timedelta()
    days.live(DAY)
    assert days.steps() == [4]


def test_every_zone_that_a_number_may_name_is_known_here():
    from phonenumbers.tzdata import TIMEZONE_DATA

    zones = {zone for zones in TIMEZONE_DATA.values() for zone in zones} - {"Etc/Unknown"}
    assert len(zones) > 200
    assert not [zone for zone in zones if ZoneInfo(zone).key != zone]
