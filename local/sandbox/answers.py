"""The JSON bodies of the API's responses and of webhooks.

The vendor documents only `signers[].send_to`, `signers[].signer.{email,mobile_number}` and `signers[].request_url`
(guide on own e-mail and SMS providers), the envelope of lists (reference on pagination) and the webhook bodies (page
on webhook events). The other field names are guesses; the setting `fields=documented` leaves them out.
"""

from datetime import datetime
from typing import Any

import msgspec

from local.sandbox.drafts import new_id
from local.sandbox.model import EventType, SignatureRequest, Signer, WebhookEvent
from local.sandbox.settings import Settings
from local.sandbox.store import Webhook

SITE, USER, INTEGRATION = 1, 1, "5f9037ce2b1d4c0012ab34cd"


def iso(at: datetime | None) -> str | None:
    """ISO 8601 in UTC with milliseconds and Z, as in the vendor's examples."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else None


def answer(request: SignatureRequest, settings: Settings, public_url: str) -> dict[str, Any]:
    """The body of `GET /requests/:id`."""
    shape = full if settings.fields == "full" else documented
    body = shape(request, public_url)
    return {"data": body} if settings.envelope == "data" else body


def documented(request: SignatureRequest, public_url: str) -> dict[str, Any]:
    return {"signers": [_contacts(s, request, public_url) for s in request.signers]}


def _contacts(signer: Signer, request: SignatureRequest, public_url: str) -> dict[str, Any]:
    return {
        "send_to": msgspec.to_builtins(signer.send_to),
        "signer": {"email": signer.email or None, "mobile_number": signer.mobile_number or None},
        "request_url": signing_url(signer, public_url) if request.reached(signer) or request.over else None,
    }


def signing_url(signer: Signer, public_url: str) -> str:
    return f"{public_url}/sign/{signer.token}"


def full(request: SignatureRequest, public_url: str) -> dict[str, Any]:
    return {
        "id": request.id,
        "name": request.title,
        "description": f"Please review and sign {request.title}.",
        "site": SITE,
        "status": request.status.value,
        "created_time": iso(request.created_at),
        "expires_time": iso(request.expires_at),
        "completed_time": iso(request.completed_at),
        "created_by": {"name": request.sender, "email": request.sender_email or None},
        "signing_order": request.ordered,
        "notify": request.notify,
        "download_url": f"{public_url}/download/{request.id}" if request.completed_at else None,
        "contracts": [{"id": int(request.id[:7], 16), "title": request.title}],
        "signers": [_signer(s, request, public_url) for s in request.signers],
    }


def _signer(signer: Signer, request: SignatureRequest, public_url: str) -> dict[str, Any]:
    contacts = _contacts(signer, request, public_url)
    first, _, last = signer.name.partition(" ")
    person = {
        "signer_id": signer.signer_id,
        "name": signer.name,
        "additional_attributes": {"first_name": first, "last_name": last},
    }
    return {
        "id": signer.id,
        "signer_id": signer.signer_id,
        "order": signer.order,
        "role": signer.role.value,
        "status": "signed" if signer.signed_at else "sent",
        "signed": signer.signed_at is not None,
        "signed_time": iso(signer.signed_at),
        **contacts,
        "signer": contacts["signer"] | person,
    }


def page(requests: list[SignatureRequest], total: int, number: int, size: int, settings: Settings, url: str) -> Any:
    """The body of a list. Items have an id in every mode, because a list without ids is of no use."""
    shape = full if settings.fields == "full" else documented
    return {
        "page": number,
        "per_page": size,
        "count": len(requests),
        "total_count": total,
        "has_more": number * size < total,
        "data": [{"id": r.id} | shape(r, url) for r in requests],
    }


ERRORS = {
    400: ("BadRequestError", "Bad request."),
    401: ("UnauthorizedError", "The requester is unauthorized."),
    403: ("ForbiddenError", "Forbidden."),
    404: ("NotFoundError", "Not found."),
    429: ("RateLimitExceededError", "Request limit has been reached for the current rate limit period."),
}


def error(status: int, message: str = "") -> dict[str, Any]:
    """The body of an error. The vendor documents it for 429 only; we assume the same form for the others."""
    name, text = ERRORS.get(status, ("Error", "Something went wrong."))
    return {"error": {"message": message or text, "status": status, "name": name}}


# -- webhooks


def webhook(event: WebhookEvent, request: SignatureRequest, sent_to: str, now: datetime) -> Webhook:
    key = new_id()
    body = {
        "deliverable": True,
        "type": "webhook",
        "integration": INTEGRATION,
        "sent_to": sent_to,
        "event_type": event.type.value,
        "description": _description(event, request),
        "site": SITE,
        "request": request.id,
        **_actor(event),
        "created_time": iso(now),
        "updated_time": iso(now),
        "id": key,
    }
    raw = msgspec.json.encode(body)
    return Webhook(id=key, request=request.id, type=event.type.value, body=raw, fired_at=now)


def _description(event: WebhookEvent, request: SignatureRequest) -> str:
    who = event.signer.label if event.signer else request.sender
    return {
        EventType.SENT: f"{who} sent {request.title}",
        EventType.SIGNED: f"{who} signed {request.title}",
        EventType.COMPLETE: f"{request.title} has been completed",
        EventType.EXPIRED: f"{request.title} has expired",
    }[event.type]


def _actor(event: WebhookEvent) -> dict[str, Any]:
    """request_sent names the user, request_signed names the signer; the other events name nobody."""
    if event.type is EventType.SENT:
        return {"user": USER}
    return {"signer": event.signer.signer_id} if event.signer else {}
