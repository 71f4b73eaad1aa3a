"""One verdict per signer: a table over every state of a notice, of a signer and of a request, and every reason."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from shared.adapters.providers.common import vonage_messages
from shared.adapters.providers.email import mailgun, microsoft, postmark, sendgrid, ses, smtp
from shared.adapters.providers.sms import aws, twilio, vonage
from shared.domain.causes import ADVICE, Cause, cause_of
from shared.domain.model import (
    ChannelName,
    Kind,
    NoticeRecord,
    NoticeState,
    Outage,
    Reminder,
    Request,
    Role,
    Signer,
    SignerState,
    Status,
    Suppression,
    Transition,
)
from shared.domain.planner import notice_for, resent
from shared.domain.policy import Policy
from shared.domain.verdict import Known, Reach, Verdict, verdicts
from tests.fakes import PHONES, START

HOUR = timedelta(hours=1)
SMS, EMAIL, NONE = ChannelName.SMS, ChannelName.EMAIL, ChannelName.NONE
S = NoticeState
LATER = Reminder(due_at=START + timedelta(days=3), task="t")
OUTAGE = Outage(since=START - HOUR, last=START, until=START + HOUR, failures=9)
KEY = "the key of an address"
BLOCKED = Suppression(channel=SMS, reason="twilio: the recipient has opted out (STOP) (21610)", since=START)


def signer(**changes: Any) -> Signer:
    given = {
        "number": 1,
        "mobile": PHONES["a"],
        "channels": (SMS,),
        "request_url": "https://sign.test/a",
        "state": SignerState.INVITED,
        "invited_at": START - HOUR,
        "reminders": {"3": LATER},
    }
    return Signer(**{**given, **changes})


def record(state: NoticeState, reason: str = "", **changes: Any) -> NoticeRecord:
    given = {"request_id": "r1", "signer": "k", "kind": Kind.INVITATION, "channel": SMS, "round": 1}
    history = changes.pop("history", (Transition(at=START - HOUR / 2, state=state, why=reason),))
    return NoticeRecord(
        **{**given, "state": state, "reason": reason, "provider": "twilio", "history": history, **changes}
    )


def told(
    *records: NoticeRecord,
    who: Signer | None = None,
    begun: bool = True,
    extra: dict[str, Any] | None = None,
    **request: Any,
) -> Verdict:
    """The verdict on signer k. begun: the implied notices are among the records, under their own ids."""
    extra = dict(extra or {})
    state = Request(id="r1", **{"signers": {"k": who or signer(), **extra.pop("others", {})}, **request})
    known = dict[str, NoticeRecord]()
    for n, one in enumerate(records):
        planned = notice_for(state, "k", one.kind, one.channel, reminder_day=one.reminder_day)
        known[planned.notice if begun and planned.notice not in known else f"n{n}"] = one
    if extra.pop("dead", False):
        extra["dead"] = {notice_for(state, "k", Kind.INVITATION, SMS).notice}
    return verdicts(state, Known(records=known, now=START, policy=Policy(), **extra))["k"]


UNKNOWN_TWICE = (Transition(at=START - HOUR, state=S.UNKNOWN), Transition(at=START, state=S.UNKNOWN))
LATEST_HISTORY = (Transition(at=START, state=S.SUPPRESSED),)
REMINDER = {"kind": Kind.REMINDER, "reminder_day": 3}

STATES: list[tuple[str, Callable[[], Verdict], Reach, Cause, str]] = [
    # -- every state of a notice
    (
        "delivered",
        partial(told, record(S.DELIVERED)),
        Reach.REACHED,
        Cause.ARRIVED,
        "Reached: the invitation by SMS arrived.",
    ),
    (
        "accepted",
        partial(told, record(S.ACCEPTED)),
        Reach.SENT,
        Cause.TAKEN,
        "Sent, not confirmed: twilio took the invitation by SMS and has not said that it arrived.",
    ),
    (
        "sending",
        partial(told, record(S.SENDING)),
        Reach.WAITING,
        Cause.QUEUED,
        "Waiting: the invitation by SMS is being handed to twilio.",
    ),
    (
        "planned",
        partial(told, record(S.PLANNED, "twilio: too many requests (20429)", lease_until=START + HOUR)),
        Reach.SCHEDULED,
        Cause.RETRY,
        "Will be tried at 2026-03-02 16:00 UTC: twilio: too many requests (20429).",
    ),
    (
        "planned in an outage",
        partial(told, record(S.PLANNED, "503"), extra={"outages": {"sms twilio": OUTAGE}}),
        Reach.SCHEDULED,
        Cause.PROVIDER_DOWN,
        (
            "Will be tried at 2026-03-02 16:00 UTC: twilio has failed since 02 Mar 14:00 UTC; "
            "the invitation by SMS waits for it."
        ),
    ),
    (
        "an outage of the other channel",
        partial(told, record(S.PLANNED, "503", lease_until=START), extra={"outages": {"email smtp": OUTAGE}}),
        Reach.SCHEDULED,
        Cause.RETRY,
        "Will be tried at 2026-03-02 15:00 UTC: 503.",
    ),
    (
        "planned, long overdue",
        partial(told, record(S.PLANNED, "503", lease_until=START - 48 * HOUR)),
        Reach.WAITING,
        Cause.OVERDUE,
        "Waiting: the invitation by SMS is in the queue; if it is lost, the next recheck publishes it again.",
    ),
    (
        "planned without a reason",
        partial(told, record(S.PLANNED, lease_until=START)),
        Reach.SCHEDULED,
        Cause.RETRY,
        "Will be tried at 2026-03-02 15:00 UTC: the invitation by SMS is tried again.",
    ),
    (
        "planned, and paused since",
        partial(told, record(S.PLANNED, "503", lease_until=START), status=Status.PAUSED),
        Reach.WAITING,
        Cause.HELD,
        "Waiting: the invitation by SMS is held back: the request is paused.",
    ),
    (
        "planned, too late since",
        partial(told, record(S.PLANNED, "503"), who=signer(invited_at=START - 240 * HOUR)),
        Reach.NOT_REACHED,
        Cause.TOO_LATE,
        "Not reached: the invitation by SMS is not sent: too late.",
    ),
    (
        "planned, and they texted STOP since",
        partial(told, record(S.PLANNED, "503", address=KEY, lease_until=START), extra={"blocked": {KEY: BLOCKED}}),
        Reach.NOT_REACHED,
        Cause.OPTED_OUT,
        f"Not reached: the address is not to be used: {BLOCKED.reason}.",
    ),
    (
        "unknown, to be tried once more",
        partial(told, record(S.UNKNOWN, "no answer", history=(Transition(at=START, state=S.UNKNOWN),))),
        Reach.SCHEDULED,
        Cause.RETRY,
        (
            "Will be tried at 2026-03-02 15:15 UTC: the invitation by SMS may have left: "
            "the answer of twilio was lost; without a receipt it is tried once more."
        ),
    ),
    (
        "unknown for good",
        partial(told, record(S.UNKNOWN, "no answer", history=UNKNOWN_TWICE)),
        Reach.UNCERTAIN,
        Cause.ANSWER_LOST,
        "Perhaps reached: the invitation by SMS may have left: the answer of twilio was lost.",
    ),
    (
        "failed",
        partial(told, record(S.FAILED, "twilio: the number is a landline (21635)")),
        Reach.NOT_REACHED,
        Cause.UNUSABLE,
        "Not reached: twilio: the number is a landline (21635).",
    ),
    (
        "undelivered",
        partial(told, record(S.UNDELIVERED, "twilio: filtered by the carrier (30007)")),
        Reach.NOT_REACHED,
        Cause.FILTERED,
        "Not reached: twilio: filtered by the carrier (30007).",
    ),
    (
        "undelivered without a reason",
        partial(told, record(S.UNDELIVERED)),
        Reach.NOT_REACHED,
        Cause.NOT_DELIVERED,
        "Not reached: the invitation by SMS did not arrive.",
    ),
    (
        "suppressed",
        partial(told, record(S.SUPPRESSED, f"the address is not to be used: {BLOCKED.reason}")),
        Reach.NOT_REACHED,
        Cause.OPTED_OUT,
        "Not reached: the address is not to be used: twilio: the recipient has opted out (STOP) (21610).",
    ),
    # -- several messages
    (
        "one channel arrived, the other did not",
        partial(told, record(S.FAILED, "landline"), record(S.DELIVERED, channel=EMAIL)),
        Reach.REACHED,
        Cause.ARRIVED,
        "Reached: the invitation by e-mail arrived.",
    ),
    (
        "delivered, and a reminder was refused",
        partial(told, record(S.DELIVERED), record(S.FAILED, "opted out", **REMINDER)),
        Reach.REACHED,
        Cause.ARRIVED,
        "Reached: the invitation by SMS arrived.",
    ),
    (
        "accepted, and a later reminder bounced",
        partial(
            told,
            record(S.ACCEPTED),
            record(S.UNDELIVERED, "opted out", **REMINDER, history=(Transition(at=START, state=S.UNDELIVERED),)),
        ),
        Reach.NOT_REACHED,
        Cause.OPTED_OUT,
        "Not reached: opted out.",
    ),
    (
        "accepted, and the reminders were stopped",
        partial(
            told,
            record(S.ACCEPTED),
            record(S.SUPPRESSED, "an operator has stopped the reminders", **REMINDER, history=LATEST_HISTORY),
        ),
        Reach.SENT,
        Cause.TAKEN,
        "Sent, not confirmed: twilio took the invitation by SMS and has not said that it arrived.",
    ),
    (
        "accepted, and a planned reminder was stopped",
        partial(
            told,
            record(S.ACCEPTED),
            record(S.PLANNED, "503", **REMINDER, history=LATEST_HISTORY),
            reminders_stopped=True,
        ),
        Reach.SENT,
        Cause.TAKEN,
        "Sent, not confirmed: twilio took the invitation by SMS and has not said that it arrived.",
    ),
    (
        "of an earlier round",
        partial(told, record(S.DELIVERED), who=signer(invited_at=START), begun=False, round=2),
        Reach.WAITING,
        Cause.QUEUED,
        "Waiting: the invitation by SMS is in the queue; if it is lost, the next recheck publishes it again.",
    ),
    # -- not begun
    (
        "not begun, provider down",
        partial(told, extra={"outages": {"sms twilio": OUTAGE}}),
        Reach.SCHEDULED,
        Cause.PROVIDER_DOWN,
        (
            "Will be tried at 2026-03-02 16:00 UTC: twilio has failed since 02 Mar 14:00 UTC; "
            "the invitation by SMS waits for it."
        ),
    ),
    (
        "not begun for long",
        partial(told, who=signer(invited_at=START - HOUR)),
        Reach.WAITING,
        Cause.OVERDUE,
        "Waiting: the invitation by SMS is in the queue; if it is lost, the next recheck publishes it again.",
    ),
    (
        "dead letter",
        partial(told, extra={"dead": True}),
        Reach.NOT_REACHED,
        Cause.DEAD_LETTER,
        "Not reached: the invitation by SMS was given up and is a dead letter.",
    ),
    (
        "paused",
        partial(told, status=Status.PAUSED),
        Reach.WAITING,
        Cause.HELD,
        "Waiting: the invitation by SMS is held back: the request is paused.",
    ),
    (
        "outside the send window",
        lambda: verdicts(
            Request(
                id="r1",
                signers={"k": signer(reminders={"3": LATER}, invited_at=START - 10 * 24 * HOUR)},
            ),
            Known(records={}, now=LATER.due_at + 12 * HOUR, policy=Policy()),
        )["k"],
        Reach.SCHEDULED,
        Cause.SEND_WINDOW,
        "Will be tried at 2026-03-06 13:00 UTC: the reminder of day 3 by SMS waits for the send window.",
    ),
    ("too late", partial(told, who=signer(invited_at=START - 240 * HOUR)), Reach.NOT_REACHED, Cause.TOO_LATE, ""),
    # -- no message at all
    (
        "invalid number",
        partial(told, who=signer(mobile="", channels=(), unusable={SMS: "12345"})),
        Reach.NOT_REACHED,
        Cause.INVALID_ADDRESS,
        "Not reached: the number '12345' is not a phone number.",
    ),
    (
        "invalid e-mail",
        partial(told, who=signer(mobile="", channels=(), unusable={EMAIL: "eric@"})),
        Reach.NOT_REACHED,
        Cause.INVALID_ADDRESS,
        "Not reached: the address 'eric@' is not an e-mail address.",
    ),
    (
        "no address",
        partial(told, record(S.FAILED, "no channel", channel=NONE), who=signer(mobile="", channels=())),
        Reach.NOT_REACHED,
        Cause.NO_ADDRESS,
        "Not reached: the request holds neither a mobile number nor an e-mail address of theirs.",
    ),
    (
        "no channel allowed",
        partial(told, who=signer(channels=())),
        Reach.NOT_REACHED,
        Cause.CHANNEL_OFF,
        "Not reached: they have an address, but no channel that may be used for them.",
    ),
    ("adopted", partial(told, who=signer(adopted=True)), Reach.NOT_REACHED, Cause.ADOPTED, ""),
    # -- every state of a signer
    (
        "signed",
        partial(told, record(S.ACCEPTED), who=signer(state=SignerState.SIGNED)),
        Reach.DONE,
        Cause.SIGNED,
        "Nothing to do: has signed.",
    ),
    (
        "signed by another channel",
        partial(told, record(S.FAILED, "landline"), who=signer(state=SignerState.SIGNED)),
        Reach.DONE,
        Cause.SIGNED,
        "Nothing to do: has signed, though no message of ours had arrived: landline.",
    ),
    (
        "removed",
        partial(told, who=signer(state=SignerState.REMOVED)),
        Reach.DONE,
        Cause.REMOVED,
        "Nothing to do: no longer on the request.",
    ),
    (
        "no signing link",
        partial(told, who=signer(state=SignerState.WAITING, request_url="")),
        Reach.WAITING,
        Cause.NO_LINK,
        "Waiting: the API shows no signing link for this signer.",
    ),
    (
        "not their turn",
        partial(
            told,
            who=signer(state=SignerState.WAITING, order=2, request_url=""),
            ordered=True,
            extra={"others": {"j": signer(number=2, mobile="", order=1)}},
        ),
        Reach.WAITING,
        Cause.NOT_THEIR_TURN,
        "Waiting: it is not their turn: one signer before them has not signed.",
    ),
    (
        "about to be invited",
        partial(told, who=signer(state=SignerState.WAITING)),
        Reach.WAITING,
        Cause.QUEUED,
        "Waiting: the next recheck of the request invites them.",
    ),
    (
        "paused before the invitation",
        partial(told, who=signer(state=SignerState.WAITING), status=Status.PAUSED),
        Reach.WAITING,
        Cause.HELD,
        "Waiting: the request is paused.",
    ),
    (
        "recipient",
        partial(told, who=signer(state=SignerState.WAITING, role=Role.RECIPIENT)),
        Reach.WAITING,
        Cause.RECIPIENT,
        "Waiting: signs nothing; gets the completion once all have signed.",
    ),
    # -- every state of a request
    ("expired", partial(told, status=Status.EXPIRED), Reach.ENDED, Cause.OVER, ""),
    (
        "expired, nothing arrived",
        partial(told, record(S.FAILED, "landline"), status=Status.EXPIRED),
        Reach.ENDED,
        Cause.OVER,
        "Ended: the request has expired, though no message of ours had arrived: landline.",
    ),
    ("gone", partial(told, record(S.DELIVERED), status=Status.GONE), Reach.ENDED, Cause.OVER, ""),
    ("dormant", partial(told, record(S.DELIVERED), status=Status.DORMANT), Reach.ENDED, Cause.OVER, ""),
    (
        "disputed",
        partial(told, record(S.DELIVERED), status=Status.DISPUTED),
        Reach.WAITING,
        Cause.DISPUTED,
        "Waiting: a webhook says that all have signed, and the API denies it.",
    ),
    (
        "complete",
        partial(
            told,
            record(S.DELIVERED, kind=Kind.COMPLETION),
            who=signer(state=SignerState.SIGNED),
            status=Status.COMPLETE,
            completed_at=START,
        ),
        Reach.REACHED,
        Cause.ARRIVED,
        "Reached: the completion by SMS arrived.",
    ),
    (
        "complete before we knew it",
        partial(told, who=signer(state=SignerState.SIGNED), status=Status.COMPLETE),
        Reach.DONE,
        Cause.OVER,
        "Nothing to do: the request is complete.",
    ),
    (
        "complete, and no address",
        partial(told, who=signer(mobile="", channels=()), status=Status.COMPLETE, completed_at=START),
        Reach.NOT_REACHED,
        Cause.NO_ADDRESS,
        "",
    ),
    # -- one person twice
    (
        "duplicate person",
        partial(told, record(S.DELIVERED), extra={"others": {"j": signer(number=2)}}),
        Reach.REACHED,
        Cause.ARRIVED,
        "Reached: the invitation by SMS arrived; signer 2 has the same address.",
    ),
]


@pytest.mark.parametrize(
    ("case", "reach", "cause", "sentence"), [row[1:] for row in STATES], ids=[row[0] for row in STATES]
)
def test_the_verdict(case: Callable[[], Verdict], reach: Reach, cause: Cause, sentence: str) -> None:
    found = case()
    assert (found.reach, found.cause) == (reach, cause)
    assert not sentence or found.sentence() == sentence


def test_every_reach_cause_and_state_is_in_the_table() -> None:
    assert {row[2] for row in STATES} == set(Reach)
    assert {row[3] for row in STATES} >= set(Cause) - {Cause.REFUSED, Cause.BLOCKED}


REASONS = [
    (Cause.OPTED_OUT, "twilio: the recipient has opted out (STOP) (21610)"),
    (Cause.OPTED_OUT, "twilio: the recipient blocks or has opted out (30004)"),
    (Cause.OPTED_OUT, "postmark: reported as spam"),
    (Cause.FILTERED, "twilio: the sender is not registered for A2P 10DLC (30034)"),
    (Cause.FILTERED, "postmark: filtered as spam"),
    (Cause.UNUSABLE, "twilio: the number is unknown or no longer in use (30005)"),
    (Cause.UNUSABLE, "postmark: bounced"),
    (Cause.TOO_LATE, "too late"),
    (Cause.REFUSED, "twilio: the account may not send to this country (21408)"),
]


@pytest.mark.parametrize(("cause", "reason"), REASONS)
def test_a_reason_is_grouped_by_what_to_do_about_it(cause: Cause, reason: str) -> None:
    assert cause_of(record(S.FAILED, reason)) is cause


def test_most_reasons_of_the_providers_that_lie_in_the_address_say_what_to_do() -> None:
    """No table of codes is left in which an address at fault counts as a plain refusal."""
    rules = [
        rule
        for module in (twilio, vonage, vonage_messages, aws, postmark, mailgun, sendgrid, ses, smtp, microsoft)
        for table in vars(module).values()
        if isinstance(table, dict)
        for value in table.values()
        for rule in (value if isinstance(value, tuple) else (value,))
        if getattr(rule, "suppress", False)
    ]
    assert rules
    assert [r.reason for r in rules if cause_of(record(S.FAILED, r.reason)) is Cause.REFUSED] == []


@pytest.mark.parametrize(
    ("wait", "status", "noticed"),
    [
        (timedelta(minutes=8, seconds=1), Status.OPEN, "within 9 minutes"),
        (24 * HOUR, Status.OPEN, "within 24 hours, or a minute after 'Read the API now'"),
        (90 * 24 * HOUR, Status.COMPLETE, "a minute after 'Read the API now'"),  # only its data's end is ahead
    ],
)
def test_an_address_to_correct_is_noticed_when_the_request_is_read_next(wait, status, noticed) -> None:
    bounced = record(S.UNDELIVERED, "landline", kind=Kind.COMPLETION if status is Status.COMPLETE else Kind.INVITATION)
    advice = told(bounced, next_at=START + wait, status=status).advice
    assert advice == f"Correct it in Clickwrap; it is noticed {noticed}."


def test_advice_has_no_place_left_open() -> None:
    assert all(text.format(noticed="soon").count("{") == 0 for text in ADVICE.values())


@pytest.mark.parametrize(
    ("changes", "extra", "why"),
    [
        ({}, {}, ""),
        ({}, {"blocked": {KEY: BLOCKED}}, f"the address is blocked: {BLOCKED.reason}"),
        (
            {},
            {"blocked": {KEY: replace(BLOCKED, cleared_at=START)}},
            "",
        ),
        ({"mobile": "", "channels": ()}, {}, "there is no address to send it to"),
        ({"reminders": {}}, {}, "the last one has been"),
    ],
)
def test_whether_a_reminder_can_still_arrive(changes: dict[str, Any], extra: dict[str, Any], why: str) -> None:
    found = told(record(S.DELIVERED, address=KEY), who=signer(**changes), extra=extra)
    assert (found.no_reminder, found.reminder) == (why, None if why else LATER.due_at)
    assert found.blocked is ("blocked" in why)


def test_stopped_reminders_do_not_arrive() -> None:
    assert told(record(S.DELIVERED), reminders_stopped=True).no_reminder == "an operator has stopped the reminders"


def invitation(signers: dict[str, Signer], key: str) -> str:
    """The id of a signer's invitation by SMS."""
    return notice_for(Request(id="r1", signers=signers), key, Kind.INVITATION, SMS).notice


