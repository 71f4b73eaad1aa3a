"""Whom the sender is told of: how a message ended, what else told the same, and what was told already."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from shared.domain import signers, unreached
from shared.domain.causes import NOT_TO_BE_USED, Cause
from shared.domain.model import (
    ChannelName,
    Kind,
    Notice,
    NoticeRecord,
    NoticeState,
    Request,
    SignerState,
    Status,
    digest,
)
from shared.domain.notice_record import first_record
from shared.domain.planner import fallback_of, notice_for, notices
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
    [(ACCEPTED, 0, 0), (FAILED, 0, 0), (UNKNOWN, 0, 0), (PLANNED, 0, 1), (ACCEPTED, 20, 0), (ACCEPTED, 24, 1)],
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


def mail_of(request: Request, found: dict[str, NoticeRecord], state_of_mail: NoticeState, **fields) -> NoticeRecord:
    """A record of the mail that the only message of these begins."""
    ((key, record),) = found.items()
    return replace(first_record(begun_by(key, record, START, POLICY), state_of_mail, START, POLICY), **fields)


@pytest.mark.parametrize(
    ("sender", "fallback", "address"),
    [("Boss@x.org", "ops@x.org", "boss@x.org"), ("", "ops@x.org", "ops@x.org"), ("boss", "ops@x.org", "ops@x.org")],
)
def test_the_sender_is_told_where_the_request_says_or_else_the_setting(sender, fallback, address):
    request = Request(id="r1", sender_email=sender)
    assert signers.sender_address(request, Policy(sender_fallback=fallback)) == address


def test_a_mail_is_of_the_request_and_its_round_and_named_after_the_message_that_began_it():
    request = replace(state(seen("a"), policy=POLICY), round=3)
    ((key, record),) = records(request, sms=(FAILED, "landline")).items()
    assert begun_by(key, record, START, POLICY) == Notice(
        notice=digest("unreached", key), request="r1", signer="", kind=Kind.UNREACHED, channel=EMAIL, round=3
    )


@pytest.mark.parametrize(("fields", "begins"), [({}, True), ({"fallback": "other"}, False), ({"signer": ""}, False)])
def test_a_message_that_another_follows_or_that_is_no_signers_begins_no_mail(fields, begins):
    ((key, record),) = records(state(seen("a"), policy=POLICY), sms=(FAILED, "landline")).items()
    assert (begun_by(key, replace(record, **fields), START, POLICY) is not None) is begins


def test_more_is_collected_for_half_a_minute_from_the_first():
    found = records(BOTH, sms=(FAILED, "landline"), email=(FAILED, "no such mailbox"))
    first, second = untold(BOTH, found, START, POLICY)
    later_one = replace(second, at=START + MINUTE)
    waits = [unreached.wait([later_one, first], START + after, POLICY) for after in (0 * MINUTE, MINUTE / 2, MINUTE)]
    assert waits == [MINUTE / 2, 0 * MINUTE, -MINUTE / 2]


@pytest.mark.parametrize(
    ("fields", "after", "left"),
    [
        ({}, MINUTE, True),
        ({"lease_until": None}, MINUTE, False),
        ({"lease_until": START + 2 * MINUTE}, MINUTE, False),
        ({}, 7 * DAY - MINUTE, True),
        ({}, 7 * DAY, False),
        ({"kind": Kind.INVITATION}, MINUTE, False),
    ],
)
def test_a_mail_that_was_begun_and_left_is_missing_while_it_is_worth_sending(fields, after, left):
    request = state(seen("a"), policy=POLICY)
    mail = mail_of(request, records(request, sms=(FAILED, "landline")), PLANNED, **{"lease_until": START, **fields})
    found = {"m": mail}
    assert [n.notice for n in missing(request, found, START + after, POLICY)] == (["m"] if left else [])
    assert [*missing(request, found, START + after, Policy())] == []


def test_a_mail_whose_answer_was_lost_is_missing_once_it_may_be_sent_again():
    request = state(seen("a"), policy=POLICY)
    found = {"m": mail_of(request, records(request, sms=(FAILED, "landline")), UNKNOWN)}
    after = (15 * MINUTE - MINUTE, 15 * MINUTE)
    assert [len([*missing(request, found, START + wait, POLICY)]) for wait in after] == [0, 1]


def test_a_mail_that_has_begun_is_itself_and_takes_the_others_in():
    found = records(BOTH, sms=(FAILED, "landline"), email=(FAILED, "no such mailbox"))
    begun = [begun_by(key, record, START, POLICY) for key, record in found.items()]
    for mail in begun:
        one = {**found, mail.notice: first_record(mail, PLANNED, START, POLICY)}
        assert {unreached.as_due(BOTH, m, one, START, POLICY).notice for m in begun} <= {m.notice for m in begun}
        assert unreached.as_due(BOTH, mail, one, START, POLICY) == mail
    first = unreached.as_due(BOTH, begun[0], found, START, POLICY)
    (other,) = [m for m in begun if m != first]
    closed = {**found, first.notice: first_record(first, ACCEPTED, START, POLICY)}
    assert unreached.as_due(BOTH, other, closed, START, POLICY) == other
    assert unreached.as_due(BOTH, begun[0], {}, START, POLICY) == begun[0]


def test_everybody_is_told_of_in_the_order_in_which_their_messages_ended():
    people = state(seen("a"), seen("b"), seen("c"), policy=POLICY)
    found = {
        n.notice: first_record(n, FAILED, START - int(people.signers[n.signer].number) * MINUTE, POLICY, "landline")
        for n in notices(people, START, POLICY).values()
    }
    told_of = untold(people, found, START + MINUTE, POLICY)
    assert [people.signers[one.signer].number for one in told_of] == [3, 2, 1]
    at_once = {k: replace(r, history=(replace(r.history[0], at=START),)) for k, r in found.items()}
    assert [one.notice for one in untold(people, at_once, START, POLICY)] == sorted(at_once)
    assert {(one.channel, one.cause, one.at) for one in untold(people, at_once, START, POLICY)} == {
        (SMS, Cause.UNUSABLE, START)
    }


def test_what_one_mail_has_told_is_told_again_where_that_mail_does_not_count():
    request = state(seen("a"), policy=POLICY)
    found = records(request, sms=(FAILED, "landline"))
    (key,) = found
    mail = mail_of(request, found, ACCEPTED, told=(key, "one that is gone"))
    every = {**found, "m": mail}
    assert untold(request, every, START, POLICY) == []
    assert [one.notice for one in untold(request, every, START, POLICY, but="m")] == [key]
    assert [one.notice for one in untold(request, every, START, POLICY, but="another")] == []
    changed = {**every, key: replace(found[key], reason="carrier filter")}
    assert untold(request, changed, START, POLICY) == []
    assert [one.notice for one in untold(request, {**found, "m": replace(mail, state=PLANNED)}, START, POLICY)] == [key]


@pytest.mark.parametrize(
    ("changes", "still"),
    [
        ({}, 0),
        ({"signer": "other"}, 1),
        ({"channel": EMAIL}, 1),
        ({"address": "other"}, 1),
        ({"reason": "carrier filter"}, 1),
    ],
)
def test_for_a_day_the_same_cause_at_the_same_address_is_not_told_again(changes, still):
    """changes: of the message that a mail told of already; it is not the one that failed now."""
    request = state(seen("a"), policy=POLICY)
    found = records(request, sms=(FAILED, "landline"))
    (record,) = found.values()
    mail = mail_of(request, found, ACCEPTED, told=("old",))
    every = {**found, "old": replace(record, round=9, **changes), "m": mail}
    assert len(untold(request, every, START, POLICY)) == still


@pytest.mark.parametrize(
    ("fields", "ended"),
    [
        ({"state": FAILED}, True),
        ({"state": UNDELIVERED}, True),
        ({"state": SUPPRESSED, "reason": f"{NOT_TO_BE_USED}: opted out"}, True),
        ({"state": SUPPRESSED, "reason": "already signed"}, False),
        ({"state": ACCEPTED, "reason": f"{NOT_TO_BE_USED}: opted out"}, False),
        ({"state": PLANNED}, False),
        ({"state": UNKNOWN}, False),
        ({"state": UNKNOWN, "kind": Kind.REMINDER}, True),  # it has no second try
    ],
)
def test_a_message_ends_where_nothing_more_is_tried(fields, ended):
    (record,) = records(state(seen("a"), policy=POLICY), sms=(UNKNOWN, "time-out")).values()
    assert unreached.ended(replace(record, **fields), START, POLICY) is ended


@pytest.mark.parametrize(
    ("kind", "status", "of_signer", "matters"),
    [
        (Kind.INVITATION, Status.OPEN, SignerState.INVITED, True),
        (Kind.INVITATION, Status.PAUSED, SignerState.INVITED, True),
        (Kind.INVITATION, Status.DISPUTED, SignerState.INVITED, False),
        (Kind.INVITATION, Status.OPEN, SignerState.SIGNED, False),
        (Kind.PROGRESS, Status.OPEN, SignerState.SIGNED, True),
        (Kind.PROGRESS, Status.COMPLETE, SignerState.SIGNED, False),
        (Kind.COMPLETION, Status.COMPLETE, SignerState.SIGNED, True),
        (Kind.COMPLETION, Status.OPEN, SignerState.SIGNED, False),
        (Kind.COMPLETION, Status.COMPLETE, SignerState.REMOVED, False),
    ],
)
def test_a_message_matters_for_as_long_as_it_has_something_to_say(kind, status, of_signer, matters):
    request = state(seen("a"), policy=POLICY)
    ((key, signer),) = request.signers.items()
    request = replace(request, status=status, signers={key: replace(signer, state=of_signer)}, completed_at=START)
    planned = notice_for(request, key, kind, SMS)
    found = {planned.notice: first_record(planned, FAILED, START, POLICY, "landline")}
    assert bool(untold(request, found, START, POLICY)) is matters


def test_a_message_that_awaits_the_one_that_takes_over_is_not_lost_yet():
    policy = Policy(tell_sender=True, channels="sms-first")
    request = state(seen("a", email="a@x.org"), policy=policy)
    ((first, planned),) = notices(request, START, policy).items()
    second = fallback_of(request, planned, policy)
    failed = first_record(planned, FAILED, START, policy, "landline", fallback=second.notice)
    assert untold(request, {first: failed}, START, policy) == []
    both = {first: failed, second.notice: first_record(second, FAILED, START + MINUTE, policy, "no such mailbox")}
    assert [one.notice for one in untold(request, both, START + MINUTE, policy)] == [first, second.notice]


def test_of_a_signer_without_a_channel_nothing_is_told_once_they_have_one():
    nowhere = state(seen("a", mobile=""), policy=POLICY)
    found = records(nowhere, none=(FAILED, "no channel"))
    has_one = {k: replace(s, channels=(EMAIL,)) for k, s in nowhere.signers.items()}
    assert told(nowhere, found) == [("none", "no address")]
    assert told(replace(nowhere, signers=has_one), found) == []
    by_mail = records(replace(nowhere, signers=has_one), email=(FAILED, "no such mailbox"))
    assert told(replace(nowhere, signers=has_one), found | by_mail) == [("email", "address unusable")]
