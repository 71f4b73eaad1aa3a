"""What the outbox's provider does to a message instead of taking it, the receipts that follow, and what signers reply.

The reasons are worded as the adapters of real providers word theirs, so that the console shows what it would show then.
"""

import hashlib
import hmac
import secrets
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

import msgspec

from shared.domain.errors import OutcomeUnknown, PermanentFailure, RetryLater
from shared.domain.inbound import InboundText, keyword_of
from shared.domain.model import NoticeState
from shared.domain.receipts import InvalidSignature, Receipt, ReceiptLimits, ReceiptRequest

KEY = secrets.token_bytes(32)
HEADER = "X-Outbox-Signature"
RECEIPT_AFTER = 1.0  # seconds; a provider takes its time


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """error: raised instead of taking the message. lost: raised after taking it.

    receipt, reason, suppress: what the receipt says that follows a message taken; None for no receipt.
    """

    error: Callable[[], Exception] | None = None
    lost: bool = False
    receipt: NoticeState | None = None
    reason: str = ""
    suppress: bool = False


def _refused(reason: str) -> Callable[[], Exception]:
    return lambda: PermanentFailure(reason, suppress=True)


FAILURES = {
    "opted_out": Failure(error=_refused("the recipient has opted out (STOP) (21610)")),
    "landline": Failure(error=_refused("the number is a landline (21635)")),
    "filtered": Failure(receipt=NoticeState.UNDELIVERED, reason="filtered by the carrier (30007)"),
    "bounced": Failure(receipt=NoticeState.UNDELIVERED, reason="bounced (550 5.1.1)", suppress=True),
    "delivered": Failure(receipt=NoticeState.DELIVERED),
    "down": Failure(error=lambda: RetryLater("it answers 503")),
    "lost_answer": Failure(lost=True),
}


def lost_answer() -> OutcomeUnknown:
    """The message was taken, and the connection broke before the answer came."""
    return OutcomeUnknown("the connection broke before the answer came")


class OutboxReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """The body of one receipt."""

    notice: str
    provider_id: str
    state: NoticeState
    at: datetime
    reason: str = ""
    suppress: bool = False


class OutboxText(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a text that a signer sends back."""

    number: str
    text: str
    at: datetime


class OutboxReceipts:
    """Receipts and texts from the outbox on one channel: JSON, signed with a key that only this process has."""

    limits = ReceiptLimits(headers=(HEADER,))

    def __init__(self, name: str) -> None:
        self.name = name

    def receipts(self, request: ReceiptRequest, now: datetime) -> Sequence[Receipt] | Sequence[InboundText]:
        """The one receipt, or text, of a request. Raises InvalidSignature."""
        if not hmac.compare_digest(signature(request.body).encode(), request.headers.get(HEADER, "").encode()):
            raise InvalidSignature("not from this outbox")
        if b'"text":' in request.body:
            text = msgspec.json.decode(request.body, type=OutboxText)
            return [InboundText(number=text.number, keyword=keyword_of(text.text), at=text.at)]
        told = msgspec.json.decode(request.body, type=OutboxReceipt)
        return [Receipt(**msgspec.structs.asdict(told))]


def signature(body: bytes) -> str:
    return hmac.new(KEY, body, hashlib.sha256).hexdigest()


def send_later(base: str, channel: str, receipt: OutboxReceipt) -> None:
    """Posts a receipt to the relay in a moment. One that cannot be posted is lost, as a provider gives up too."""
    timer = threading.Timer(RECEIPT_AFTER, lambda: post(base, channel, receipt))
    timer.daemon = True
    timer.start()


def post(base: str, channel: str, told: OutboxReceipt | OutboxText) -> None:
    body = msgspec.json.encode(told)
    headers = {"Content-Type": "application/json", HEADER: signature(body)}
    with suppress(OSError, urllib.error.URLError):
        url = f"{base}/receipts/{channel}"
        urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10).close()