def test_the_number_of_a_thousand_signers_costs_no_thousand_plans() -> None:
    """Linear: each signer's records are found once."""
    many = {f"k{n}": signer(number=n, mobile=f"+1317555{n:04}") for n in range(1, 1001)}
    state = Request(id="r1", signers=many)
    records = {invitation(many, k): record(S.DELIVERED, signer=k) for k in many}
    found = verdicts(state, Known(records=records, now=START, policy=Policy()))
    assert {v.reach for v in found.values()} == {Reach.REACHED}


MINUTE = timedelta(minutes=1)


def of(request: dict[str, Any], known: dict[str, Any] | None = None, **signers: Signer) -> dict[str, Verdict]:
    state = Request(id="r1", **{"signers": signers, **request})
    return verdicts(state, Known(**{"records": {}, "now": START, "policy": Policy(), **(known or {})}))


def test_each_signer_has_the_verdict_of_their_own_messages_in_their_order() -> None:
    signers = {
        "k": signer(number=1),
        "j": signer(number=2, mobile=PHONES["c"], invited_at=START - 8 * 24 * HOUR),
        "i": signer(number=3, invited_at=START, mobile=PHONES["b"]),
    }
    records = {
        invitation(signers, "k"): record(S.DELIVERED, signer="k"),
        invitation(signers, "j"): record(S.FAILED, "landline", signer="j"),
    }
    found = of({}, {"records": records}, **signers)
    assert [(key, v.reach, v.channel) for key, v in found.items()] == [
        ("k", Reach.REACHED, SMS),
        ("j", Reach.NOT_REACHED, SMS),
        ("i", Reach.WAITING, SMS),
    ]
    assert found["k"].advice == ""


