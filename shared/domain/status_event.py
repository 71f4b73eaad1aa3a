"""What other systems hear of a request: its status, without personal data. docs/status-events.md is the contract."""

from datetime import datetime
from typing import Generic, TypeVar

import msgspec
from msgspec.structs import replace

from shared.domain.decodable import decodable
from shared.domain.model import Request, Signer, SignerState, Status
from shared.domain.signers import counted, needed

T = TypeVar("T")


class CloudEvent(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One message on `request-status`: CloudEvents 1.0, JSON format."""

    specversion: str = "1.0"
    id: str
    source: str = "clickwrap-relay"
    type: str
    subject: str
    time: datetime
    datacontenttype: str = "application/json"
    data: T


RawEvent = CloudEvent[msgspec.Raw]  # with its data as it came
decodable(RawEvent)


class SignerStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One signer. id: the customer's own, where that is wanted, since it may be an e-mail address."""

    number: int
    state: SignerState
    id: str = ""
    invited_at: datetime | None = None
    signed_at: datetime | None = None


class RequestStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A request. sequence: rises by one with every change. signers: by a key that stays the same."""

    request: str
    status: Status
    round: int
    signatures: int
    needed: int
    signers: dict[str, SignerStatus]
    sequence: int


class StatusEvent(CloudEvent[RequestStatus], frozen=True, kw_only=True):
    """A change of a request's status: CloudEvents 1.0, JSON format."""


def counted_status(old: Request | None, new: Request, now: datetime) -> Request:
    """The new state, its change counted where anything that a customer's own system would care for is different."""
    if old and request_status(old) == request_status(replace(new, status_sequence=old.status_sequence)):
        return new
    return replace(new, status_sequence=new.status_sequence + 1, status_at=now)


def changed_last(request: Request) -> bool:
    """Whether the last reading changed the status: a crash may have cost its event."""
    return request.status_at is not None and request.status_at == request.checked_at


def changed_by_recheck(request: Request) -> bool:
    """Whether that reading was a recheck's. An event would come again after a crash, a recheck does not."""
    return changed_last(request) and request.checked_at not in request.events.values()


def request_status(request: Request, *, signer_ids: bool = False) -> RequestStatus:
    """What may leave for other systems. signer_ids: with the customer's own ids of the signers."""
    those = counted(request.signers)
    return RequestStatus(
        request=request.id,
        status=request.status,
        round=request.round,
        signatures=sum(s.state is SignerState.SIGNED for s in those),
        needed=needed(request),
        signers={key: _signer_status(s, signer_ids) for key, s in request.signers.items()},
        sequence=request.status_sequence,
    )


def _signer_status(signer: Signer, with_id: bool) -> SignerStatus:
    shown = signer.aliases[0] if with_id and signer.aliases else ""
    times = {"invited_at": signer.invited_at, "signed_at": signer.signed_at}
    return SignerStatus(number=signer.number, state=signer.state, id=shown, **times)


def status_event(request: Request, *, signer_ids: bool = False) -> StatusEvent:
    """Id, sequence and time are of the commit that changed the status."""
    at = request.status_at or request.checked_at
    assert at is not None, "a stored request was read at some time"
    return StatusEvent(
        id=f"{request.id}.{request.status_sequence}",
        type=f"clickwrap.request.{request.status.value}",
        subject=request.id,
        time=at,
        data=request_status(request, signer_ids=signer_ids),
    )
