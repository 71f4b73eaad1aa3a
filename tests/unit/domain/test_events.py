"""What other systems hear of a request and of a notice, field by field."""

from datetime import timedelta

import msgspec
import pytest
from msgspec.structs import replace

from shared.domain.model import (
    ChannelName,
    Kind,
    NoticeRecord,
    NoticeState,
    Request,
    Role,
    Signer,
    SignerState,
    Status,
    Transition,
)
from shared.domain.notice_event import notice_event
from shared.domain.notice_record import SECOND_TRY_AFTER
from shared.domain.policy import Policy
from shared.domain.status_event import changed_by_recheck, changed_last, counted_status, request_status, status_event
from tests.fakes import START

MINUTE = timedelta(minutes=1)
S, POLICY = NoticeState, Policy()
REQUEST = Request(
    id="r1",
    status=Status.DISPUTED,
    round=2,
    status_sequence=7,
    status_at=START,
    checked_at=START + MINUTE,
    signers={
        "k": Signer(number=1, aliases=("ann", "1"), state=SignerState.SIGNED, invited_at=START, signed_at=START),
        "l": Signer(number=2, state=SignerState.SIGNED, doubted_since=START),
        "m": Signer(number=3, aliases=("cy",), role=Role.RECIPIENT),
        "n": Signer(number=4, state=SignerState.REMOVED),
    },
)


def told(event: msgspec.Struct) -> object:
    return msgspec.json.decode(msgspec.json.encode(event))


@pytest.mark.parametrize("signer_ids", [False, True])
def test_a_request_is_told_with_all_that_docs_status_events_promises(signer_ids):
    at = "2026-03-02T15:00:00Z"
    ids = [{"id": "ann"}, {"id": "cy"}] if signer_ids else [{}, {}]
    assert told(status_event(REQUEST, signer_ids=signer_ids)) == {
        "specversion": "1.0",
        "id": "r1.7",
        "source": "clickwrap-relay",
        "type": "clickwrap.request.disputed",
        "subject": "r1",
        "time": at,
        "datacontenttype": "application/json",
        "data": {
            "request": "r1",
            "status": "disputed",
            "round": 2,
            "signatures": 2,
            "needed": 1,
            "signers": {
                "k": {"number": 1, "state": "signed", "invited_at": at, "signed_at": at, **ids[0]},
                "l": {"number": 2, "state": "signed"},
                "m": {"number": 3, "state": "waiting", **ids[1]},
                "n": {"number": 4, "state": "removed"},
            },
            "sequence": 7,
        },
    }


def test_ids_of_signers_leave_only_where_they_are_wanted():
    assert status_event(REQUEST) == status_event(REQUEST, signer_ids=False)
    assert request_status(REQUEST) == request_status(REQUEST, signer_ids=False)


def test_a_request_whose_status_never_changed_is_told_at_the_time_of_its_reading():
    assert status_event(replace(REQUEST, status_at=None)).time == START + MINUTE


@pytest.mark.parametrize(
    ("changes", "counted"),
    [
        ({"checked_at": START, "title": "other", "status_sequence": 0}, False),
        ({"status": Status.OPEN}, True),
        ({"round": 3}, True),
        ({"signers": {}}, True),
    ],
)
def test_only_a_change_that_is_told_counts(changes, counted):
    now, new = START + 9 * MINUTE, replace(REQUEST, **changes)
    after = replace(new, status_sequence=new.status_sequence + 1, status_at=now) if counted else new
    assert counted_status(REQUEST, new, now) == after


def test_the_first_status_counts():
    first = counted_status(None, replace(REQUEST, status_sequence=0), START + MINUTE)
    assert (first.status_sequence, first.status_at) == (1, START + MINUTE)


@pytest.mark.parametrize(
    ("status_at", "checked_at", "event_at", "last", "by_recheck"),
    [
        (START, START, None, True, True),
        (START, START, START, True, False),
        (START, START, START - MINUTE, True, True),
        (START, START + MINUTE, None, False, False),
        (None, None, None, False, False),
    ],
)
def test_a_change_by_the_last_reading_may_have_to_be_told_again(status_at, checked_at, event_at, last, by_recheck):
    events = {"e": event_at} if event_at else {}
    request = replace(REQUEST, status_at=status_at, checked_at=checked_at, events=events)
    assert (changed_last(request), changed_by_recheck(request)) == (last, by_recheck)


def record(*states: NoticeState, reason: str = "", **fields: object) -> NoticeRecord:
    given = {"request_id": "r1", "signer": "k", "kind": Kind.REMINDER, "channel": ChannelName.SMS, "round": 2}
    history = tuple(Transition(at=START + n * MINUTE, state=s, why=reason) for n, s in enumerate(states))
    made = NoticeRecord(
        **given, state=states[-1], reason=reason, history=history, changes=5, changed_at=START + 8 * MINUTE
    )
    return replace(made, **fields)


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (S.ACCEPTED, {}),
        (S.DELIVERED, {}),
        (S.FAILED, {"cause": "address unusable", "reason": "a landline"}),
        (S.UNDELIVERED, {"cause": "address unusable", "reason": "a landline"}),
    ],
)
def test_a_notice_is_told_with_all_that_docs_status_events_promises(state, why):
    assert told(notice_event("n1", record(S.SENDING, state, reason="a landline"), START, POLICY)) == {
        "specversion": "1.0",
        "id": "n1.5",
        "source": "clickwrap-relay",
        "type": f"clickwrap.notice.{state.value}",
        "subject": "r1",
        "time": "2026-03-02T15:08:00Z",
        "datacontenttype": "application/json",
        "data": {
            "request": "r1",
            "signer": "k",
            "notice": "n1",
            "kind": "reminder",
            "channel": "sms",
            "round": 2,
            "state": state.value,
            **why,
            "begun_at": "2026-03-02T15:00:00Z",
            "at": "2026-03-02T15:01:00Z",
            "sequence": 5,
        },
    }


@pytest.mark.parametrize(
    ("states", "seconds", "is_told"),
    [
        ((S.PLANNED,), 0, False),
        ((S.SENDING,), 0, False),
        ((S.SUPPRESSED,), 0, False),
        ((S.UNKNOWN,), SECOND_TRY_AFTER - 1, False),
        ((S.UNKNOWN,), SECOND_TRY_AFTER, True),
        ((S.UNKNOWN, S.SENDING, S.UNKNOWN), 60, True),
        ((S.ACCEPTED,), 0, True),
    ],
)
@pytest.mark.parametrize("signer", ["k", ""])
def test_a_notice_is_told_once_nothing_more_is_tried_and_never_one_to_the_sender(states, seconds, is_told, signer):
    one = record(*states, kind=Kind.INVITATION, signer=signer)
    found = notice_event("n1", one, START + timedelta(seconds=seconds), POLICY)
    assert (found is not None) is (is_told and bool(signer))


def test_a_notice_without_the_time_of_its_change_is_told_now():
    found = notice_event("n1", record(S.ACCEPTED, changed_at=None), START + MINUTE, POLICY)
    assert found
    assert found.time == START + MINUTE