def test_whoever_shares_an_address_is_named_by_number_but_for_those_who_left() -> None:
    shared = {"email": "a@x.org", "mobile": ""}
    gone = signer(number=6, state=SignerState.REMOVED, **shared)
    found = of({}, None, **{f"k{n}": signer(number=n, **shared) for n in range(1, 6)}, k6=gone, k7=signer(number=7))
    assert [v.because.partition("; signer ")[2] for v in found.values()] == [
        "2, 3, 4 has the same address",
        "1, 3, 4 has the same address",
        "1, 2, 4 has the same address",
        "1, 2, 3 has the same address",
        "1, 2, 3 has the same address",
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("place", "ordered", "because"),
    [
        (3, True, "it is not their turn: 2 signers before them have not signed"),
        (2, True, "it is not their turn: one signer before them has not signed"),
        (1, True, "the next recheck of the request invites them"),
        (None, True, "the next recheck of the request invites them"),
        (3, False, "the next recheck of the request invites them"),
    ],
)
def test_in_an_order_those_before_are_counted(place, ordered, because) -> None:
    others = {f"j{n}": signer(number=n + 2, mobile="", order=n) for n in (1, 2)} | {"j3": signer(number=9, mobile="")}
    late = signer(state=SignerState.WAITING, order=place)
    assert of({"ordered": ordered}, None, k=late, **others)["k"].because == because


