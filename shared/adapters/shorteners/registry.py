"""The shorteners, found by their modules in this folder. Only the one in use is imported."""

import pkgutil
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from shared.ports import Ledger, Shortener
from shared.setting_types import ShortenerSpec, Values

HERE = Path(__file__).parent


@cache
def names() -> tuple[str, ...]:
    """In the order of the alphabet, "none" last."""
    found = {module.name for module in pkgutil.iter_modules([str(HERE)]) if not module.ispkg}
    return tuple(sorted(found - {"registry"}, key=lambda name: (name == "none", name)))


def spec(name: str) -> ShortenerSpec:
    """The spec of one shortener."""
    found = _module(name).SPEC
    assert isinstance(found, ShortenerSpec)
    return found


def shortener(
    name: str, values: Values, ledger: Ledger, retention: timedelta, clock: Callable[[], datetime]
) -> Shortener:
    """retention: how long a link is kept. Raises SettingError."""
    made: Shortener = _module(name).make(values, ledger, retention, clock)
    return made


def _module(name: str) -> ModuleType:
    return import_module(f"{__package__}.{name}")
