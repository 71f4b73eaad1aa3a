"""`control/relay`: how the relay itself is doing, as all instances know it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.model import RelayStatus
from shared.ports import Ledger

RELAY = "relay"  # the document's key


def read_status(ledger: Ledger) -> RelayStatus:
    """As it is now. Raises RetryLater."""
    with _no_message_fails():
        stored = ledger.get(RelayStatus, RELAY)
    return stored.item if stored else RelayStatus()


def update_status(ledger: Ledger, change: Callable[[RelayStatus], RelayStatus]) -> RelayStatus:
    """Changes it and returns it as it is then. Raises RetryLater."""
    with _no_message_fails():
        _, after = ledger.update(RelayStatus, RELAY, lambda old: change(old or RelayStatus()))
    return after or RelayStatus()


@contextmanager
def _no_message_fails() -> Iterator[None]:
    """A document that cannot be decoded, like one of a newer version, is as one out of reach: messages do without."""
    try:
        yield
    except PermanentFailure as e:
        raise RetryLater(e.reason) from e
