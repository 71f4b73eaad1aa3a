"""A signature request as Clickwrap stores it, and its changes. No I/O and no clock; times are aware and in UTC."""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from shared.domain.decodable import decodable


class Status(StrEnum):
    """The states in the vendor's help centre; the API's spelling is undocumented."""

    SENT = "sent"
    OPEN = "open"  # somebody has opened a signing page
    PAUSED = "paused"
    EXPIRED = "expired"
    COMPLETE = "complete"


class Role(StrEnum):
    SIGNER = "signer"
    RECIPIENT = "recipient"  # gets a copy and does not sign


class EventType(StrEnum):
    SENT = "request_sent"
    SIGNED = "request_signed"
    COMPLETE = "request_complete"
    EXPIRED = "request_expired"


class SendTo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    email: bool = False
    mobile_number: bool = False


class Signer(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    signer_id: str  # the customer's own id of this signer: any text
    token: str  # gives access to this signer's page
    name: str = ""
    email: str = ""
    mobile_number: str = ""
    send_to: SendTo
    order: int | None = None
    role: Role = Role.SIGNER
    signed_at: datetime | None = None

    @property
    def label(self) -> str:
        return self.name or self.email or self.mobile_number or self.signer_id


@decodable
class SignatureRequest(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    title: str
    sender: str
    ordered: bool
    notify: bool  # whether Clickwrap sends its own messages; the sandbox only stores this
    created_at: datetime
    expires_at: datetime | None
    signers: tuple[Signer, ...]
    sender_email: str = ""
    revision: int = 1
    opened: bool = False
    paused: bool = False
    expired: bool = False
    completed_at: datetime | None = None

    @property
    def status(self) -> Status:
        if self.completed_at:
            return Status.COMPLETE
        if self.expired:
            return Status.EXPIRED
        if self.paused:
            return Status.PAUSED
        return Status.OPEN if self.opened else Status.SENT

    @property
    def over(self) -> bool:
        return self.status in (Status.COMPLETE, Status.EXPIRED)

    @property
    def missing(self) -> tuple[Signer, ...]:
        """The signers who have not signed yet."""
        return tuple(s for s in self.signers if s.role is Role.SIGNER and s.signed_at is None)

    def holder(self, token: str) -> Signer:
        return next(s for s in self.signers if s.token == token)

    def reached(self, signer: Signer) -> bool:
        """Whether this signer may sign now: everybody with a lower order has signed."""
        if not self.ordered or signer.order is None:
            return True
        return all(s.order is None or s.order >= signer.order for s in self.missing)


class WebhookEvent(msgspec.Struct, frozen=True):
    """An event that Clickwrap sends as a webhook."""

    type: EventType
    signer: Signer | None = None


class Change(msgspec.Struct, frozen=True):
    request: SignatureRequest
    events: tuple[WebhookEvent, ...] = ()


class Refused(Exception):
    """The request's state does not allow it; the text says why."""


def created(request: SignatureRequest) -> Change:
    return Change(request, (WebhookEvent(EventType.SENT),))


def opened(request: SignatureRequest) -> Change:
    return Change(replace(request, opened=True))


def signed(request: SignatureRequest, token: str, now: datetime) -> Change:
    """Record a signature; the last one also completes the request. A repeated call changes nothing. Raises Refused."""
    signer = request.holder(token)
    if signer.signed_at is not None:
        return Change(request)
    reason = blocker(request, signer)
    if reason:
        raise Refused(reason)
    done = replace(signer, signed_at=now)
    signers = tuple(done if s is signer else s for s in request.signers)
    request = replace(request, opened=True, signers=signers)
    events = [WebhookEvent(EventType.SIGNED, done)]
    if not request.missing:
        request = replace(request, completed_at=now)
        events.append(WebhookEvent(EventType.COMPLETE))
    return Change(request, tuple(events))


CLOSED = {
    Status.COMPLETE: "This request is complete.",
    Status.EXPIRED: "This request has expired.",
    Status.PAUSED: "Signing is paused. You can read the agreement, and sign once the sender resumes.",
}


def blocker(request: SignatureRequest, signer: Signer) -> str:
    """Why this signer cannot sign now; "" if they can."""
    if request.status in CLOSED:
        return CLOSED[request.status]
    if signer.role is Role.RECIPIENT:
        return "You receive a copy. Nothing needs your signature."
    return "" if request.reached(signer) else "It is not your turn yet. Somebody before you still has to sign."


def pause(request: SignatureRequest, now: datetime) -> Change:
    return Change(replace(_live(request, "pause"), paused=True))


def resume(request: SignatureRequest, now: datetime) -> Change:
    if request.status is not Status.PAUSED:
        raise Refused(f"cannot resume: the request is {request.status}, not paused")
    return Change(replace(request, paused=False))


def revise(request: SignatureRequest, now: datetime) -> Change:
    """Replace the text: the request is sent again and everybody signs again."""
    _unfinished(request, "revise")
    signers = tuple(replace(s, signed_at=None) for s in request.signers)
    again = replace(request, signers=signers, paused=False, revision=request.revision + 1)
    return Change(again, (WebhookEvent(EventType.SENT),))


def expire(request: SignatureRequest, now: datetime) -> Change:
    return Change(replace(_unfinished(request, "expire"), expired=True), (WebhookEvent(EventType.EXPIRED),))


def complete(request: SignatureRequest, now: datetime) -> Change:
    """Mark as complete after signatures on paper: no request_signed is sent, and no signature is added."""
    return Change(replace(_unfinished(request, "complete"), completed_at=now), (WebhookEvent(EventType.COMPLETE),))


def resend(request: SignatureRequest, now: datetime) -> Change:
    return Change(_live(request, "resend"), (WebhookEvent(EventType.SENT),))


ACTIONS: dict[str, Callable[[SignatureRequest, datetime], Change]] = {
    "pause": pause,
    "resume": resume,
    "revise": revise,
    "resend": resend,
    "complete": complete,
    "expire": expire,
}


def possible_actions(request: SignatureRequest, now: datetime) -> list[str]:
    return [name for name in ACTIONS if _allowed(name, request, now)]


def _allowed(name: str, request: SignatureRequest, now: datetime) -> bool:
    try:
        ACTIONS[name](request, now)
    except Refused:
        return False
    return True


def _live(request: SignatureRequest, action: str) -> SignatureRequest:
    if request.status not in (Status.SENT, Status.OPEN):
        raise Refused(f"cannot {action}: the request is {request.status}")
    return request


def _unfinished(request: SignatureRequest, action: str) -> SignatureRequest:
    if request.over:
        raise Refused(f"cannot {action}: the request is {request.status}")
    return request
