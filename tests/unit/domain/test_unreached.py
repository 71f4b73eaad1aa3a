"""Whom the sender is told of: how a message ended, what else told the same, and what was told already."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from shared.domain import unreached
from shared.domain.causes import NOT_TO_BE_USED, Cause
from shared.domain.model import ChannelName, Kind, NoticeRecord, NoticeState, Request, SignerState, Status
from shared.domain.notice_record import first_record
from shared.domain.planner import notices
from shared.domain.policy import Policy
from shared.domain.unreached import begun_by, missing, untold
from tests.fakes import START, seen
from tests.unit.domain.test_planner import signed, state

POLICY = Policy(tell_sender=True)
BOTH = state(seen("a", email="a@x.org"), policy=POLICY)
PLANNED, SENDING, ACCEPTED, DELIVERED, UNDELIVERED, FAILED, UNKNOWN, SUPPRESSED = NoticeState
SMS, EMAIL, NONE = ChannelName
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
LOST_TWICE = "not sent a second time: time-out"


def records(request: Request, **states: tuple[NoticeState, str]) -> dict[str, NoticeRecord]:
    """One record of the invitation a channel."""
    planned = {n.channel.value: n for n in notices(request, START, POLICY).values()}
    return {
        planned[name].notice: first_record(planned[name], told, START, POLICY, why)
        for name, (told, why) in states.items()
    }


def told(request: Request, found: dict[str, NoticeRecord], after: timedelta = MINUTE) -> list[tuple[str, str]]:
    return [(u.channel.value, u.cause.value) for u in untold(request, found, START + after, POLICY)]


@pytest.mark.parametrize(
    ("ended", "cause"),
    [
        ((FAILED, "landline"), Cause.UNUSABLE),
        ((FAILED, "too late"), Cause.TOO_LATE),
        ((UNDELIVERED, "out of reach"), Cause.NOT_DELIVERED),
        ((UNDELIVERED, "carrier filter"), Cause.FILTERED),
        ((SUPPRESSED, f"{NOT_TO_BE_USED}: the signer texted STOP"), Cause.OPTED_OUT),
        ((SUPPRESSED, "already signed"), None),
        ((PLANNED, "busy"), None),
        ((SENDING, ""), None),
        ((ACCEPTED, ""), None),
        ((DELIVERED, ""), None),
        ((UNKNOWN, "time-out"), None),  # its second try is to come
    ],
)
def test_how_a_message_ended_says_whether_the_sender_is_told(ended, cause):
    request = state(seen("a"), policy=POLICY)
    found = records(request, sms=ended)
    assert told(request, found) == ([("sms", cause)] if cause else [])
    ((key, record),) = found.items()
    assert (begun_by(key, record, START, POLICY) is not None) is bool(cause)
    assert begun_by(key, record, START, Policy()) is None


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (None, []),  # the state implies it, so it is still to come
        ((PLANNED, "busy"), []),
        ((ACCEPTED, ""), []),
        ((DELIVERED, ""), []),
        ((SUPPRESSED, "already signed"), ["sms"]),
        ((FAILED, "no such mailbox"), ["email", "sms"]),
    ],
)
def test_what_arrives_on_the_other_channel_or_still_may_is_not_told(other, expected):
    found = records(BOTH, sms=(FAILED, "landline"), **({"email": other} if other else {}))
    assert sorted(channel for channel, _ in told(BOTH, found)) == expected


@pytest.mark.parametrize(
    ("state_of_mail", "after", "still"),
    [(ACCEPTED, 0, 0), (FAILED, 0, 0), (UNKNOWN, 0, 0), (PLANNED, 0, 1), (ACCEPTED, 20, 0), (ACCEPTED, 30, 1)],
)
def test_what_a_mail_has_told_is_not_told_again_nor_the_same_cause_for_a_day(state_of_mail, after, still):
    """after: hours from the mail to a reminder that fails in the same way; 0 for none."""
    request = state(seen("a"), policy=POLICY)
    found = records(request, sms=(FAILED, "landline"))
    ((key, record),) = found.items()
    mail = begun_by(key, record, START, POLICY)
    found[mail.notice] = first_record(mail, state_of_mail, START, POLICY, told=(key,))
    now = START + timedelta(hours=after)
    if after:
        due = START + 3 * DAY
        reminder = next(n for n in notices(request, due + DAY, POLICY).values() if n.kind is Kind.REMINDER)
        found[reminder.notice] = first_record(reminder, FAILED, now, POLICY, "landline")
    assert len(untold(request, found, now + MINUTE, POLICY)) == still


@pytest.mark.parametrize(
    "changed",
    [
        lambda r: signed(r, 1),
        lambda r: replace(r, status=Status.EXPIRED),
        lambda r: replace(r, round=2),
        lambda r: replace(r, signers={k: replace(s, mobile="+13175550199") for k, s in r.signers.items()}),
        lambda r: replace(r, signers={k: replace(s, state=SignerState.REMOVED) for k, s in r.signers.items()}),
        lambda r: replace(r, signers={}),
    ],
)
def test_what_no_longer_matters_is_not_told(changed):
    request = state(seen("a"), policy=POLICY)
    found = records(request, sms=(FAILED, "landline"))
    assert told(request, found) == [("sms", "address unusable")]
    assert told(changed(request), found) == []


def test_a_signer_without_a_channel_is_told_with_what_is_wrong():
    for fields, cause in (({"mobile": "12345"}, Cause.INVALID_ADDRESS), ({"mobile": ""}, Cause.NO_ADDRESS)):
        request = state(seen("a", **fields), policy=POLICY)
        assert told(request, records(request, none=(FAILED, "no channel"))) == [("none", cause)]


def test_every_message_of_a_moment_leads_to_the_same_mail():
    found = records(BOTH, sms=(FAILED, "landline"), email=(FAILED, "no such mailbox"))
    begun = [begun_by(key, record, START, POLICY) for key, record in found.items()]
    due = {unreached.as_due(BOTH, mail, found, START, POLICY).notice for mail in begun}
    assert len({mail.notice for mail in begun}) == 2
    assert due == {mail.notice for mail in missing(BOTH, found, START, POLICY)}
    assert len(due) == 1
