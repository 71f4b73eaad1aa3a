"""Proof of notice: who was told what, when and by which provider, as entries of which each holds the hash before it."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from shared.domain.kinds import described
from shared.domain.model import NoticeRecord, Request, Signer, Suppression

Entry = dict[str, Any]
ABOUT = (
    "This file lists what was told to the signers of one request, when, and what their providers reported. "
    "Each entry holds the hash of the one before it, and the last hash is signed, so any change of the file after "
    "its export can be detected. It cannot show that the database held other entries before the export, or that "
    "entries were removed from it until then. Personal data is deleted some time after a request ends; what was "
    "deleted by the time of the export is not in this file. Times are UTC, by the clock of the service."
)


def entries(request: Request, records: Mapping[str, NoticeRecord], blocked: Mapping[str, Suppression]) -> list[Entry]:
    """Everything that is kept of one request, the oldest first; what has no time comes before.

    blocked: suppressions by the key of their address.
    """
    found = [*_of_request(request), *_of_signers(request), *_of_notices(request, records), *_of_blocked(blocked)]
    return sorted(found, key=lambda entry: str(entry["at"]))


def chained(found: Sequence[Entry]) -> list[Entry]:
    """The same entries, numbered, each with the hash of the one before and with its own."""
    chain: list[Entry] = []
    for number, entry in enumerate(found, 1):
        whole = {**entry, "number": number, "previous": chain[-1]["hash"] if chain else ""}
        chain.append({**whole, "hash": hashlib.sha256(canonical(whole)).hexdigest()})
    return chain


def canonical(value: object) -> bytes:
    """The one form in which a value is hashed, signed and written; "<" cannot end the element of a page it is in."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").encode()


def _of_request(request: Request) -> Iterator[Entry]:
    about = {"title": request.title, "sender": request.sender, "status": request.status.value, "round": request.round}
    yield _entry(request.created_at, "request", **about, deleted=request.forgotten)
    for event, handled in request.events.items():
        yield _entry(handled, "webhook handled", event=event)
    if request.completed_at:
        yield _entry(request.completed_at, "complete")
    for note in request.notes:
        yield _entry(note.at, "operator", who=note.who, what=note.what, why=note.why)


def _of_signers(request: Request) -> Iterator[Entry]:
    for signer in request.signers.values():
        who = {"signer": signer.number, "name": signer.name, "email": signer.email, "mobile": signer.mobile}
        yield _entry(None, "signer", **who, role=signer.role.value, state=signer.state.value)
        if signer.invited_at:
            yield _entry(signer.invited_at, "met as invited" if signer.adopted else "invited", signer=signer.number)
        if signer.signed_at:
            yield _entry(signer.signed_at, "signed", signer=signer.number)


def _of_notices(request: Request, records: Mapping[str, NoticeRecord]) -> Iterator[Entry]:
    for key, record in records.items():
        facts = {
            "notice": key,
            "message": described(record),
            "round": record.round,
            "signer": _number(request.signers.get(record.signer)),
            "channel": record.channel.value,
            "provider": record.provider,
            "provider_id": record.provider_id,
            "address_key": record.address,
            "text": record.text,
        }
        for change in record.history:
            yield _entry(change.at, "notice", **facts, state=change.state.value, reason=change.why)


def _of_blocked(blocked: Mapping[str, Suppression]) -> Iterator[Entry]:
    for key, s in blocked.items():
        yield _entry(s.since, "address blocked", channel=s.channel.value, address_key=key, reason=s.reason)
        if s.cleared_at:
            cleared = {"who": s.cleared_by, "why": s.cleared_why}
            yield _entry(s.cleared_at, "address allowed again", channel=s.channel.value, address_key=key, **cleared)


def _number(signer: Signer | None) -> int:
    return signer.number if signer else 0


def _entry(at: datetime | None, label: str, **facts: object) -> Entry:
    """Without what is empty: an absent field says the same."""
    return {"at": at.isoformat() if at else "", "type": label, **{k: v for k, v in facts.items() if v}}
