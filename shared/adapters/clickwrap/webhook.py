"""Clickwrap's webhook: its token header, its event types, and how its body becomes an `Event`.

Implements the port WebhookReader. No database and no API call is made here.
"""

import hmac
import re
from collections.abc import Mapping
from datetime import datetime

import msgspec

from shared.adapters.clickwrap.ids import REQUEST_ID
from shared.domain.decodable import decodable
from shared.domain.model import Event, EventType
from shared.ports import WebhookRejected

HEADER = "Pactsafe-Webhook-Token"
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
TYPES = {**{t.value: t for t in EventType}, "request_completed": EventType.COMPLETE}
# The vendor's sentences around a request's name. The person's name in front of it is not kept.
TITLE = {
    EventType.SENT: re.compile(r".*? sent (?P<title>.+)", re.DOTALL),
    EventType.SIGNED: re.compile(r".*? signed (?P<title>.+)", re.DOTALL),
    EventType.COMPLETE: re.compile(r"(?P<title>.+) has been completed", re.DOTALL),
    EventType.EXPIRED: re.compile(r"(?P<title>.+) has expired", re.DOTALL),
}


@decodable
class Webhook(msgspec.Struct):
    """The keys that are read. Ids are strings or integers; they are checked only for events that are relayed."""

    event_type: str
    id: object = None
    request: object = None
    signer: object = None
    site: object = None
    integration: object = None
    description: msgspec.Raw = msgspec.Raw(b"null")


class ClickwrapWebhook:
    """Reads the vendor's webhooks.

    Args:
        tokens: accepted webhook tokens; two during a rotation.
        sites: ids of the sites whose events are relayed; empty means all.
        integrations: the same for integrations.
        titles: whether the title in a webhook's description is passed on.

    Raises:
        ValueError: no token is given.
    """

    def __init__(
        self,
        tokens: tuple[str, ...],
        *,
        sites: frozenset[str] = frozenset(),
        integrations: frozenset[str] = frozenset(),
        titles: bool = False,
    ) -> None:
        if not tokens:
            raise ValueError("at least one webhook token is needed")
        self._tokens = [t.encode() for t in tokens]
        self._titles = titles
        self._allowed = (("site", sites), ("integration", integrations))

    def authenticate(self, headers: Mapping[str, str]) -> None:
        """Checks the token header. Takes the same time whichever token matches.

        Raises:
            WebhookRejected: 401, the token is missing or wrong.
        """
        # WSGI decodes headers as Latin-1; a character outside it cannot come from a request.
        given = (headers.get(HEADER) or "").encode("latin-1", "xmlcharrefreplace")
        matches = [hmac.compare_digest(given, known) for known in self._tokens]
        if not any(matches):
            raise WebhookRejected(401, f"the {HEADER} header is missing or wrong")

    def event(self, body: bytes, now: datetime) -> Event | None:
        """Reads the event; None when its type, site or integration is not one to relay.

        Raises:
            WebhookRejected: 400, the body is not a webhook or an id has the wrong form.
        """
        hook = _parse(body)
        kind = TYPES.get(hook.event_type)
        if not kind or not self._wanted(hook):
            return None
        return _event(hook, kind, now, _title_hint(kind, hook.description) if self._titles else "")

    def _wanted(self, hook: Webhook) -> bool:
        return all(not allowed or _id_of(getattr(hook, key)) in allowed for key, allowed in self._allowed)


def _event(hook: Webhook, kind: EventType, now: datetime, title: str) -> Event:
    named = isinstance(hook.signer, str | int) and hook.signer != ""
    return Event(
        event=_opaque("id", hook.id),
        type=kind,
        request=_request_id(hook.request),
        signer=_opaque("signer", hook.signer) if named else None,
        title_hint=title,
        received_at=now,
    )


def _id_of(value: object) -> str:
    """The id of a site or integration, which the vendor may send expanded as an object."""
    return str(value.get("id") if isinstance(value, dict) else value)


def _parse(body: bytes) -> Webhook:
    try:
        return msgspec.json.decode(body, type=Webhook)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise WebhookRejected(400, f"not a webhook: {e}") from e
    except RecursionError as e:
        raise WebhookRejected(400, "not a webhook: nested too deeply") from e


def _request_id(value: object) -> str:
    request = _opaque("request", value)
    if not REQUEST_ID.fullmatch(request):
        raise WebhookRejected(400, "request must be 1 to 128 letters, digits, '_' or '-'")
    return request


def _opaque(name: str, value: object) -> str:
    """An id that customers choose freely: any text of 1 to 256 characters without control characters."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not 1 <= len(text) <= 256 or CONTROL.search(text):
        raise WebhookRejected(400, f"{name} must be 1 to 256 characters without control characters")
    return text


def _title_hint(kind: EventType, description: bytes) -> str:
    """The request's name from the vendor's sentence; "" when the sentence has another form.

    It is used when the API's answer holds no title.
    """
    try:
        text = msgspec.json.decode(description, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    found = TITLE[kind].fullmatch(text)
    return found["title"][:200] if found else ""
