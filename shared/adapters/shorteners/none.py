"""No shortening: the message carries the signing URL itself."""

from collections.abc import Callable
from datetime import datetime, timedelta

from shared.ports import Ledger, Shortener, Target
from shared.setting_types import ShortenerSpec, Values

SPEC = ShortenerSpec(title="No shortener", documentation="", settings=())


class NoShortener:
    """Implements the port Shortener without shortening."""

    def shorten(self, target: Target) -> str:
        """The URL as it is."""
        return target.url


def make(values: Values, ledger: Ledger, retention: timedelta, clock: Callable[[], datetime]) -> Shortener:
    return NoShortener()
