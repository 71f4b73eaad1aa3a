"""What other systems hear of a request: its status, without personal data."""

from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from shared.domain.model import Request, SignerState
from shared.domain.signers import counted_signers, pending


def counted_status(old: Request | None, new: Request, now: datetime) -> Request:
    """The new state, its change counted where anything that a customer's own system would care for is different."""
    if old and status_data(old) == status_data(new):
        return new
    return replace(new, status_sequence=new.status_sequence + 1, status_at=now)


def changed_last(request: Request) -> bool:
    """Whether the last reading changed the status: a crash may have cost its event."""
    return request.status_at is not None and request.status_at == request.checked_at


def status_data(request: Request) -> dict[str, Any]:
    """The request without personal data: what may leave for other systems."""
    counted = counted_signers(request)
    return {
        "request": request.id,
        "status": request.status.value,
        "round": request.round,
        "signatures": sum(s.state is SignerState.SIGNED for s in counted),
        "needed": sum(pending(s) for s in counted),
        "signers": {k: s.state.value for k, s in request.signers.items()},
    }


class StatusEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One message on `request-status`: CloudEvents 1.0, JSON format."""

    specversion: str = "1.0"
    id: str
    source: str = "clickwrap-relay"
    type: str
    subject: str
    time: datetime
    datacontenttype: str = "application/json"
    data: dict[str, Any]


def status_event(request: Request) -> StatusEvent:
    """Id, sequence and time are of the commit that changed the status."""
    at = request.status_at or request.checked_at
    assert at is not None, "a stored request was read at some time"
    return StatusEvent(
        id=f"{request.id}.{request.status_sequence}",
        type=f"clickwrap.request.{request.status.value}",
        subject=request.id,
        time=at,
        data={**status_data(request), "sequence": request.status_sequence},
    )
