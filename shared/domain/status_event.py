"""What other systems hear of a request: its status, without personal data."""

from datetime import datetime
from typing import Any

from shared.domain.model import Request, SignerState, digest
from shared.domain.signers import counted_signers, pending


def status_changed(old: Request | None, new: Request) -> bool:
    """Whether anything a customer's own system would care for is different."""
    return old is None or status_data(old) != status_data(new)


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


def status_event(request: Request, now: datetime) -> dict[str, object]:
    """CloudEvents 1.0, JSON format. The id is the same for the same status, so a consumer can drop a repetition."""
    data = status_data(request)
    return {
        "specversion": "1.0",
        "id": digest(data)[:32],
        "source": "clickwrap-relay",
        "type": f"clickwrap.request.{request.status.value}",
        "subject": request.id,
        "time": now,
        "datacontenttype": "application/json",
        "data": data,
    }
