"""The providers' receipts: half of what was accepted is reported, some of it twice or late, a little as not arrived."""

import heapq
import http.client
import itertools
import threading
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from random import Random
from urllib.parse import urlsplit

from shared.domain.receipts import ReceiptRequest
from tests import signed_receipts

TOKEN, SIGNING_KEY = "soak", "soak-signing"
SENT, DOUBLED, LATE, NOT_ARRIVED = 0.50, 0.20, 0.30, 0.05  # shares
LATEST = 8.0  # seconds
Make = Callable[[], ReceiptRequest]
AGAIN = 0.5  # seconds until a receipt that was not taken is posted again


class Receipts:
    """clock: the run's time."""

    def __init__(self, seed: int, clock: Callable[[], datetime]) -> None:
        self._seed, self._clock = seed, clock
        self._waiting: list[tuple[float, int, Make]] = []
        self._due, self._ids = threading.Condition(), itertools.count()
        self.base, self.posted = "", 0
        self.bounced = set[str]()  # notices of which one says that it did not arrive
        threading.Thread(target=self._post_forever, daemon=True).start()

    def owe(self, number: int, notice: str, callback: str) -> None:
        """A message was accepted. callback: where Twilio reports; "" for Mailgun."""
        random = Random(f"{self._seed}/receipts/{number}")
        if random.random() >= SENT:
            return
        if callback:
            arrived = random.random() >= NOT_ARRIVED
            self.bounced |= set() if arrived else {notice}
            make = partial(self._twilio, callback, number, arrived=arrived)
        else:
            make = partial(self._mailgun, number, notice)
        for _ in range(2 if random.random() < DOUBLED else 1):
            late = random.uniform(0, LATEST) if random.random() < LATE else 0.2
            self._push(time.monotonic() + late, make)

    def _twilio(self, callback: str, number: int, *, arrived: bool) -> ReceiptRequest:
        fields = {"MessageSid": f"SM{number}", "MessageStatus": "delivered"}
        if not arrived:
            fields |= {"MessageStatus": "undelivered", "ErrorCode": "30008"}
        return signed_receipts.twilio(callback, fields, TOKEN)

    def _mailgun(self, number: int, notice: str) -> ReceiptRequest:
        """Signed anew at each attempt, with a time of the run's clock, which the relay compares with its own."""
        now = self._clock()
        event = {
            "event": "delivered",
            "timestamp": now.timestamp(),
            "user-variables": {"notice": notice},
            "message": {"headers": {"message-id": f"{number}@mg.example.com"}},
        }
        return signed_receipts.mailgun(f"{self.base}/receipts/mailgun", event, SIGNING_KEY, now)

    def _push(self, at: float, make: Make) -> None:
        with self._due:
            heapq.heappush(self._waiting, (at, next(self._ids), make))
            self._due.notify()

    def _post_forever(self) -> None:
        while True:
            make = self._next()
            if _taken(make()):
                self.posted += 1
            else:
                self._push(time.monotonic() + AGAIN, make)

    def _next(self) -> Make:
        with self._due:
            while not self._waiting or self._waiting[0][0] > time.monotonic():
                self._due.wait(self._waiting[0][0] - time.monotonic() if self._waiting else None)
            return heapq.heappop(self._waiting)[2]


def _taken(request: ReceiptRequest) -> bool:
    parts = urlsplit(request.url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    try:
        connection.request("POST", f"{parts.path}?{parts.query}", request.body, dict(request.headers))
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
