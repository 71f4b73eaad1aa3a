"""A webhook at the door: is it Clickwrap's, is it whole, does it concern us? No database, no API call."""

import hmac
import logging
import re
from collections.abc import Callable
from datetime import datetime

import msgspec

from shared.domain.errors import RetryLater
from shared.domain.model import Event, EventType
from shared.ports import Bus, Message

MAX_BODY = 256 * 1024  # bytes
REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")  # it goes into a URL, so nothing else is let through
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
TYPES = {**{t.value: t for t in EventType}, "request_completed": EventType.COMPLETE}
TITLE = {
    # the vendor's sentences around a request's name; the person's name in front is not taken along
    EventType.SENT: re.compile(r".*? sent (?P<title>.+)", re.DOTALL),
    EventType.SIGNED: re.compile(r".*? signed (?P<title>.+)", re.DOTALL),
    EventType.COMPLETE: re.compile(r"(?P<title>.+) has been completed", re.DOTALL),
    EventType.EXPIRED: re.compile(r"(?P<title>.+) has expired", re.DOTALL),
}

log = logging.getLogger(__name__)


class WebhookRejected(Exception):
    """A 4xx or 503 with a one-line reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class Webhook(msgspec.Struct):
    """The keys we read. Ids come as strings or integers, and are judged once the event is one of ours."""

    event_type: str
    id: object = None
    request: object = None
    signer: object = None
    site: object = None
    integration: object = None
    description: msgspec.Raw = msgspec.Raw(b"null")


class Receive:
    def __init__(
        self,
        bus: Bus,
        topic: str,
        tokens: tuple[str, ...],
        clock: Callable[[], datetime],
        *,
        sites: frozenset[str] = frozenset(),
        integrations: frozenset[str] = frozenset(),
    ) -> None:
        if not tokens:
            raise ValueError("at least one webhook token is needed")
        self._bus, self._topic, self._clock = bus, topic, clock
        self._tokens = [t.encode() for t in tokens]
        self._allowed = (("site", sites), ("integration", integrations))

    def authenticate(self, token: str | None) -> None:
        """Constant time whichever token fits. Raises WebhookRejected (401)."""
        given = (token or "").encode("latin-1", "xmlcharrefreplace")  # WSGI's form; no other letter can come in
        matches = [hmac.compare_digest(given, known) for known in self._tokens]
        if not any(matches):
            raise WebhookRejected(401, "the Pactsafe-Webhook-Token header is missing or wrong")

    def accept(self, body: bytes) -> str:
        """Publishes a request event. Returns "accepted" or "ignored"; raises WebhookRejected."""
        hook = parse(body)
        kind = TYPES.get(hook.event_type)
        if kind is None or not self._wanted(hook):
            return "ignored"
        event = self._event(hook, kind)
        try:
            self._bus.publish(self._topic, [Message(msgspec.json.encode(event), {"type": kind.value})])
        except RetryLater as e:
            raise WebhookRejected(503, "the event could not be stored; send it again") from e
        # below INFO, and `resolve` logs the event: this line would cost a tenth of what an instance can take
        log.debug("webhook accepted", extra={"json": {"event": event.event, "type": kind, "request": event.request}})
        return "accepted"

    def _wanted(self, hook: Webhook) -> bool:
        return all(not allowed or _id_of(getattr(hook, key)) in allowed for key, allowed in self._allowed)

    def _event(self, hook: Webhook, kind: EventType) -> Event:
        request = opaque("request", hook.request)
        if not REQUEST_ID.fullmatch(request):
            raise WebhookRejected(400, "request must be 1 to 128 letters, digits, '_' or '-'")
        return Event(
            event=opaque("id", hook.id),
            type=kind,
            request=request,
            signer=opaque("signer", hook.signer) if isinstance(hook.signer, str | int) and hook.signer != "" else None,
            title_hint=title_hint(kind, hook.description),
            received_at=self._clock(),
        )


def _id_of(value: object) -> str:
    """Of a site or integration, which may come expanded."""
    return str(value.get("id") if isinstance(value, dict) else value)


def parse(body: bytes) -> Webhook:
    try:
        return msgspec.json.decode(body, type=Webhook)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise WebhookRejected(400, f"not a webhook: {e}") from e
    except RecursionError as e:
        raise WebhookRejected(400, "not a webhook: nested too deeply") from e


def opaque(name: str, value: object) -> str:
    """An id that customers may choose freely: any text of 1 to 256 characters without control characters."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not 1 <= len(text) <= 256 or CONTROL.search(text):
        raise WebhookRejected(400, f"{name} must be 1 to 256 characters without control characters")
    return text


def title_hint(kind: EventType, description: bytes) -> str:
    """The request's name out of the vendor's sentence; "" when it reads differently. For APIs that give no title."""
    try:
        text = msgspec.json.decode(description, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    found = TITLE[kind].fullmatch(text)
    return found["title"][:200] if found else ""