@pytest.mark.parametrize(
    ("wait", "noticed"),
    [
        (timedelta(0), "within a minute"),
        (90 * MINUTE, "within 90 minutes"),
        (90 * MINUTE + timedelta(seconds=1), "within 2 hours, or a minute after 'Read the API now'"),
        (122 * MINUTE, "within 3 hours, or a minute after 'Read the API now'"),
        (None, "a minute after 'Read the API now'"),
    ],
)
def test_how_soon_a_correction_is_noticed(wait, noticed) -> None:
    advice = told(record(S.UNDELIVERED, "landline"), next_at=None if wait is None else START + wait).advice
    assert advice == f"Correct it in Clickwrap; it is noticed {noticed}."


@pytest.mark.parametrize(
    ("records", "though"),
    [
        ([], ", though no message of ours had arrived"),
        ([record(S.FAILED)], ", though no message of ours had arrived"),
        ([record(S.FAILED, "landline"), record(S.ACCEPTED, channel=EMAIL)], ""),
        ([record(S.DELIVERED), record(S.FAILED, "full", channel=EMAIL)], ""),
        (
            [
                record(S.FAILED, "the last", history=(Transition(at=START, state=S.FAILED),)),
                record(S.FAILED, "the first", channel=EMAIL),
            ],
            ", though no message of ours had arrived: the last",
        ),
    ],
)
def test_of_whoever_has_signed_it_is_said_whether_a_message_had_arrived(records, though) -> None:
    assert told(*records, who=signer(state=SignerState.SIGNED)).because == "has signed" + though
    assert told(*records, status=Status.EXPIRED).because == "the request has expired" + though


