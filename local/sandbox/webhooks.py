"""Delivers the webhooks: at least once, in no promised order, again after a failure, for 24 hours.

The vendor promises retries "on a regular cadence for up to 24 hours" and no more; the pace here is our own.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from local.sandbox.service import Desk
from local.sandbox.store import Attempt, Webhook

FIRST_WAIT, LONGEST_WAIT, GIVE_UP_AFTER = 1.0, 60.0, 86_400.0  # seconds
TIMEOUT = 10.0  # seconds an attempt may take
ROUND = 0.25  # seconds between looks at the store when nothing wakes us
AT_ONCE = 8  # side by side, so that one slow answer holds up nobody, and two events of one moment may overtake


class Webhooks:
    """speed: how many times faster than real the waits pass; 1.0 is as above."""

    def __init__(self, desk: Desk, token: str, clock: Callable[[], datetime], speed: float = 1.0) -> None:
        self._desk, self._token, self._clock, self._speed = desk, token, clock, speed
        self._lock = threading.Lock()
        self._under_way: set[str] = set()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Goes on where an earlier run, or one that was killed, left off."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="sandbox-webhooks", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Returns once no attempt is under way: at most one time-out later."""
        self._stopping.set()
        self._desk.fired.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="sandbox-webhook") as pool:
            while not self._stopping.is_set():
                self._desk.fired.clear()
                try:
                    self._round(pool)
                except sqlite3.Error:
                    logging.getLogger(__name__).exception("the sandbox's store failed; trying again")
                self._desk.fired.wait(ROUND)

    def _round(self, pool: ThreadPoolExecutor) -> None:
        self._desk.expire_due()
        with self._lock:
            free = [w for w in self._desk.store.waiting(self._clock()) if w.id not in self._under_way]
            self._under_way.update(w.id for w in free)
        for webhook in free:
            pool.submit(self._attempt, webhook)

    def _attempt(self, webhook: Webhook) -> None:
        try:
            if not self._stopping.is_set():
                outcome, delivered = self._post(webhook)
                self._note(webhook, outcome, delivered)
        except sqlite3.Error:
            logging.getLogger(__name__).exception("an attempt could not be noted; it will be made again")
        finally:
            with self._lock:
                self._under_way.discard(webhook.id)

    def _post(self, webhook: Webhook) -> tuple[str, bool]:
        import requests

        headers = {"accept": "application/json", "content-type": "application/json"}
        if self._token:
            headers["Pactsafe-Webhook-Token"] = self._token
        with requests.Session() as session:
            session.trust_env = False  # a proxy has no business between the stand-in and the stack beside it
            try:
                answer = session.post(
                    self._desk.webhook_url, webhook.body, headers=headers, timeout=TIMEOUT, allow_redirects=False
                )
            except requests.RequestException as error:
                return type(error).__name__, False
        return str(answer.status_code), 200 <= answer.status_code < 300

    def _note(self, webhook: Webhook, outcome: str, delivered: bool) -> None:
        now, store = self._clock(), self._desk.store
        tries = store.tries(webhook.id)
        next_at = None if delivered else next_attempt(webhook.fired_at, tries, now, self._speed)
        store.attempted(webhook.id, Attempt(now, outcome), next_at, delivered=delivered)


def next_attempt(fired_at: datetime, tries: int, now: datetime, speed: float) -> datetime | None:
    """After a failure that `tries` failures came before. None: a day is over, it is given up."""
    if now - fired_at >= timedelta(seconds=GIVE_UP_AFTER / speed):
        return None
    wait = min(FIRST_WAIT * 2 ** min(tries, 16), LONGEST_WAIT)
    return now + timedelta(seconds=wait / speed)
