"""Requests as the relay stores them, for benchmarks that do not start with a new request."""

import base64
from datetime import datetime

import msgspec

from bench.stand_in import document
from shared.adapters.clickwrap.fields import FIELDS
from shared.adapters.clickwrap.payload import read, unwrap
from shared.domain import planner
from shared.domain.merge import merge
from shared.domain.model import ChannelName, Event, EventType, Kind, Notice, NoticeState, Request
from shared.domain.notice_record import first_record
from shared.domain.policy import Policy
from shared.ports import Ledger

POLICY = Policy(available=frozenset({ChannelName.SMS}))


def event(key: str, kind: EventType, now: datetime, signer: str | None = None) -> Event:
    return Event(event=f"{key}-{kind}-{signer}", type=kind, request=key, signer=signer, received_at=now)


def invited(key: str, signers: int, now: datetime) -> Request:
    """A new request; every signer is invited."""
    answer = msgspec.structs.replace(read(unwrap(document(key, signers, 0)), FIELDS), id=key)
    return merge(None, answer, event(key, EventType.SENT, now), now, POLICY).request


def half_signed(key: str, now: datetime, earlier: datetime) -> Request:
    """A request with two signers, invited at `earlier`; the first signed at `now`."""
    answer = msgspec.structs.replace(read(unwrap(document(key, 2, 1)), FIELDS), id=key)
    return merge(invited(key, 2, earlier), answer, event(key, EventType.SIGNED, now, "s1"), now, POLICY).request


def progress_of(request: Request, now: datetime) -> Notice:
    """The notice that tells the second signer that the first has signed."""
    planned = planner.notices(request, now, POLICY).values()
    return next(n for n in planned if n.kind is Kind.PROGRESS)


def store(ledger: Ledger, request: Request, now: datetime) -> None:
    """Writes a half signed request, and the record of the invitation that its progress notice follows."""
    progress = progress_of(request, now)
    invitation = planner.notice_for(request, progress.signer, Kind.INVITATION, progress.channel)
    ledger.put(request.id, request, None)
    ledger.put(invitation.notice, first_record(invitation, NoticeState.ACCEPTED, now, POLICY), None)


def push_envelope(message: msgspec.Struct, now: datetime, **attributes: str) -> bytes:
    """The body of a Pub/Sub push."""
    data = base64.b64encode(msgspec.json.encode(message)).decode()
    wrapped = {"data": data, "messageId": "1", "publishTime": now, "attributes": attributes}
    return msgspec.json.encode({"subscription": "bench", "message": wrapped})
