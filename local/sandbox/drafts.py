"""Checks the input for a new signature request, from the form or as JSON."""

import secrets
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec

from local.sandbox.model import Role, SendTo, SignatureRequest, Signer
from shared.domain.decodable import decodable

MAX_SIGNERS = 2_000

Text = Annotated[str, msgspec.Meta(max_length=256)]


class Invalid(ValueError):
    """The input cannot be used; each reason names the field and what to change."""

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


class DraftSigner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    send_to: SendTo
    name: Text = ""
    email: Text | None = None
    mobile_number: Text | None = None
    signer_id: Text | None = None
    order: int | None = None
    role: Role = Role.SIGNER


@decodable
class Draft(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: Text
    signers: list[DraftSigner]
    sender: Text = "Ironclad Clickwrap"
    sender_email: Text = ""
    ordered: bool = False
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    notify: bool = True


def read_draft(data: object, now: datetime) -> Draft:
    """The checked input. Raises Invalid with every reason."""
    try:
        draft = msgspec.convert(data, Draft)
    except msgspec.ValidationError as error:
        raise Invalid(str(error)) from None
    reasons = [*_request_problems(draft, now), *_signer_problems(draft)]
    if reasons:
        raise Invalid(*reasons)
    return draft


def _request_problems(draft: Draft, now: datetime) -> Iterator[str]:
    if not draft.title.strip():
        yield "title: give the request a title"
    if not draft.sender.strip():
        yield "sender: say who sends the request"
    if not any(s.role is Role.SIGNER for s in draft.signers):
        yield "signers: name at least one person who signs"
    if len(draft.signers) > MAX_SIGNERS:
        yield f"signers: at most {MAX_SIGNERS}"
    if draft.expires_at is not None and draft.expires_at <= now:
        yield "expires_at: must be in the future"
    ids = [s.signer_id for s in draft.signers if s.signer_id]
    if len(ids) != len(set(ids)):
        yield "signers: each signer_id may appear once"


def _signer_problems(draft: Draft) -> Iterator[str]:
    for number, signer in enumerate(draft.signers, 1):
        where = f"signer {number}"
        if not signer.email and not signer.mobile_number:
            yield f"{where}: needs an e-mail address or a mobile number"
        if signer.email and "@" not in signer.email[1:-1]:
            yield f"{where}: {signer.email!r} is not an e-mail address"
        if signer.send_to.email and not signer.email:
            yield f"{where}: send_to.email is on, but there is no e-mail address"
        if signer.send_to.mobile_number and not signer.mobile_number:
            yield f"{where}: send_to.mobile_number is on, but there is no mobile number"


def new_request(draft: Draft, now: datetime) -> SignatureRequest:
    return SignatureRequest(
        id=new_id(),
        title=draft.title.strip(),
        sender=draft.sender.strip(),
        sender_email=draft.sender_email.strip(),
        ordered=draft.ordered,
        notify=draft.notify,
        created_at=now,
        expires_at=draft.expires_at.astimezone(UTC) if draft.expires_at else None,
        signers=tuple(_new_signer(s, number, draft.ordered) for number, s in enumerate(draft.signers, 1)),
    )


def _new_signer(draft: DraftSigner, number: int, ordered: bool) -> Signer:
    place = number if ordered and draft.role is Role.SIGNER else None
    return Signer(
        id=new_id(),
        signer_id=draft.signer_id or str(uuid.uuid4()),
        token=secrets.token_urlsafe(24),
        name=draft.name.strip(),
        email=draft.email or "",
        mobile_number=draft.mobile_number or "",
        send_to=draft.send_to,
        order=place if draft.order is None else draft.order,
        role=draft.role,
    )


def new_id() -> str:
    """24 hexadecimal digits, like the vendor's ids."""
    return secrets.token_hex(12)


# -- the form: the same input as the strings of an HTML form

EXAMPLE: dict[str, Any] = {
    "title": "Employment Agreement",
    "sender": "Acme Human Resources",
    "ordered": False,
    "expiry_days": "30",
    "signers": [
        {"name": "Eric Smith", "email": "", "mobile_number": "+13175550142", "send_to": {"mobile_number": True}},
        {"name": "Jane Doe", "email": "jane.doe@example.com", "mobile_number": "", "send_to": {"email": True}},
    ],
}
BLANK: dict[str, Any] = {"name": "", "email": "", "mobile_number": "", "send_to": {}}


def read_form(form: Mapping[str, str]) -> dict[str, Any]:
    """The form as typed, in the shape of EXAMPLE, so that it can be shown again."""
    count = sum(1 for n in range(MAX_SIGNERS) if f"signers-{n}-name" in form)
    return {
        "title": form.get("title", ""),
        "sender": form.get("sender", ""),
        "ordered": "ordered" in form,
        "expiry_days": form.get("expiry_days", ""),
        "signers": [_read_row(form, n) for n in range(count)],
    }


def _read_row(form: Mapping[str, str], n: int) -> dict[str, Any]:
    return {
        "name": form.get(f"signers-{n}-name", ""),
        "email": form.get(f"signers-{n}-email", "").strip(),
        "mobile_number": form.get(f"signers-{n}-mobile_number", "").strip(),
        "send_to": {c: f"signers-{n}-to-{c}" in form for c in ("email", "mobile_number")},
        "order": form.get(f"signers-{n}-order", ""),
    }


def draft_of_form(values: dict[str, Any], now: datetime) -> Draft:
    """The checked input of the form; empty rows are ignored. Raises Invalid with every reason."""
    reasons: list[str] = []
    rows = [row for row in values["signers"] if row["name"] or row["email"] or row["mobile_number"]]
    days = _whole("expires after (days)", values["expiry_days"], reasons)
    data = {
        "title": values["title"],
        "sender": values["sender"],
        "ordered": values["ordered"],
        "expires_at": now + timedelta(days=days) if days else None,
        "signers": [{**row, "order": _whole("order", row["order"], reasons)} for row in rows],
    }
    try:
        draft = read_draft(data, now)
    except Invalid as error:
        raise Invalid(*reasons, *error.reasons) from None
    if reasons:
        raise Invalid(*reasons)
    return draft


def _whole(label: str, typed: str, reasons: list[str]) -> int | None:
    text = typed.strip()
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) <= 4 and int(text) > 0:
        return int(text)
    reasons.append(f"{label}: {text!r} is not a whole number from 1 to 9999")
    return None
