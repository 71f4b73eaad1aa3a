"""The notices and tasks that a state implies, and which of them are not yet begun."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from shared.domain import planner
from shared.domain.merge import merge
from shared.domain.model import (
    ChannelName,
    Event,
    EventType,
    Kind,
    Notice,
    NoticeRecord,
    NoticeState,
    Request,
    Role,
    Signer,
    SignerState,
    Status,
    Transition,
    digest,
)
from shared.domain.policy import Policy
from shared.domain.signing_order import ahead
from tests.fakes import PHONES, START, answer, seen

POLICY = Policy()
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


def state(*signers, policy: Policy = POLICY, **fields) -> Request:
    event = Event(event="1", type=EventType.SENT, request="r1", received_at=START)
    return merge(None, answer(*signers, **fields), event, START, policy).request


def signed(request: Request, number: int, at=START + MINUTE) -> Request:
    signers = {
        k: replace(s, state=SignerState.SIGNED, signed_at=at) if s.number == number else s
        for k, s in request.signers.items()
    }
    return replace(request, signers=signers)


def planned(request: Request, now=START, policy: Policy = POLICY) -> list[tuple[str, int, int, str]]:
    """(kind, number of the signer, step, channel)."""
    found = planner.notices(request, now, policy).values()
    return sorted(
        (n.kind.value, request.signers[n.signer].number, n.reminder_day or n.about, n.channel.value) for n in found
    )


TWO = (seen("a"), seen("b"))


def test_an_open_request_implies_an_invitation_for_each_signer_on_each_channel():
    request = state(seen("a", email="a@x.org"), seen("b"))
    assert planned(request) == [
        ("invitation", 1, 0, "email"),
        ("invitation", 1, 0, "sms"),
        ("invitation", 2, 0, "sms"),
    ]


def test_one_whom_no_channel_reaches_is_planned_on_none():
    assert planned(state(seen("z"))) == [("invitation", 1, 0, "none")]


def test_an_invitation_is_no_longer_implied_after_seven_days():
    assert planned(replace(state(*TWO, policy=Policy(reminder_days=(30,)))), START + 7 * DAY) == []


@pytest.mark.parametrize("status", [Status.EXPIRED, Status.GONE, Status.DORMANT, Status.DISPUTED])
def test_a_request_that_is_not_under_way_implies_no_notice_and_keeps_its_tasks(status):
    request = replace(state(*TWO), status=status)
    assert planned(request) == []
    assert len(planner.tasks(request, START, POLICY)) == 6


@pytest.mark.parametrize(
    ("kind", "step", "due", "useful"),
    [
        (Kind.INVITATION, 0, START, 7 * DAY),
        (Kind.REMINDER, 3, START + 3 * DAY, 4 * DAY),
        (Kind.REMINDER, 7, START + 7 * DAY, 7 * DAY),
        (Kind.REMINDER, 14, START + 14 * DAY, 7 * DAY),
        (Kind.PROGRESS, 1, START + MINUTE, DAY),
        (Kind.COMPLETION, 0, START + DAY, 7 * DAY),
    ],
)
def test_a_notice_is_implied_from_when_it_is_due_for_as_long_as_it_is_useful(kind, step, due, useful):
    request = state(*TWO, policy=Policy(window=None))
    if kind is Kind.PROGRESS:
        request = signed(request, 1, due)
    elif kind is Kind.COMPLETION:
        request = replace(request, status=Status.COMPLETE, completed_at=due)
    for at, implied in ((timedelta(0), True), (useful - SECOND, True), (useful, False)):
        assert ((kind.value, 2, step, "sms") in planned(request, due + at)) is implied
    if kind is Kind.REMINDER:
        assert (kind.value, 2, step, "sms") not in planned(request, due - SECOND)


@pytest.mark.parametrize(("others", "told"), [(9, True), (10, False)])
def test_progress_is_for_ten_signers_at_most_who_were_invited_before(others, told):
    request = signed(state(*[seen(str(n)) for n in range(others + 1)]), 1)
    assert ("progress" in {p[0] for p in planned(request, START + MINUTE)}) is told
    at_once = signed(state(*TWO), 1, START)
    assert "progress" not in {p[0] for p in planned(at_once, START)}


def test_what_was_resent_is_implied_for_as_long_as_it_is_useful_and_in_its_round():
    request = state(seen("a"))
    (first,) = planner.notices(request, START, POLICY).values()
    assert planner.resent_at(request, first) is None
    again = planner.resent(planner.resent(request, first, START + DAY), first, START + 2 * DAY)
    assert planner.resent_at(again, first) == START + 2 * DAY
    ids = set(planner.notices(again, START + 2 * DAY, POLICY))
    assert (len(ids), first.notice in ids) == (2, False)
    for days, left in ((7.9, 2), (8, 1), (8.9, 1), (9, 0)):
        now = START + days * DAY
        assert len([n for n in planner.notices(again, now, POLICY).values() if n.kind is Kind.INVITATION]) == left
    assert len(planner.notices(replace(again, round=2), START + 2 * DAY, POLICY)) == 1


def test_tasks_are_for_reminders_still_to_come_that_can_be_held():
    request = state(seen("a"), policy=Policy(reminder_days=(29,), window=None))
    for at, held in ((-SECOND, 0), (timedelta(0), 1), (29 * DAY - SECOND, 1), (29 * DAY, 0)):
        due = planner.tasks(request, START + at, POLICY)
        assert len(due) == held
        assert all(
            (d.signer, d.reminder_day, d.reminder.task) == (*request.signers, 29, name) for name, d in due.items()
        )


def test_each_effect_has_an_id_of_its_own_that_stays():
    """Another id for the same effect, by a new version of this code, would send it twice."""
    request = state(seen("a", email="a@x.org"), seen("b"))
    key, other = request.signers
    kinds = [
        (Kind.INVITATION, 0, 0),
        *((Kind.REMINDER, d, 0) for d in (3, 7)),
        *((Kind.PROGRESS, 0, n) for n in (1, 2)),
    ]
    found = set()
    for who, channel, address in ((key, ChannelName.SMS, PHONES["a"]), (key, ChannelName.EMAIL, "a@x.org")):
        for kind, day, about in kinds:
            days = {k: v for k, v in (("reminder_day", day), ("about", about)) if v}
            notice = planner.notice_for(request, who, kind, channel, **days)
            effect = ("r1", who, kind, day or about, channel, 1, digest(address))
            assert notice.notice == digest(*effect)
            assert (notice.reminder_day, notice.about, notice.round, notice.signer) == (day, about, 1, who)
            again = planner.resent(request, notice, START).resends[-1].notice
            assert again == replace(notice, notice=digest(*effect, 1))
            found |= {notice.notice, again.notice}
    assert len(found) == 20
    policy = Policy(channels="sms-first")
    first = planner.notice_for(request, key, Kind.INVITATION, ChannelName.SMS)
    instead = planner.fallback_of(request, first, policy)
    mail = planner.notice_for(request, key, Kind.INVITATION, ChannelName.EMAIL)
    assert instead == replace(mail, instead_of=first.notice)
    assert planner.fallback_of(request, instead, policy) is None
    assert (
        planner.fallback_of(request, planner.notice_for(request, other, Kind.INVITATION, ChannelName.SMS), policy)
        is None
    )
    assert planner.fallback_of(request, first, Policy(channels="all")) is None
    assert planner.resent(request, instead, START).resends[-1].notice.instead_of == first.notice


def test_only_a_signature_that_stands_is_told_and_does_not_end_the_reminders_of_others():
    request = signed(state(*TWO), 1)
    assert {p[0] for p in planned(request, START + 3 * DAY)} == {"invitation", "reminder"}
    key = next(iter(request.signers))
    undone = replace(request.signers[key], state=SignerState.INVITED)
    found = planned(replace(request, signers={**request.signers, key: undone}), START + MINUTE)
    assert "progress" not in {p[0] for p in found}


def test_a_reminder_that_was_resent_is_useful_until_the_next_one():
    request = state(seen("a"))
    reminder = planner.notice_for(request, *request.signers, Kind.REMINDER, ChannelName.SMS, reminder_day=3)
    again = replace(planner.resent(request, reminder, START), signers={})
    for days, left in ((3.9, 1), (4, 0)):
        assert len(planner.notices(again, START + days * DAY, POLICY)) == left


LAST, NOW = START + DAY, START + 2 * DAY


@pytest.mark.parametrize(
    ("before", "read", "stored"),
    [  # what is stored: the reading, or that a recheck is due at once; None for nothing
        ({}, {}, "read"),
        ({"unread_since": LAST}, {}, "read"),
        ({"checked_at": None}, {}, None),
        ({}, {"checked_at": None}, None),
        ({"status_at": LAST}, {"status_at": LAST}, None),  # whose status may not have been told
        ({}, {"title": "News"}, "due"),
        ({"next_at": NOW + SECOND}, {"title": "News"}, "due"),
        ({"next_at": NOW}, {"title": "News"}, None),
        ({"next_at": None}, {"title": "News"}, None),
    ],
)
def test_of_a_reading_for_a_notice_only_what_nobody_must_publish_is_stored(before, read, stored):
    old = replace(state(seen("a")), **{"checked_at": LAST, "next_at": NOW + DAY, "status_at": START, **before})
    fresh = replace(old, **{"checked_at": NOW, "next_at": NOW + 9 * DAY, "unread_since": None, **read})
    ways = {"read": fresh, "due": replace(old, next_at=NOW), None: None}
    assert planner.aside(old, fresh, POLICY) == ways[stored]


def test_what_an_answer_lacked_and_a_reading_for_a_notice_shows_is_not_lacking_any_more():
    """Else a later answer that lacks it once would count as a second one in a row."""
    one = next(iter(state(seen("a")).signers))
    marks = {"lacking_since": LAST, "missing_since": LAST}
    fresh = replace(state(seen("a")), checked_at=NOW)
    doubts = {"unconfirmed_since": LAST, "not_found_since": LAST}
    old = replace(fresh, signers={one: replace(fresh.signers[one], **marks)}, checked_at=LAST, next_at=NOW + DAY)
    assert planner.aside(replace(old, **doubts), fresh, POLICY) == replace(fresh, checked_at=LAST, next_at=NOW)
    again = replace(fresh, round=2)
    assert planner.aside(replace(old, **doubts), again, POLICY).unconfirmed_since == LAST
    moved = replace(fresh, signers={one: replace(fresh.signers[one], mobile="")})
    assert planner.aside(old, moved, POLICY).signers[one].lacking_since == LAST


def test_a_reading_by_which_a_task_can_be_made_is_not_stored():
    policy = Policy(reminder_days=(30,), window=None)
    old = replace(state(seen("a"), policy=policy), checked_at=START + MINUTE, status_at=START)
    for now, stored in ((START + DAY - MINUTE, True), (START + DAY, False)):
        fresh = replace(old, checked_at=now)
        assert planner.aside(old, fresh, policy) == (fresh if stored else None)


def test_the_same_effect_has_the_same_id_and_a_corrected_number_another():
    one, same = state(seen("a")), state(seen("a"))
    other = state(seen("a", mobile="+13175550199"))
    ids = [set(planner.notices(r, START, POLICY)) for r in (one, same, other)]
    assert ids[0] == ids[1]
    assert not ids[0] & ids[2]


def test_a_new_round_is_a_new_effect():
    one = state(seen("a"))
    two = replace(one, round=2)
    assert not set(planner.notices(one, START, POLICY)) & set(planner.notices(two, START, POLICY))


def test_missed_steps_collapse_into_the_latest():
    request = state(seen("a"))
    reminders = [p for p in planned(request, START + 8 * DAY) if p[0] == "reminder"]
    assert reminders == [("reminder", 1, 7, "sms")]


def test_a_reminder_is_worth_sending_until_the_next_step_and_the_last_for_a_week():
    assert planner.useful_for(Kind.REMINDER, POLICY, 3) == 4 * DAY
    assert planner.useful_for(Kind.REMINDER, POLICY, 14) == 7 * DAY
    assert planned(state(seen("a")), START + 21 * DAY + MINUTE) == []


def test_reminders_wait_while_a_signature_is_unmatched():
    assert planned(replace(state(seen("a")), unmatched=("x",)), START + 8 * DAY) == []


def test_tasks_are_made_for_steps_ahead_within_the_reach_of_cloud_tasks():
    policy = Policy(reminder_days=(3, 7, 60))
    request = state(seen("a"), policy=policy)
    steps = {d.reminder_day for d in planner.tasks(request, START, policy).values()}
    assert steps == {3, 7}
    assert {d.reminder_day for d in planner.tasks(request, START + 40 * DAY, policy).values()} == {60}


@pytest.mark.parametrize("other", [{"id": "r2"}, {"round": 2}, {"key": "b"}, {"hop": 1}, {"at": START - MINUTE}])
def test_a_task_has_a_name_of_its_own(other):
    """Cloud Tasks takes a name once: one that two reminders share would lose the second."""

    def names(id="r1", round=1, key="a", hop=0, at=START):
        request, signer = replace(state(seen("a")), id=id, round=round), Signer(number=1, invited_at=at)
        return {r.task for r in ahead(key, signer, request, START, POLICY, hop).values()}

    assert names() == names()
    assert len(names() | names(**other)) == 6


def test_progress_goes_to_the_others_who_were_at_it_before():
    request = signed(state(seen("a"), seen("b"), seen("c")), 1)
    progress = [p for p in planned(request, START + MINUTE) if p[0] == "progress"]
    assert progress == [("progress", 2, 1, "sms"), ("progress", 3, 1, "sms")]
    of_the_last = planned(signed(state(seen("a"), seen("b"), seen("c")), 3), START + MINUTE)
    assert [p for p in of_the_last if p[0] == "progress"] == [("progress", 1, 3, "sms"), ("progress", 2, 3, "sms")]


@pytest.mark.parametrize(("choice", "readers"), [("others", [2]), ("all", [1, 2]), ("none", [])])
def test_progress_goes_to_whom_the_operator_chose(choice, readers):
    request = signed(state(*TWO), 1)
    found = planned(request, START + MINUTE, Policy(progress_to=choice))
    assert [p[1] for p in found if p[0] == "progress"] == readers


def test_whoever_is_invited_by_a_signature_gets_no_progress_of_it():
    pair = (seen("a", order=1), seen("b", order=2))
    first = state(*pair, ordered=True)
    event = Event(event="2", type=EventType.SIGNED, request="r1", signer="a", received_at=START)
    after = answer(replace(pair[0], signed=True), pair[1], ordered=True)
    request = merge(first, after, event, START + MINUTE, POLICY).request
    assert {p[0] for p in planned(request, START + MINUTE)} == {"invitation"}


@pytest.mark.parametrize(
    "reader",
    [{"role": Role.RECIPIENT}, {"state": SignerState.REMOVED}, {"state": SignerState.WAITING}],
)
def test_progress_is_not_for_recipients_nor_for_who_left_or_waits(reader):
    request = signed(state(*TWO), 1)
    changed = {k: replace(s, **reader) if s.number == 2 else s for k, s in request.signers.items()}
    found = planned(replace(request, signers=changed), START + MINUTE)
    assert "progress" not in {p[0] for p in found}


def test_progress_is_too_much_for_many_signers_and_too_late_after_a_day():
    many = signed(state(*[seen(str(n)) for n in range(11)]), 1)
    assert "progress" not in {p[0] for p in planned(many, START + MINUTE)}
    two = signed(state(*TWO), 1)
    assert "progress" not in {p[0] for p in planned(two, START + DAY + MINUTE)}


def test_a_completion_goes_to_everyone_still_on_the_request_recipients_too():
    request = state(seen("a"), seen("b", role=Role.RECIPIENT), seen("c"))
    gone = {k: replace(s, state=SignerState.REMOVED) if s.number == 3 else s for k, s in request.signers.items()}
    done = replace(request, status=Status.COMPLETE, completed_at=START, signers=gone)
    assert planned(done) == [("completion", 1, 0, "sms"), ("completion", 2, 0, "sms")]
    assert planned(done, START + 7 * DAY) == []
    assert planned(replace(done, completed_at=None)) == []


def record(state: NoticeState, kind=Kind.INVITATION, lease=None, unknowns=()) -> NoticeRecord:
    return NoticeRecord(
        request_id="r1",
        signer="s",
        kind=kind,
        channel=ChannelName.SMS,
        round=1,
        state=state,
        lease_until=lease,
        history=tuple(Transition(at=at, state=NoticeState.UNKNOWN) for at in unknowns),
    )


OLD = START - timedelta(minutes=15)


@pytest.mark.parametrize(
    ("found", "idle"),
    [
        (record(NoticeState.PLANNED, lease=START), True),
        (record(NoticeState.PLANNED, lease=START + MINUTE), False),
        (record(NoticeState.SENDING, lease=START - MINUTE), True),
        (record(NoticeState.SENDING), False),
        (record(NoticeState.ACCEPTED), False),
        (record(NoticeState.FAILED), False),
        (record(NoticeState.UNKNOWN, unknowns=(OLD,)), True),
        (record(NoticeState.UNKNOWN, Kind.COMPLETION, unknowns=(OLD,)), True),
        (record(NoticeState.UNKNOWN, unknowns=(OLD + MINUTE,)), False),
        (record(NoticeState.UNKNOWN, unknowns=(OLD - DAY, OLD)), False),
        (record(NoticeState.UNKNOWN, Kind.REMINDER, unknowns=(OLD,)), False),
        (record(NoticeState.UNKNOWN, Kind.PROGRESS, unknowns=(OLD,)), False),
    ],
)
def test_what_is_healed_is_what_nobody_is_at_work_on(found, idle):
    request = state(seen("a"))
    implied = planner.notices(request, START, POLICY)
    records = dict.fromkeys(implied, found)
    assert bool(planner.unsent(implied, records, START, POLICY)) is idle
    assert planner.unsent(implied, {}, START, POLICY) == list(implied.values())


COPIES = frozenset({Kind.COPY_SIGNED, Kind.COPY_COMPLETE, Kind.COPY_EXPIRED})


@pytest.mark.parametrize(
    ("changes", "days", "kind", "about"),
    [
        ({"status": Status.OPEN}, 1, Kind.COPY_SIGNED, 2),
        ({"status": Status.PAUSED}, 1, Kind.COPY_SIGNED, 2),
        ({"status": Status.COMPLETE, "completed_at": START}, 7, Kind.COPY_COMPLETE, 0),
        ({"status": Status.EXPIRED, "status_sequence": 2, "status_at": START}, 7, Kind.COPY_EXPIRED, 0),
        ({"status": Status.EXPIRED, "status_sequence": 1, "status_at": START}, 0, None, 0),
        ({"status": Status.COMPLETE}, 0, None, 0),
        ({"status": Status.DISPUTED}, 0, None, 0),
    ],
)
def test_the_sender_gets_the_copies_they_want_while_they_are_news(changes, days, kind, about):
    request = replace(signed(state(*TWO), 2, at=START), round=2, **changes)

    def copies(after: timedelta, wanted: frozenset[Kind] = COPIES, **policy) -> list[Notice]:
        return [*planner.copies(request, START + after, Policy(sender_copies=wanted, **policy))]

    expected = Notice(
        notice=digest(kind, "r1", 2, about),
        request="r1",
        signer="",
        kind=kind or Kind.PROGRESS,
        about=about,
        channel=ChannelName.EMAIL,
        round=2,
    )
    assert copies(MINUTE) == ([expected] if kind else [])
    assert copies(days * DAY - MINUTE) == ([expected] if kind else [])
    assert copies(days * DAY) == []
    assert copies(MINUTE, COPIES - {kind}) == copies(MINUTE, available=frozenset({ChannelName.SMS})) == []
