"""When a request is read again without an event, and what is forgotten of it."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from shared.domain.model import (
    ChannelName,
    Event,
    EventType,
    Reminder,
    Request,
    Role,
    Signer,
    SignerState,
    Status,
    digest,
)
from shared.domain.policy import Policy
from shared.domain.recheck import (
    EVENTS_KEPT,
    announced,
    event_key,
    is_out,
    next_check_at,
    record_reading,
    sender_told,
    stub,
    unread,
)
from shared.domain.search import words_of
from tests.fakes import START

POLICY, OPENS = Policy(), Policy(opens_seen=True)
SECOND, MINUTE, HOUR, DAY = (timedelta(**{name: 1}) for name in ("seconds", "minutes", "hours", "days"))
ANN = Signer(number=1, state=SignerState.INVITED, request_url="u", channels=(ChannelName.SMS,))
OPEN = Request(id="r1", changed_at=START, signers={"ann": ANN})
EVENT = Event(event="e1", type=EventType.SIGNED, request="r1", received_at=START)


def ann(**fields) -> dict[str, dict[str, Signer]]:
    return {"signers": {"ann": replace(ANN, **fields)}}


def due(at) -> dict[str, dict[str, Signer]]:
    """With a reminder due then."""
    return ann(reminders={"3": Reminder(due_at=at, task="t")})


STEADY = [(0, 900), (1800, 900), (1802, 901), (86_400, 43_200), (172_798, 86_399), (9e6, 86_400)]
ENDING = [*STEADY[:-1], (604_799, 86_400), (604_800, None)]
WATCHED = [(0, 1200), (3600, 12_600), (22_000, 77_000), (250_000, 79_200), (259_199, 79_200), (259_200, 155_520)]


@pytest.mark.parametrize(
    ("policy", "fields", "waits"),
    [  # (age, seconds until the next recheck)
        (POLICY, {}, STEADY),
        (POLICY, {"status": Status.PAUSED}, STEADY),
        (OPENS, {"status": Status.PAUSED}, STEADY),
        (POLICY, {"status": Status.EXPIRED}, ENDING),
        (POLICY, {"status": Status.GONE}, ENDING),
        (POLICY, {"status": Status.GONE, "signers": {}}, [(0, None), (3600, None)]),
        (POLICY, {"status": Status.DISPUTED}, [(0, 3600), (9e6, 3600)]),
        (POLICY, {"status": Status.COMPLETE}, [(0, 1200), (1199, 1200), (1200, None)]),
        (POLICY, {"status": Status.DORMANT}, [(0, None)]),
        (OPENS, {}, WATCHED),
        (OPENS, ann(channels=()), STEADY),  # an address may be corrected without a sign
        (OPENS, ann(channels=(), state=SignerState.SIGNED), WATCHED),
        (POLICY, {"opened_at": START + HOUR}, [(7200, 1800), (3600, 900)]),
        (POLICY, {"opened_at": START - HOUR}, STEADY),
        # what one answer alone said
        (POLICY, {"unconfirmed_since": START}, [(0, 300), (9e6, 300)]),
        (POLICY, {"not_found_since": START}, [(9e6, 300)]),
        (POLICY, {"not_found_since": START, "status": Status.GONE}, [(0, 900)]),
        (POLICY, ann(missing_since=START), [(9e6, 300)]),
        (POLICY, ann(missing_since=START, state=SignerState.REMOVED), [(9e6, 86_400)]),
        # a completion that waits for its proof
        (POLICY, {"complete_heard_at": START}, [(0, 600), (100, 500), (550, 60), (700, 60)]),
        (POLICY, {"complete_heard_at": START, "status": Status.DISPUTED}, [(0, 3600)]),
        # a link that is missing
        (POLICY, ann(request_url=""), [(0, 60), (100, 160), (840, 900), (9e6, 900)]),
        (POLICY, ann(request_url="", role=Role.RECIPIENT), [(0, 900)]),
        (POLICY, ann(request_url="") | {"status": Status.PAUSED}, [(0, 900)]),
        # the status that was told last
        (POLICY, {"status_at": START, "checked_at": START}, [(9e6, 1200)]),
        (POLICY, {"status_at": START, "checked_at": START + SECOND}, [(9e6, 86_400)]),
        # a reminder that its task should have fired
        (POLICY, due(START + 300 * SECOND), [(0, 420), (400, 60), (420, 900)]),
        (POLICY, due(START + 300 * SECOND) | {"reminded_until": START + 300 * SECOND}, [(0, 900)]),
        (POLICY, due(START + 300 * SECOND) | {"status": Status.EXPIRED}, [(0, 420)]),
        (POLICY, due(START + 300 * SECOND) | {"status": Status.COMPLETE}, [(0, 1200)]),
        # personal data goes
        (POLICY, {"purge_at": START + DAY + HOUR, "status": Status.DORMANT}, [(0, 3600)]),
        # the longest waits are spread until the next reminder's own question, its grace included
        (OPENS, due(START + 5 * DAY - 120 * SECOND), [(172_800, 64_800), (250_000, 60_666.667)]),
        (OPENS, due(START + 3 * DAY - 120 * SECOND), [(172_800, 43_200), (180_000, 79_200)]),
        (OPENS, due(START + 5 * DAY - 120 * SECOND), [(3600, 12_600)]),
    ],
)
def test_the_next_recheck(policy, fields, waits):
    request = replace(OPEN, **fields)
    for age, wait in waits:
        at = next_check_at(request, None, START + age * SECOND, policy)
        found = None if at is None else (at - START).total_seconds() - age
        assert found == (wait if wait is None else pytest.approx(wait, abs=0.01)), age


def test_an_event_begins_the_waits_anew_and_is_told_once():
    told = replace(OPEN, status_at=START, checked_at=START)
    assert next_check_at(told, EVENT, START + DAY, POLICY) == START + DAY + 15 * MINUTE
    assert next_check_at(replace(OPEN, changed_at=None), None, START, POLICY) == START + 15 * MINUTE


@pytest.mark.parametrize(
    ("fields", "wait"),
    [
        ({}, 2),  # of 15 minutes, 0.6
        ({"unconfirmed_since": START}, 1),
        ({"complete_heard_at": START}, 2),
        (ann(request_url=""), 1),
        ({"status_at": START, "checked_at": START}, 2),
    ],
)
def test_on_a_short_day_a_recheck_leaves_time_for_what_it_waits_for(fields, wait):
    assert next_check_at(replace(OPEN, **fields), None, START, Policy(day=60.0)) == START + wait * SECOND


@pytest.mark.parametrize(
    ("fields", "wait"),
    [
        ({"next_at": START + DAY}, 1200),
        ({"next_at": START + MINUTE}, 60),
        ({"next_at": START + DAY, "opened_at": START - 1199 * SECOND}, None),
        ({"next_at": START + DAY, "opened_at": START - 1200 * SECOND}, 1200),
        ({"next_at": START + DAY, "status": Status.PAUSED}, None),
        ({"next_at": None}, None),
    ],
)
def test_what_announces_a_change_brings_the_recheck_forward_once_in_twenty_minutes(fields, wait):
    found = announced(replace(OPEN, **fields), START, POLICY)
    assert (found and (found.opened_at, found.next_at)) == (wait and (START, START + wait * SECOND))


@pytest.mark.parametrize(
    ("fields", "told"),
    [({}, True), ({"opened_at": START}, True), ({"status": Status.COMPLETE}, True), ({"forgotten": True}, False)],
)
def test_that_the_sender_was_told_is_kept_of_every_request_that_is_not_forgotten(fields, told):
    found = sender_told(replace(OPEN, next_at=START + DAY, **fields), START, POLICY)
    assert (found.unreached_at if found else None) == (START if told else None)


@pytest.mark.parametrize(("hours", "again"), [(23.9, True), (24, False)])
def test_an_ended_request_whose_recheck_fails_is_read_again_soon_for_a_day(hours, again):
    """What failed may have been to publish what follows from it."""
    changed = START + 10 * DAY
    ended = replace(OPEN, status=Status.COMPLETE, changed_at=changed, purge_at=changed + 90 * DAY, unread_since=changed)
    now = changed + hours * 60 * MINUTE
    assert (unread(ended, now, POLICY, 0).next_at < now + DAY) is again


@pytest.mark.parametrize(
    ("fields", "minutes", "after", "wait"),
    [  # minutes: since the first that got no answer
        ({}, None, 0, 300),
        ({}, 0, 0, 300),
        ({}, 20, 0, 600),
        ({}, 9 * 1440, 0, 86_400),
        ({}, 0, 1000, 1000),
        ({"status": Status.COMPLETE}, 0, 0, 300),
        ({"status": Status.COMPLETE}, 1440, 0, 43_200),
        ({"status": Status.DORMANT}, 0, 0, 300),
    ],
)
def test_what_gets_no_answer_is_asked_for_more_and_more_rarely(fields, minutes, after, wait):
    now = START + 10 * DAY
    since = None if minutes is None else now - minutes * MINUTE
    found = unread(replace(OPEN, changed_at=now, unread_since=since, **fields), now, POLICY, after)
    assert (found.unread_since, found.next_at) == (since or now, now + wait * SECOND)


@pytest.mark.parametrize("status", list(Status))
def test_a_request_without_news_falls_silent_and_what_has_ended_is_purged(status):
    """30 days past the last reminder."""
    for days, silent in ((44, False), (44.1, True)):
        silent = silent and status in (Status.OPEN, Status.PAUSED, Status.DISPUTED)
        now, before = START + days * DAY, replace(OPEN, status=status)
        for found in (record_reading(before, before, None, now, POLICY), unread(before, now, POLICY, 0)):
            assert found.status is (Status.DORMANT if silent else status)
            assert found.changed_at == START
        read = record_reading(before, before, None, now, POLICY)
        ended = silent or status in (Status.COMPLETE, Status.EXPIRED, Status.GONE, Status.DORMANT)
        assert (read.purge_at, read.checked_at, read.unread_since) == (now + 90 * DAY if ended else None, now, None)
        heard = record_reading(before, before, EVENT, now, POLICY)
        assert (heard.status, heard.changed_at) == (status, now)
    kept = replace(OPEN, status=Status.GONE, purge_at=START)
    assert record_reading(kept, kept, None, START + DAY, POLICY).purge_at == START


def test_an_event_is_known_for_a_month():
    heard = record_reading(OPEN, OPEN, EVENT, START, POLICY)
    assert (heard.events, heard.event_types) == ({event_key("e1"): START}, {event_key("e1"): EventType.SIGNED})
    for days, kept in ((31, 1), (31.1, 0)):
        read = record_reading(heard, heard, None, START + days * DAY, POLICY)
        assert (len(read.events), len(read.event_types)) == (kept, kept)
    many = {f"{n:04}": START + (n % 7) * SECOND for n in range(EVENTS_KEPT + 9)}
    left = record_reading(replace(OPEN, events=many), OPEN, EVENT, START + MINUTE, POLICY).events
    assert (len(left), event_key("e1") in left) == (EVENTS_KEPT, True)
    assert set(many) - set(left) == {f"{n:04}" for n in range(0, 70, 7)}


def test_a_stub_says_how_it_ended():
    ended = replace(OPEN, status=Status.COMPLETE, round=2, completed_at=START + HOUR, title="Lease", next_at=START)
    told = {"status": Status.COMPLETE, "round": 2, "completed_at": START + HOUR, "changed_at": START}
    assert stub(ended) == Request(id="r1", forgotten=True, **told)


def test_a_reminder_is_out_once_those_due_by_then_are():
    reminder = Reminder(due_at=START, task="t")
    out = [is_out(replace(OPEN, reminded_until=at), reminder) for at in (None, START - SECOND, START, START + SECOND)]
    assert out == [False, False, True, True]


def test_each_reading_stores_the_words_by_which_the_request_is_found():
    request = replace(OPEN, title="Lease", search=("old",))
    assert record_reading(request, OPEN, None, START, POLICY).search == words_of(request)


def test_a_reading_ends_the_time_without_an_answer_and_tells_a_new_status_at_its_own():
    told = record_reading(replace(OPEN, status=Status.PAUSED, unread_since=START), OPEN, None, START + HOUR, POLICY)
    assert (told.unread_since, told.status_at, told.status_sequence) == (None, START + HOUR, 1)


@pytest.mark.parametrize(("days", "status"), [((), Status.DORMANT), ((1,), Status.OPEN)])
def test_a_request_falls_silent_thirty_days_past_its_last_step(days, status):
    now = START + 30 * DAY + SECOND
    assert record_reading(OPEN, OPEN, None, now, Policy(reminder_days=days)).status is status


def test_the_key_of_an_event_is_no_longer_than_a_field_of_the_database_needs():
    assert event_key("any text/é") == digest("any text/é")[:24]
