"""What other systems hear of a request: its status, without personal data."""

from typing import Any

from shared.domain.model import Request, Role, SignerState
from shared.domain.signers import pending


def status_changed(old: Request | None, new: Request) -> bool:
    """Whether anything a customer's own system would care for is different."""
    return old is None or status_data(old) != status_data(new)


def status_data(request: Request) -> dict[str, Any]:
    """The request without personal data: what may leave for other systems."""
    counted = [s for s in request.signers.values() if s.role is Role.SIGNER and s.state is not SignerState.REMOVED]
    return {
        "request": request.id,
        "status": request.status.value,
        "round": request.round,
        "signatures": sum(s.state is SignerState.SIGNED for s in counted),
        "needed": sum(pending(s) for s in counted),
        "signers": {k: s.state.value for k, s in request.signers.items()},
    }
