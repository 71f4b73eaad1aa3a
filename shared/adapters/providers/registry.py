"""The providers, found by their modules: `sms/` and `email/` hold one for each. Only those in use are imported."""

import pkgutil
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from shared.domain.model import ChannelName
from shared.ports import Channel, ReceiptVerifier
from shared.setting_types import ProviderSpec, Values

HERE = Path(__file__).parent


@cache
def names(channel: ChannelName) -> tuple[str, ...]:
    """In the order of the alphabet."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules([str(HERE / channel)])))


def every() -> Iterator[tuple[ChannelName, str]]:
    """Channel and name of each."""
    return ((channel, name) for channel in ChannelName for name in names(channel))


def spec(channel: ChannelName, name: str) -> ProviderSpec:
    """The spec of one provider."""
    found = _module(channel, name).SPEC
    assert isinstance(found, ProviderSpec)
    return found


def sender(channel: ChannelName, name: str, values: Values, clock: Callable[[], datetime]) -> Channel:
    """Raises SettingError."""
    made: Channel = sender_class(channel, name)(values, clock)
    return made


def sender_class(channel: ChannelName, name: str) -> Callable[..., Channel]:
    """Its Sender, not made yet."""
    found: Callable[..., Channel] = _module(channel, name).Sender
    return found


def receipt_verifier(channel: ChannelName, name: str, values: Values) -> ReceiptVerifier | None:
    """None for a provider that sends no receipts. Raises SettingError."""
    made = getattr(_module(channel, name), "ReceiptVerifier", None)
    found: ReceiptVerifier | None = made(values) if made else None
    return found


def _module(channel: ChannelName, name: str) -> ModuleType:
    return import_module(f"{__package__}.{channel}.{name}")
