"""Receipts as the providers sign them, written from their descriptions and not from our code."""

import base64
import hashlib
import hmac
from urllib.parse import urlencode

from requests.structures import CaseInsensitiveDict

from shared.domain.receipts import ReceiptRequest

FORM = "application/x-www-form-urlencoded"


def twilio(url: str, fields: dict[str, str], token: str) -> ReceiptRequest:
    """https://www.twilio.com/docs/usage/webhooks/webhooks-security"""
    signed = url
    for name in sorted(fields):
        signed += name
        signed += fields[name]
    mac = hmac.new(token.encode(), signed.encode(), hashlib.sha1)
    headers = {"X-Twilio-Signature": base64.b64encode(mac.digest()).decode(), "Content-Type": FORM}
    return ReceiptRequest(url, CaseInsensitiveDict(headers), urlencode(fields).encode())
