"""No shortening: the message carries the signing URL itself."""

from shared.ports import Target


class NoShortener:
    def shorten(self, target: Target) -> str:
        return target.url
