"""What an account's API usually says, and for how long a webhook counts."""

from datetime import timedelta

import pytest

from shared.domain import trust
from shared.domain.model import AccountAnswers, Request, Role, Signer, SignerState, Status
from shared.domain.policy import Policy
from tests.fakes import START, answer, seen

POLICY = Policy()
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)


def learnt(*answers) -> AccountAnswers:
    known = AccountAnswers()
    for said in answers:
        known = trust.learnt(known, said)
    return known


SAYS = answer(seen("a", signed=False))
SHOWS = answer(seen("a", signed=True), seen("b", signed=None, role=Role.RECIPIENT), status=None)
PARTLY = answer(seen("a", signed=True), seen("b", signed=None), status=None)
SILENT = answer(seen("a", signed=None), status=None)
NOBODY = answer(seen("a", signed=True, role=Role.RECIPIENT), status=None)


@pytest.mark.parametrize(
    ("answers", "known"),
    [
        ([SAYS], AccountAnswers(read=1, status=1.0, signed=1.0)),
        ([SHOWS], AccountAnswers(read=1, signed=1.0, shown=True)),
        ([PARTLY], AccountAnswers(read=1, shown=True)),
        ([SILENT], AccountAnswers(read=1)),
        ([NOBODY], AccountAnswers(read=1)),
        ([SHOWS, SILENT], AccountAnswers(read=2, signed=0.5, shown=True)),
        ([SAYS, SILENT, SILENT, SAYS], AccountAnswers(read=4, status=0.5, signed=0.5)),
    ],
)
def test_the_shares_of_answers_are_learnt(answers, known):
    assert learnt(*answers) == known


def test_of_many_answers_the_last_fifty_weigh():
    assert learnt(*[SILENT] * 80, SAYS) == AccountAnswers(read=50, status=0.02, signed=0.02)


@pytest.mark.parametrize(
    ("usual", "status", "signed", "words"),
    [
        (AccountAnswers(read=19, status=1.0, signed=1.0), False, False, "not known yet: 19 of 20 answers read"),
        (AccountAnswers(read=20, status=0.9), True, False, "usually the status, never who has signed"),
        (AccountAnswers(read=20, status=0.89, signed=0.9), False, True, "sometimes the status, usually who has signed"),
        (AccountAnswers(read=20, status=0.09, signed=0.11), False, False, "never the status, sometimes who has signed"),
    ],
)
def test_nothing_is_usual_before_twenty_answers_nor_below_nine_in_ten(usual, status, signed, words):
    assert (trust.says_status(usual), trust.says_signed(usual)) == (status, signed)
    assert trust.says_complete(usual) is (status or signed)
    assert trust.in_words(usual) == words


@pytest.mark.parametrize(
    ("fields", "hours", "in_time"),
    [
        ({"adopted": True, "met_at": START}, 25, True),
        ({"adopted": True, "met_at": START}, 25.1, False),
        ({"adopted": True}, 99, True),
        ({"met_at": START}, 99, True),
    ],
)
def test_a_sent_invites_for_as_long_as_webhooks_are_repeated(fields, hours, in_time):
    assert trust.sent_in_time(Request(id="r1", **fields), START + hours * HOUR, POLICY) is in_time


@pytest.mark.parametrize(
    ("fields", "hours", "long_ago"),
    [
        ({"purge_at": START + 90 * DAY}, 25, False),
        ({"purge_at": START + 90 * DAY}, 25.1, True),
        ({"purge_at": START + 90 * DAY, "status": Status.EXPIRED}, 99, False),
        ({}, 99, False),
    ],
)
def test_an_end_is_long_ago_once_webhooks_are_repeated_no_more(fields, hours, long_ago):
    request = Request(**{"id": "r1", "status": Status.COMPLETE, **fields})
    assert trust.ended_long_ago(request, START + hours * HOUR, POLICY) is long_ago


SIGNED, WAITING = Signer(number=1, state=SignerState.SIGNED), Signer(number=2)
GONE = Signer(number=3, state=SignerState.REMOVED)
READER = Signer(number=4, role=Role.RECIPIENT)


@pytest.mark.parametrize(
    ("signers", "unmatched", "heard"),
    [
        ([SIGNED], 0, True),
        ([SIGNED, GONE, READER], 0, True),
        ([SIGNED, WAITING], 0, False),
        ([SIGNED, WAITING], 1, True),
        ([WAITING], 2, True),
        ([], 1, False),
        ([GONE, READER], 1, False),
    ],
)
def test_a_signature_of_each_signer_was_heard_or_as_many_that_fit_nobody(signers, unmatched, heard):
    request = Request(id="r1", unmatched=tuple("xyz"[:unmatched]))
    assert trust.every_signed_heard(request, dict(enumerate(signers))) is heard


@pytest.mark.parametrize(
    ("fields", "signed_at", "followed"),
    [
        ({}, None, True),
        ({"adopted": True}, None, False),
        ({"adopted": True, "unmatched": ("x",)}, None, True),
        ({"adopted": True}, START, True),
    ],
)
def test_a_request_was_followed_where_its_sent_or_a_signature_was_heard(fields, signed_at, followed):
    signers = {"a": Signer(number=1, signed_at=signed_at), "b": Signer(number=2)}
    assert trust.was_followed(Request(id="r1", **fields), signers) is followed


def test_a_completion_waits_ten_minutes_for_its_proof():
    for seconds, day, waited in ((599, 86_400, False), (600, 86_400, True), (1.9, 60, False), (2, 60, True)):
        assert trust.has_waited(START, START + seconds * SECOND, Policy(day=day)) is waited


def test_who_is_doubted_counts_as_signed_and_is_not_reminded_since_the_first_denial():
    signer = Signer(number=1, state=SignerState.INVITED, reminders={"3": None})
    found = trust.doubted(signer, START)
    assert found == Signer(number=1, state=SignerState.SIGNED, doubted_since=START)
    assert trust.doubted(found, START + DAY) == found
