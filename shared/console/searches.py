"""What was searched for lately, kept in the browser's cookie alone.

A page's address ends up in logs, so it holds a random key and not the text: Back and a bookmark work in the browser
that searched, and lead nobody else to a name.
"""

import base64
import secrets

import msgspec

COOKIE = "searches"
KEPT = 30 * 86_400  # seconds
LAST = 8  # texts in one cookie: it may hold 4 KB

Searches = list[tuple[str, str]]


def add(text: str, cookie: str) -> tuple[str, str]:
    """The text's key, and the cookie with it. A text that is there already keeps its key."""
    known = _read(cookie)
    key = next((k for k, t in known if t == text), secrets.token_urlsafe(9))
    rest = [(k, t) for k, t in known if k != key]
    return key, base64.urlsafe_b64encode(msgspec.json.encode([(key, text), *rest][:LAST])).decode()


def text_of(key: str, cookie: str) -> str:
    """The text of a key; "" in a browser that did not search for it, or whose cookie has gone."""
    return dict(_read(cookie)).get(key, "")


def _read(cookie: str) -> Searches:
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cookie), type=Searches)
    except (ValueError, msgspec.DecodeError):
        return []