def test_the_last_message_of_a_channel_counts_whatever_their_order() -> None:
    newer = record(S.ACCEPTED, history=(Transition(at=START, state=S.ACCEPTED),))
    assert [told(*two).reach for two in ([newer, record(S.FAILED)], [record(S.FAILED), newer])] == [Reach.SENT] * 2
    nothing = record(S.FAILED, "no channel", channel=NONE)
    assert told(nothing, newer).reach is told(newer, nothing).reach is Reach.SENT


@pytest.mark.parametrize(
    ("state", "because"),
    [
        (S.ACCEPTED, "the provider took the invitation by SMS and has not said that it arrived"),
        (S.SENDING, "the invitation by SMS is being handed to the provider"),
        (S.UNKNOWN, "the invitation by SMS may have left: the answer of the provider was lost"),
    ],
)
def test_a_provider_without_a_name_is_the_provider(state, because) -> None:
    found = told(record(state, provider="", history=UNKNOWN_TWICE if state is S.UNKNOWN else (UNKNOWN_TWICE[0],)))
    assert (found.because, found.channel) == (because, SMS)


@pytest.mark.parametrize(("ago", "at"), [(5, 10), (15, 0), (20, 0)])
def test_a_second_try_is_made_after_a_quarter_of_an_hour_or_now(ago, at) -> None:
    lost = record(S.UNKNOWN, history=(Transition(at=START - ago * MINUTE, state=S.UNKNOWN),))
    assert told(lost).at == START + at * MINUTE


