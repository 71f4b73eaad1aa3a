"""Changes a signature request and stores the webhooks of the change, in one transaction."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

from local.sandbox import answers, model
from local.sandbox.drafts import Draft, new_request
from local.sandbox.model import ACTIONS, Change, EventType, Refused, SignatureRequest, Signer, WebhookEvent
from local.sandbox.store import NoSuchRequest, Store, Webhook

Played = Callable[[Sequence[Webhook]], Sequence[Webhook]]
EVENTS = {"sent": "resend", "signed": "", "complete": "complete", "expired": "expire"}  # event -> action


def unchanged(webhooks: Sequence[Webhook]) -> Sequence[Webhook]:
    return webhooks


def _next_to_sign(request: SignatureRequest) -> Signer:
    for signer in request.missing:
        if request.reached(signer):
            return signer
    raise Refused("cannot sign: nobody's signature is missing")


def _event(name: str, request: SignatureRequest) -> WebhookEvent:
    kind = EventType(f"request_{name}")
    return WebhookEvent(kind, _next_to_sign(request) if kind is EventType.SIGNED else None)


class SandboxService:
    """The sandbox's operations. `fired` is set when there are new webhooks."""

    def __init__(self, store: Store, webhook_url: str, public_url: str, clock: Callable[[], datetime]) -> None:
        self.store, self.webhook_url, self.public_url, self.clock = store, webhook_url, public_url, clock
        self.fired = threading.Event()

    def create(self, draft: Draft, played: Played = unchanged) -> SignatureRequest:
        """played: what becomes of its webhooks on the way."""
        now = self.clock()
        request, webhooks = self._fire(model.created(new_request(draft, now)), now, self._lost())
        self.store.add(request, played(webhooks))
        self.fired.set()
        return request

    def act(self, key: str, action: str) -> SignatureRequest:
        """Apply one of ACTIONS. Raises NoSuchRequest, Refused."""
        if action not in ACTIONS:
            raise NoSuchRequest(f"no such action: choose from {', '.join(ACTIONS)}")
        return self._change(key, ACTIONS[action])

    def trigger(self, key: str, event: str, *, only: bool = False) -> SignatureRequest:
        """Does what the event tells of, or sends its webhook alone. Raises NoSuchRequest, Refused.

        event: sent, signed (by the first who has not), complete or expired.
        """
        if event not in EVENTS:
            raise Refused(f"no such event: choose from {', '.join(EVENTS)}")
        if only:
            return self._change(key, lambda request, now: Change(request, (_event(event, request),)))
        if event == "signed":
            return self._change(key, lambda request, now: model.signed(request, _next_to_sign(request).token, now))
        return self._change(key, ACTIONS[EVENTS[event]])

    def open(self, token: str) -> SignatureRequest:
        """Record that a signing page was opened. Raises NoSuchRequest."""
        return self._change(self.store.request_of(token), lambda request, now: model.opened(request))

    def sign(self, token: str) -> SignatureRequest:
        """Sign as the signer with this token. Raises NoSuchRequest, Refused."""
        return self._change(self.store.request_of(token), lambda request, now: model.signed(request, token, now))

    def expire_due(self) -> None:
        """Expire the requests whose expiry time has passed."""
        for key in self.store.overdue(self.clock()):
            with suppress(Refused):  # another thread has changed it first
                self._change(key, model.expire)

    def _change(self, key: str, rule: Callable[[SignatureRequest, datetime], Change]) -> SignatureRequest:
        now, lost = self.clock(), self._lost()
        request = self.store.change(key, lambda before: self._fire(rule(before, now), now, lost))
        self.fired.set()
        return request

    def _lost(self) -> bool:
        return self.store.settings().webhooks == "lost"

    def _fire(self, change: Change, now: datetime, lost: bool) -> tuple[SignatureRequest, Sequence[Webhook]]:
        made = [answers.webhook(e, change.request, self.webhook_url, now) for e in change.events]
        return change.request, [] if lost else made
