"""The days of the mail of the day: their length, when their mail is due, and what counts as of them."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from shared.domain import daily
from shared.domain.daily import day_of, due_at, outcome
from shared.domain.model import ChannelName, Kind, Request, Signer, SignerState, Status
from shared.domain.planner import copies
from shared.domain.policy import Policy
from shared.domain.search import sender_word, words_in, words_of

NEW_YORK, HOUR = Policy(), timedelta(hours=1)
NOON = datetime(2026, 3, 2, 17, tzinfo=UTC)
DAY = day_of(NOON, NEW_YORK)
SIGNED = Signer(number=1, state=SignerState.SIGNED, signed_at=NOON)
REQUEST = Request(id="r1", sender_email="Ann@acme.test", signers={"a": SIGNED, "b": Signer(number=2)})


@pytest.mark.parametrize(
    ("at", "begin", "hours"),
    [
        ("2026-03-02T04:59:59", "2026-03-01T05:00", 24),
        ("2026-03-02T05:00:00", "2026-03-02T05:00", 24),
        ("2026-03-08T12:00:00", "2026-03-08T05:00", 23),  # the clocks are put forward
        ("2026-11-01T12:00:00", "2026-11-01T04:00", 25),
    ],
)
def test_a_day_lasts_from_midnight_to_midnight_in_the_operators_zone(at, begin, hours):
    day = day_of(datetime.fromisoformat(at).replace(tzinfo=UTC), NEW_YORK)
    assert (day.begin.astimezone(UTC).isoformat()[:16], day.end.astimezone(UTC) - day.begin.astimezone(UTC)) == (
        begin,
        hours * HOUR,
    )


def test_a_shorter_day_follows_the_one_before_without_a_gap():
    policy = Policy(day=12.0)
    days = {day_of(NOON + timedelta(seconds=n), policy) for n in range(24)}
    (first, second) = sorted(days)[:2]
    assert first.end == second.begin == first.begin + timedelta(seconds=12)


@pytest.mark.parametrize(("window", "hours"), [(Policy().window, 8), (None, 0)])
def test_its_mail_is_due_when_the_send_window_opens_and_for_each_request_within_five_minutes(window, hours):
    policy = Policy(window=window)
    waits = {due_at(replace(REQUEST, id=f"r{n}"), DAY, policy) - DAY.end - hours * HOUR for n in range(50)}
    assert len(waits) == 50
    assert min(waits) >= timedelta(0)
    assert max(waits) < timedelta(seconds=daily.SPREAD)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "open"),
        ({"status": Status.PAUSED}, "open"),
        ({"status": Status.DISPUTED}, ""),
        ({"signers": {}, "met_at": NOON}, "open"),
        ({"signers": {}, "met_at": NOON, "adopted": True}, ""),
        ({"signers": {}, "met_at": DAY.end}, ""),
        ({"status": Status.COMPLETE, "completed_at": NOON}, "complete"),
        ({"status": Status.COMPLETE, "completed_at": DAY.end}, ""),
        ({"status": Status.COMPLETE}, ""),
        ({"status": Status.EXPIRED, "status_at": NOON, "status_sequence": 2}, "expired"),
        ({"status": Status.EXPIRED, "status_at": NOON, "status_sequence": 1}, ""),  # met so
        ({"status": Status.OPEN, "completed_at": NOON, "signers": {}}, ""),  # a new round
    ],
)
def test_what_a_request_counts_as(fields, expected):
    assert outcome(replace(REQUEST, **fields), DAY) == expected


def test_all_requests_of_a_sender_plan_the_same_mail_and_those_of_another_or_of_another_site_do_not():
    policy = Policy(sender_copies=frozenset({Kind.COPY_DAILY}))

    def planned(**fields):
        return {n.notice for n in copies(replace(REQUEST, **fields), NOON + HOUR, policy)}

    assert planned() == planned(id="r2", round=3, sender_email=" ann@ACME.test") != set()
    assert len(planned() | planned(site="b") | planned(sender_email="bob@acme.test")) == 3
    (later,) = copies(REQUEST, NOON + 47 * HOUR, policy)
    assert {later.notice} == planned()
    assert [*copies(REQUEST, NOON + 48 * HOUR, policy)] == []
    without = replace(policy, available=frozenset({ChannelName.SMS}))
    assert [*copies(REQUEST, NOON, without)] == []


def test_a_sender_is_found_by_one_word_that_nobody_can_type_for_another():
    word = sender_word("", "ann@acme.test")
    assert words_of(REQUEST)[0] == word
    assert word not in words_of(replace(REQUEST, sender_email="", title=word))
    assert words_in("Sender") == ("sender",)
    assert "sender" not in words_of(REQUEST)