@pytest.mark.parametrize(("waited", "cause"), [(15 * MINUTE, Cause.QUEUED), (15.1 * MINUTE, Cause.OVERDUE)])
def test_a_quarter_of_an_hour_in_the_queue_is_long(waited, cause) -> None:
    found = told(who=signer(invited_at=START - waited))
    assert (found.cause, found.channel) == (cause, SMS)


@pytest.mark.parametrize(
    ("name", "until", "down"),
    [
        ("sms twilio", START + MINUTE, True),
        ("sms twilio", START, False),
        ("email smtp", START + MINUTE, False),
    ],
)
def test_an_outage_of_the_channel_counts_while_it_lasts(name, until, down) -> None:
    found = told(who=signer(invited_at=START), extra={"outages": {name: replace(OUTAGE, until=until)}})
    assert (found.cause, found.at) == ((Cause.PROVIDER_DOWN, until) if down else (Cause.QUEUED, None))
    assert found.channel is SMS


def test_each_of_several_outages_is_looked_at() -> None:
    outages = {"email smtp": OUTAGE, "sms twilio": replace(OUTAGE, until=START), "sms vonage 2": OUTAGE}
    assert told(extra={"outages": outages}).because.startswith("vonage 2 has failed since 02 Mar 14:00 UTC")


