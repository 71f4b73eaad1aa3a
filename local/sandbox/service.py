"""The sandbox's own service: changes a request and fires what Clickwrap would, in one commit."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

from local.sandbox import answers, model
from local.sandbox.drafts import Draft, new_request
from local.sandbox.model import ACTIONS, Change, Refused, SignatureRequest
from local.sandbox.store import NoSuchRequest, Store, Webhook


class Desk:
    """`fired` is set whenever webhooks may be waiting."""

    def __init__(self, store: Store, webhook_url: str, public_url: str, clock: Callable[[], datetime]) -> None:
        self.store, self.webhook_url, self.public_url, self.clock = store, webhook_url, public_url, clock
        self.fired = threading.Event()

    def create(self, draft: Draft) -> SignatureRequest:
        now = self.clock()
        request, webhooks = self._fire(model.created(new_request(draft, now)), now, self._lost())
        self.store.add(request, webhooks)
        self.fired.set()
        return request

    def act(self, key: str, action: str) -> SignatureRequest:
        """Raises NoSuchRequest, Refused."""
        if action not in ACTIONS:
            raise NoSuchRequest(f"no such action; there are {', '.join(ACTIONS)}")
        return self._change(key, ACTIONS[action])

    def open(self, token: str) -> SignatureRequest:
        """Notes that a signing page was opened. Raises NoSuchRequest."""
        return self._change(self.store.request_of(token), lambda request, now: model.opened(request))

    def sign(self, token: str) -> SignatureRequest:
        """Raises NoSuchRequest, Refused."""
        return self._change(self.store.request_of(token), lambda request, now: model.signed(request, token, now))

    def expire_due(self) -> None:
        """Expires what is past its time."""
        for key in self.store.overdue(self.clock()):
            with suppress(Refused):  # another thread was first
                self._change(key, model.expire)

    def _change(self, key: str, rule: Callable[[SignatureRequest, datetime], Change]) -> SignatureRequest:
        now, lost = self.clock(), self._lost()
        request = self.store.change(key, lambda before: self._fire(rule(before, now), now, lost))
        self.fired.set()
        return request

    def _lost(self) -> bool:
        return self.store.settings().webhooks == "lost"

    def _fire(self, change: Change, now: datetime, lost: bool) -> tuple[SignatureRequest, Sequence[Webhook]]:
        made = [answers.webhook(h, change.request, self.webhook_url, now) for h in change.happenings]
        return change.request, [] if lost else made
