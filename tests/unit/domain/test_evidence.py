"""What the evidence of a request says, entry by entry."""

import hashlib
import json
from datetime import timedelta

from shared.domain.evidence import canonical, chained, entries
from shared.domain.model import (
    ChannelName,
    Kind,
    Note,
    NoticeRecord,
    NoticeState,
    Request,
    Role,
    Signer,
    SignerState,
    Status,
    Suppression,
    Transition,
)
from tests.fakes import START

MOMENTS = [START + timedelta(minutes=n) for n in range(12)]
T = [at.isoformat() for at in MOMENTS]


def ann() -> Signer:
    return Signer(
        number=1,
        name="Ann",
        email="ann@x.org",
        mobile="+13175550101",
        state=SignerState.SIGNED,
        invited_at=MOMENTS[2],
        signed_at=MOMENTS[6],
    )


def request() -> Request:
    bob = Signer(number=2, name="Bob", role=Role.RECIPIENT, state=SignerState.INVITED)
    return Request(
        id="r1",
        title="Lease",
        sender="ACME",
        status=Status.COMPLETE,
        round=2,
        created_at=MOMENTS[0],
        completed_at=MOMENTS[7],
        events={"e1": MOMENTS[1]},
        notes=(Note(at=MOMENTS[8], who="ops@x.org", what="reminders stopped", why="asked"),),
        signers={"k": ann(), "m": bob},
    )


def test_it_tells_of_the_request_its_signers_its_messages_and_its_blocked_addresses_by_their_times():
    sent = NoticeRecord(
        request_id="r1",
        signer="k",
        kind=Kind.REMINDER,
        reminder_day=3,
        channel=ChannelName.SMS,
        round=2,
        state=NoticeState.ACCEPTED,
        provider="twilio",
        provider_id="SM1",
        address="the key",
        text="Please sign",
        history=(
            Transition(at=MOMENTS[3], state=NoticeState.PLANNED, why="busy"),
            Transition(at=MOMENTS[4], state=NoticeState.ACCEPTED),
        ),
    )
    block = Suppression(
        channel=ChannelName.SMS,
        reason="opted out",
        since=MOMENTS[9],
        cleared_at=MOMENTS[10],
        cleared_by="ops@x.org",
        cleared_why="they asked",
    )
    facts = {
        "notice": "n1",
        "message": "Reminder of day 3",
        "round": 2,
        "signer": 1,
        "channel": "sms",
        "provider": "twilio",
        "provider_id": "SM1",
        "address_key": "the key",
        "text": "Please sign",
    }
    blocked = {"channel": "sms", "address_key": "the key"}
    assert entries(request(), {"n1": sent}, {"the key": block}) == [
        {
            "at": "",
            "type": "signer",
            "signer": 1,
            "name": "Ann",
            "email": "ann@x.org",
            "mobile": "+13175550101",
            "role": "signer",
            "state": "signed",
        },
        {"at": "", "type": "signer", "signer": 2, "name": "Bob", "role": "recipient", "state": "invited"},
        {"at": T[0], "type": "request", "title": "Lease", "sender": "ACME", "status": "complete", "round": 2},
        {"at": T[1], "type": "webhook handled", "event": "e1"},
        {"at": T[2], "type": "invited", "signer": 1},
        {"at": T[3], "type": "notice", **facts, "state": "planned", "reason": "busy"},
        {"at": T[4], "type": "notice", **facts, "state": "accepted"},
        {"at": T[6], "type": "signed", "signer": 1},
        {"at": T[7], "type": "complete"},
        {"at": T[8], "type": "operator", "who": "ops@x.org", "what": "reminders stopped", "why": "asked"},
        {"at": T[9], "type": "address blocked", **blocked, "reason": "opted out"},
        {"at": T[10], "type": "address allowed again", **blocked, "who": "ops@x.org", "why": "they asked"},
    ]


def test_it_says_who_was_met_as_invited_what_was_deleted_and_which_message_names_no_signer():
    adopted = Signer(number=1, adopted=True, state=SignerState.INVITED, invited_at=MOMENTS[2])
    mail = NoticeRecord(
        request_id="r1",
        signer="",
        kind=Kind.UNREACHED,
        channel=ChannelName.EMAIL,
        round=1,
        state=NoticeState.SENDING,
        history=(Transition(at=MOMENTS[3], state=NoticeState.SENDING),),
    )
    bare = Request(id="r1", signers={"k": adopted}, forgotten=True)
    assert entries(bare, {"n1": mail}, {}) == [
        {"at": "", "type": "request", "status": "open", "round": 1, "deleted": True},
        {"at": "", "type": "signer", "signer": 1, "role": "signer", "state": "invited"},
        {"at": T[2], "type": "met as invited", "signer": 1},
        {
            "at": T[3],
            "type": "notice",
            "notice": "n1",
            "message": "Mail to the sender about signers not reached",
            "round": 1,
            "channel": "email",
            "state": "sending",
        },
    ]


def test_each_entry_holds_its_number_the_hash_before_it_and_its_own():
    chain = chained([{"type": "a", "at": "1"}, {"at": "2", "type": "<ü>"}])
    first = b'{"at":"1","number":1,"previous":"","type":"a"}'
    one = hashlib.sha256(first).hexdigest()
    second = b'{"at":"2","number":2,"previous":"%s","type":"\\u003c\\u00fc>"}' % one.encode()
    assert chain == [
        {**json.loads(first), "hash": one},
        {**json.loads(second), "hash": hashlib.sha256(second).hexdigest()},
    ]
    assert canonical({"b": [1, "<"], "a": None}) == b'{"a":null,"b":[1,"\\u003c"]}'