def test_the_next_reminder_is_the_first_that_is_still_ahead() -> None:
    due = {str(n): Reminder(due_at=START + n * HOUR, task="t") for n in (-1, 0, 5, 2)}
    assert told(record(S.DELIVERED), who=signer(reminders=due)).reminder == START + 2 * HOUR
    assert told(record(S.DELIVERED), who=signer(reminders=due), status=Status.PAUSED).reminder == START + 2 * HOUR
    for over in ({"status": Status.EXPIRED}, {"who": signer(reminders=due, state=SignerState.WAITING)}):
        found = told(record(S.DELIVERED), **{"who": signer(reminders=due), **over})
        assert (found.reminder, found.no_reminder) == (None, "")


@pytest.mark.parametrize(
    ("channels", "email", "why"),
    [
        ("sms-first", "a@x.org", ""),
        ("sms-first", "", f"the address is blocked: {BLOCKED.reason}"),
        ("sms", "a@x.org", f"the address is blocked: {BLOCKED.reason}"),
    ],
)
def test_a_reminder_can_arrive_on_the_channel_that_takes_over(channels, email, why) -> None:
    found = of(
        {},
        {
            "records": {"n": record(S.DELIVERED, address=KEY)},
            "policy": Policy(channels=channels),
            "blocked": {KEY: BLOCKED},
        },
        k=signer(email=email),
    )["k"]
    assert (found.no_reminder, found.blocked) == (why, bool(why))


