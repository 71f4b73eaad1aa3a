"""Receipts as the providers sign them, written from their descriptions and not from our code."""

import base64
import hashlib
import hmac
import json
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from requests.structures import CaseInsensitiveDict

from shared.domain.receipts import ReceiptRequest

FORM = "application/x-www-form-urlencoded"


def request(url: str, body: bytes, **headers: str) -> ReceiptRequest:
    return ReceiptRequest(url, CaseInsensitiveDict({k.replace("_", "-"): v for k, v in headers.items()}), body)


def twilio(url: str, fields: dict[str, str], token: str) -> ReceiptRequest:
    """https://www.twilio.com/docs/usage/webhooks/webhooks-security"""
    signed = url
    for name in sorted(fields):
        signed += name
        signed += fields[name]
    mac = base64.b64encode(hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()).decode()
    return request(url, urlencode(fields).encode(), X_Twilio_Signature=mac, Content_Type=FORM)


def vonage_jwt(url: str, fields: dict[str, Any], secret: str, at: datetime, alg: str = "HS256") -> ReceiptRequest:
    """https://developer.vonage.com/en/getting-started/concepts/webhooks"""
    body = json.dumps(fields).encode()
    claims = {
        "iat": int(at.timestamp()),
        "jti": "c5ba8f24-1a14-4c10-bfdf-3fbe8ce511b5",
        "iss": "Vonage",
        "payload_hash": hashlib.sha256(body).hexdigest(),
        "api_key": "abcd1234",
    }
    signed = ".".join(_segment(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": alg}, claims))
    token = f"{signed}.{_segment(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())}"
    return request(url, body, Authorization=f"Bearer {token}", Content_Type="application/json")


def _segment(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def vonage_fields(fields: dict[str, str], secret: str, at: datetime, method: str = "md5hash") -> dict[str, str]:
    """The fields with `timestamp` and `sig`: https://developer.vonage.com/en/getting-started/concepts/signing-messages"""
    fields = {**fields, "timestamp": str(int(at.timestamp())), "nonce": "ec11dd3e"}
    signed = ""
    for name in sorted(fields):
        signed += "&" + name + "=" + fields[name].replace("&", "_").replace("=", "_")
    if method == "md5hash":
        return {**fields, "sig": hashlib.md5((signed + secret).encode()).hexdigest()}
    return {**fields, "sig": hmac.new(secret.encode(), signed.encode(), method).hexdigest().upper()}


@cache
def sendgrid_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def sendgrid_public_key() -> str:
    """As SendGrid shows it: base64 of the DER form."""
    der = sendgrid_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


def sendgrid(url: str, events: list[Any], at: datetime) -> ReceiptRequest:
    """https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features"""
    body, timestamp = json.dumps(events).encode() + b"\r\n", str(int(at.timestamp()))
    signature = sendgrid_key().sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    return request(
        url,
        body,
        X_Twilio_Email_Event_Webhook_Signature=base64.b64encode(signature).decode(),
        X_Twilio_Email_Event_Webhook_Timestamp=timestamp,
    )


def mailgun(url: str, event: dict[str, Any], key: str, at: datetime, token: str = "") -> ReceiptRequest:
    """https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks; a token for each event"""
    timestamp, token = str(int(at.timestamp())), token or hashlib.sha256(json.dumps(event).encode()).hexdigest()[:50]
    signature = {
        "timestamp": timestamp,
        "token": token,
        "signature": hmac.new(key.encode(), (timestamp + token).encode(), hashlib.sha256).hexdigest(),
    }
    return request(url, json.dumps({"signature": signature, "event-data": event}).encode())


def postmark(url: str, event: dict[str, Any], token: str) -> ReceiptRequest:
    """https://postmarkapp.com/developer/webhooks/webhooks-overview: basic auth, given in the webhook's URL"""
    pair = base64.b64encode(f"relay:{token}".encode()).decode()
    return request(url, json.dumps(event).encode(), Authorization=f"Basic {pair}")
