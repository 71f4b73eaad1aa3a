"""No shortening: the message carries the signing URL itself."""

from shared.ports import Target


class NoShortener:
    """Implements the port Shortener without shortening."""

    def shorten(self, target: Target) -> str:
        """The URL as it is."""
        return target.url