def test_a_block_that_the_sentence_names_is_not_named_twice() -> None:
    failed = record(S.FAILED, BLOCKED.reason, address=KEY)
    found = told(failed, extra={"blocked": {KEY: BLOCKED}})
    assert (found.because, found.no_reminder, found.blocked) == (BLOCKED.reason, "the address is blocked", True)


def test_the_address_that_was_last_written_to_counts() -> None:
    old = record(S.DELIVERED, address=KEY)
    new = record(S.DELIVERED, address="new", history=(Transition(at=START, state=S.DELIVERED),), **REMINDER)
    other = record(S.DELIVERED, address="other", history=(Transition(at=START + MINUTE, state=S.DELIVERED),))
    blocked = {"blocked": {KEY: BLOCKED}}
    assert told(old, new, extra=blocked).no_reminder == ""
    assert told(new, old, extra={"blocked": {"new": BLOCKED}}).blocked
    assert told(old, replace(other, channel=EMAIL), extra=blocked).blocked


@pytest.mark.parametrize("late", [False, True])
def test_what_arrived_at_a_former_address_reached_nobody_at_the_present_one(late) -> None:
    """A corrected number, or another person after a delegation. late: the old address's receipt comes last."""
    arrived = Transition(at=START if late else START - HOUR, state=S.DELIVERED)
    begun = Transition(at=START - 2 * HOUR, state=S.ACCEPTED)
    old = record(S.DELIVERED, address="old", history=(begun, arrived))
    failed = Transition(at=START - HOUR / 2, state=S.FAILED)
    new = record(S.FAILED, "the number is a landline", address="new", history=(failed,))
    assert told(new, old).sentence() == "Not reached: the number is a landline."
    assert told(replace(new, state=S.ACCEPTED, reason=""), old).reach is Reach.SENT
    assert told(new, replace(old, channel=EMAIL)).reach is Reach.REACHED
    blocked = told(new, old, extra={"blocked": {"old": BLOCKED}})
    assert not blocked.blocked


def test_an_address_that_is_back_counts_though_another_was_written_to_since() -> None:
    old = record(S.DELIVERED, address="back", history=(Transition(at=START - HOUR, state=S.DELIVERED),))
    between = record(S.FAILED, "the number is a landline", address="between")
    assert told(old, between).sentence() == "Reached: the invitation by SMS arrived."


def test_what_arrived_at_a_former_address_does_not_hide_what_waits_for_the_present_one() -> None:
    old = record(S.DELIVERED, address="old")
    dead = told(old, begun=False, extra={"dead": True})
    assert dead.sentence() == "Not reached: the invitation by SMS was given up and is a dead letter."


@pytest.mark.parametrize(
    ("who", "status", "cause", "because"),
    [
        ({}, Status.COMPLETE, Cause.OVER, "the request is complete"),
        ({"channels": ()}, Status.COMPLETE, Cause.OVER, "the request is complete"),
        ({"adopted": True}, Status.OPEN, Cause.ADOPTED, None),
        ({"adopted": True, "channels": (), "mobile": ""}, Status.OPEN, Cause.NO_ADDRESS, None),
    ],
)
def test_without_any_message_the_state_says_why(who, status, cause, because) -> None:
    found = told(who=signer(**who), status=status)
    assert found.cause is cause
    assert because is None or found.because == because


def test_the_sentence_gives_the_time_as_the_reader_writes_it() -> None:
    found = told(record(S.PLANNED, "busy", lease_until=START + HOUR))
    assert found.sentence("ten past") == "Will be tried at ten past: busy."
    assert (found.at, found.channel) == (START + HOUR, SMS)


def test_what_an_operator_sent_once_more_is_not_sent_where_the_address_has_changed_since() -> None:
    state = Request(id="r1", signers={"k": signer(invited_at=START - 240 * HOUR)})
    again = resent(state, notice_for(state, "k", Kind.INVITATION, SMS), START - HOUR)
    moved = replace(again, signers={"k": signer(invited_at=START - 240 * HOUR, mobile=PHONES["b"])})
    found = verdicts(moved, Known(records={}, now=START, policy=Policy()))["k"]
    assert (found.reach, found.cause, found.channel) == (Reach.NOT_REACHED, Cause.REFUSED, SMS)
    assert found.because == "the invitation by SMS is not sent: the address has changed or is no longer to be used"
