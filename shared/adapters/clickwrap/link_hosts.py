"""Which hosts the links in messages may lead to. The relay never fetches them, but signers open them."""

import re
from collections.abc import Callable
from urllib.parse import SplitResult, urlsplit

import msgspec

# A name of two labels or more. An address in any of its spellings ends in a label that begins with a digit.
NAME = re.compile(r"([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.)+[a-z]([a-z0-9-]*[a-z0-9])?")
# RFC 6761, RFC 6762, RFC 8375 and ICANN's board resolution of 29 July 2024 on .internal
PRIVATE = ("localhost", "localdomain", "local", "internal", "home.arpa")
LOOPBACK = ("127.0.0.1", "::1", "localhost")
UNSAFE = frozenset(' \\"<>`')  # browsers parse them differently from urlsplit


class Hosts(msgspec.Struct, frozen=True):
    """allowed: domains that stand for themselves and all below them; none allows every public name.

    loopback: links to this machine are fine, with plain http too.
    """

    allowed: tuple[str, ...] = ()
    loopback: bool = False

    def refusal(self, url: str) -> str:
        """Why a link is not used; "" when it may be."""
        parts = _split(url)
        if parts is None:
            return "it is no plain URL"
        host = (parts.hostname or "").removesuffix(".")
        if self.loopback and host in LOOPBACK and parts.scheme in ("http", "https"):
            return ""
        rules: tuple[tuple[Callable[[], bool], str], ...] = (
            (lambda: parts.scheme == "https", "it is not https"),
            (lambda: bool(NAME.fullmatch(host)) and not _below(host, PRIVATE), "its host has no public name"),
            (lambda: not self.allowed or _below(host, self.allowed), "its host is not of LINK_HOSTS"),
        )
        return next((reason for fits, reason in rules if not fits()), "")


PUBLIC = Hosts()


def on_loopback(url: str) -> bool:
    """Whether a URL leads to this machine."""
    return urlsplit(url).hostname in LOOPBACK


def _split(url: str) -> SplitResult | None:
    """None for a URL that two parsers might read differently, and for one with a user name."""
    if not url.isprintable() or UNSAFE & set(url):
        return None
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises for what is no port
    except ValueError:
        return None
    return None if "@" in parts.netloc else parts


def _below(host: str, domains: tuple[str, ...]) -> bool:
    return any(host == d or host.endswith(f".{d}") for d in domains)
