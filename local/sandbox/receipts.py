"""Receipts of the outbox, in the form and with the signature of real providers: Twilio's for SMS, Mailgun's for e-mail.

So whatever reads and proves those is at work on a laptop too. The key is one that only this process has.
"""

import base64
import hashlib
import hmac
import json
import secrets
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import msgspec

from shared.adapters.providers.email import mailgun
from shared.adapters.providers.sms import twilio
from shared.domain.inbound import InboundText
from shared.domain.model import ChannelName
from shared.domain.receipts import Receipt, ReceiptRequest
from shared.ports import Outgoing
from shared.setting_types import Values

KEY = secrets.token_hex(16)
AFTER = 1.0  # seconds; a provider takes its time


class Post(msgspec.Struct, frozen=True):
    """One call of a provider."""

    url: str
    headers: dict[str, str]
    body: bytes


class OutboxReceipts:
    """Reads and proves them, by the code that does so for those providers."""

    name = "outbox"
    limits = mailgun.ReceiptVerifier.limits  # the wider ones

    def __init__(self) -> None:
        values = Values({twilio.AUTH_TOKEN.name: KEY, mailgun.SIGNING_KEY.name: KEY})
        self._twilio, self._mailgun = twilio.ReceiptVerifier(values), mailgun.ReceiptVerifier(values)

    def receipts(self, request: ReceiptRequest, now: datetime) -> Sequence[Receipt | InboundText]:
        """Raises InvalidSignature."""
        of_twilio = request.headers.get("X-Twilio-Signature")
        return self._twilio.receipts(request, now) if of_twilio else self._mailgun.receipts(request, now)


def written(base: str, channel: ChannelName, told: dict[str, Any], message: Outgoing, id: str, at: datetime) -> Post:
    """told: what a provider says of the message, in its own fields. base: where receipts are posted to."""
    write = _twilio if channel is ChannelName.SMS else _mailgun
    return write(f"{base}/{OutboxReceipts.name}", told, message, id, at)


def _twilio(url: str, told: dict[str, Any], message: Outgoing, id: str, at: datetime) -> Post:
    """https://www.twilio.com/docs/messaging/guides/track-outbound-message-status; a text comes in without `n`."""
    comes_in = "Body" in told
    url = url if comes_in else f"{url}?{urlencode({'n': message.notice})}"
    numbers = {"From": message.to, "To": "+15005550006"} if comes_in else {"From": "+15005550006", "To": message.to}
    fields = {"MessageSid": id, "ApiVersion": "2010-04-01", **numbers, **told}
    signed = url + "".join(name + value for name, value in sorted(fields.items()))
    signature = base64.b64encode(hmac.digest(KEY.encode(), signed.encode(), hashlib.sha1)).decode()
    kind = "application/x-www-form-urlencoded"
    return Post(url, {"Content-Type": kind, "X-Twilio-Signature": signature}, urlencode(fields).encode())


def _mailgun(url: str, told: dict[str, Any], message: Outgoing, id: str, at: datetime) -> Post:
    """https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhooks"""
    timestamp, token = str(int(at.timestamp())), secrets.token_hex(25)
    signature = hmac.new(KEY.encode(), (timestamp + token).encode(), "sha256").hexdigest()
    event = {
        "timestamp": at.timestamp(),
        "recipient": message.to,
        "user-variables": {"notice": message.notice},
        "message": {"headers": {"message-id": id}},
        **told,
    }
    proof = {"timestamp": timestamp, "token": token, "signature": signature}
    body = json.dumps({"signature": proof, "event-data": event}).encode()
    return Post(url, {"Content-Type": "application/json"}, body)


def text_back(base: str, number: str, text: str, at: datetime) -> None:
    """Posts what somebody texts to the relay's number, as their provider does."""
    sender, told = Outgoing(notice="", to=number, text=""), {"SmsStatus": "received", "Body": text}
    _send(written(base, ChannelName.SMS, told, sender, f"SM{secrets.token_hex(16)}", at))


def send_later(post: Post) -> None:
    """In a moment. What cannot be posted is lost, as a provider gives up too."""
    timer = threading.Timer(AFTER, _send, [post])
    timer.daemon = True
    timer.start()


def _send(post: Post) -> None:
    with suppress(OSError, urllib.error.URLError):
        urllib.request.urlopen(urllib.request.Request(post.url, post.body, post.headers), timeout=10).close()
