"""`control/relay`: how the relay itself is doing, as all instances know it."""

from collections.abc import Callable

from shared.domain.model import RelayStatus
from shared.ports import Ledger

RELAY = "relay"  # the document's key


def update_status(ledger: Ledger, change: Callable[[RelayStatus], RelayStatus]) -> RelayStatus:
    """Changes it and returns it as it is then. Raises RetryLater."""
    _, after = ledger.update(RelayStatus, RELAY, lambda old: change(old or RelayStatus()))
    return after or RelayStatus()
