"""Delivers webhooks at least once, in any order, with retries for 24 hours.

The vendor documents only retries "on a regular cadence for up to 24 hours"; the intervals here are our choice.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from local.sandbox.service import SandboxService
from local.sandbox.store import Attempt, Webhook

MIN_RETRY_WAIT, MAX_RETRY_WAIT, GIVE_UP_AFTER = 1.0, 60.0, 86_400.0  # seconds
TIMEOUT = 10.0  # seconds for one attempt
POLL_INTERVAL = 0.25  # seconds between two queries for due webhooks
MAX_PARALLEL_POSTS = 8  # so that a slow receiver does not delay other webhooks; the order is then not guaranteed


class Webhooks:
    """speed: all waits are divided by it; 1.0 is real time."""

    def __init__(self, service: SandboxService, token: str, clock: Callable[[], datetime], speed: float = 1.0) -> None:
        self._service, self._token, self._clock, self._speed = service, token, clock, speed
        self._lock = threading.Lock()
        self._running: set[str] = set()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread. It continues with the webhooks that an earlier run has not delivered."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="sandbox-webhooks", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread. Returns when no attempt is running: after TIMEOUT seconds at the latest."""
        self._stopping.set()
        self._service.fired.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        with ThreadPoolExecutor(MAX_PARALLEL_POSTS, thread_name_prefix="sandbox-webhook") as pool:
            while not self._stopping.is_set():
                self._service.fired.clear()
                try:
                    self._round(pool)
                except sqlite3.Error:
                    logging.getLogger(__name__).exception("the sandbox's file cannot be used; trying again")
                self._service.fired.wait(POLL_INTERVAL)

    def _round(self, pool: ThreadPoolExecutor) -> None:
        self._service.expire_due()
        with self._lock:
            free = [w for w in self._service.store.waiting(self._clock()) if w.id not in self._running]
            self._running.update(w.id for w in free)
        for webhook in free:
            pool.submit(self._attempt, webhook)

    def _attempt(self, webhook: Webhook) -> None:
        try:
            if not self._stopping.is_set():
                outcome, delivered = self._post(webhook)
                self._record(webhook, outcome, delivered)
        except sqlite3.Error:
            logging.getLogger(__name__).exception("an attempt could not be recorded; it is repeated")
        finally:
            with self._lock:
                self._running.discard(webhook.id)

    def _post(self, webhook: Webhook) -> tuple[str, bool]:
        import requests

        headers = {"accept": "application/json", "content-type": "application/json"}
        if self._token:
            headers["Pactsafe-Webhook-Token"] = self._token
        with requests.Session() as session:
            session.trust_env = False  # the receiver is on this machine, so proxy settings do not apply
            try:
                answer = session.post(
                    self._service.webhook_url, webhook.body, headers=headers, timeout=TIMEOUT, allow_redirects=False
                )
            except requests.RequestException as error:
                return type(error).__name__, False
        return str(answer.status_code), 200 <= answer.status_code < 300

    def _record(self, webhook: Webhook, outcome: str, delivered: bool) -> None:
        now, store = self._clock(), self._service.store
        tries = store.tries(webhook.id)
        next_at = None if delivered else next_attempt(webhook.fired_at, tries, now, self._speed)
        store.attempted(webhook.id, Attempt(now, outcome), next_at, delivered=delivered)


def next_attempt(fired_at: datetime, tries: int, now: datetime, speed: float) -> datetime | None:
    """The time of the next attempt after `tries` failures; None after a day, to give up."""
    if now - fired_at >= timedelta(seconds=GIVE_UP_AFTER / speed):
        return None
    wait = min(MIN_RETRY_WAIT * 2 ** min(tries, 16), MAX_RETRY_WAIT)
    return now + timedelta(seconds=wait / speed)
