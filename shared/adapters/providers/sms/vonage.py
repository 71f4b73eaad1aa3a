"""Vonage (Nexmo), by its SMS API or its Messages API.

Of the SMS API nearly every answer is a 200; the outcome is in `messages[].status`, as text. It is kept up for those who
have it; of new accounts Vonage expects the other, see `common.vonage_messages`.

Send: https://developer.vonage.com/en/api/sms, which shows key and secret in the body
Authentication: https://developer.vonage.com/en/getting-started/concepts/authentication, by which the SMS API takes both
in the header, as Vonage's own libraries send them; so no log of bodies holds the secret
Codes: https://developer.vonage.com/en/messaging/sms/guides/troubleshooting-sms
Receipts: https://developer.vonage.com/en/messaging/sms/guides/delivery-receipts
Texts that come in: https://developer.vonage.com/en/messaging/sms/guides/inbound-sms
Signatures: https://developer.vonage.com/en/getting-started/concepts/signing-messages (`sig`) and
https://developer.vonage.com/en/getting-started/concepts/webhooks (JWT)
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from shared.adapters.http.client import AND_500, DEADLINE, Http, HttpResponse, basic, field_text
from shared.adapters.providers.common import vonage_messages
from shared.adapters.providers.common.rules import (
    ADDRESS,
    AGAIN,
    FINE,
    PACED,
    REFUSED,
    RETRIES,
    SETTINGS,
    Rule,
    by_status,
    decoded,
    form,
    fresh,
    mapping,
    moment,
)
from shared.adapters.providers.common.settings import RECEIPTS_BASE_URL
from shared.domain.errors import Accepted, OutcomeUnknown, PermanentFailure, RetryLater
from shared.domain.inbound import InboundText, keyword_of
from shared.domain.model import NoticeState
from shared.domain.receipts import InvalidSignature, Receipt, ReceiptLimits, ReceiptRequest
from shared.ports import Outgoing
from shared.setting_types import Probe, ProviderSpec, Values, choice, secret, text, url
from shared.text.segments import GSM7, segments

API_KEY = text("VONAGE_API_KEY", "the account's key", None)
API_SECRET = secret("VONAGE_API_SECRET", "the account's secret")
FROM = text("VONAGE_FROM", "a number or name of yours", None)
SIGNATURE_SECRET = secret("VONAGE_SIGNATURE_SECRET", "proves receipts; empty: they are refused", "")
API_URL = url("VONAGE_API_URL", "another base", "https://rest.nexmo.com")
API = choice(
    "VONAGE_API",
    ("sms", "messages"),
    "sms",
    "which of its APIs sends: the one that the dashboard names under API settings",
)
MESSAGES_API_URL = url("VONAGE_MESSAGES_API_URL", "another base of the Messages API", "https://api.nexmo.com")
SPEC = ProviderSpec(
    title="Vonage",
    documentation="https://developer.vonage.com/en/api/sms",
    sending=(API_KEY, API_SECRET, FROM, API, API_URL, MESSAGES_API_URL, RECEIPTS_BASE_URL),
    receipts=(SIGNATURE_SECRET,),
    probe=Probe(  # https://developer.vonage.com/en/api/account: the balance
        url=lambda v: (
            f"{v[API_URL]}/account/get-balance?{urlencode({'api_key': v[API_KEY], 'api_secret': v[API_SECRET]})}"
        ),
        headers=lambda v: {},
        secret=API_SECRET,
    ),
    cannot_find="only its Reports API lists messages, minutes later and as a product of its own that is paid for",
)
CREDENTIALS = "VONAGE_API_KEY, VONAGE_API_SECRET"
LONGEST_CALLBACK = 100  # characters

REFUSALS: dict[str, Rule] = {
    "1": PACED("too many messages a second"),
    "2": REFUSED("a parameter is missing"),
    "3": REFUSED("a parameter is not valid"),
    "4": SETTINGS(f"it refuses the credentials; check {CREDENTIALS}"),
    "5": AGAIN("a fault at Vonage"),
    "6": REFUSED("it cannot be routed"),
    "7": ADDRESS("the number is barred"),
    "8": SETTINGS("the account is barred; ask Vonage"),
    "9": SETTINGS("the account has no credit left"),
    "10": PACED("too many connections at once"),
    "11": SETTINGS("the account may not use the HTTP API; ask Vonage"),
    "12": REFUSED("the text is too long"),
    "14": SETTINGS(f"it refuses the signature; check {CREDENTIALS}"),
    "15": SETTINGS("it refuses the sender; check VONAGE_FROM"),
    "22": REFUSED("the network code is not valid"),
    "23": SETTINGS("it refuses the callback URL; check RECEIPTS_BASE_URL"),
    "29": REFUSED("a trial account sends to listed numbers only"),
    "32": SETTINGS("the account wants signed requests; allow API secrets at Vonage"),
    "33": ADDRESS("the number is no longer in use"),
}

# err-code of a delivery receipt. Vonage does not retry; what it advises to clean out of a database is suppressed.
UNDELIVERED: dict[str, Rule] = {
    "1": REFUSED("the carrier does not say why"),
    "2": REFUSED("the handset was off or out of reach"),
    "3": ADDRESS("the number is no longer in use"),
    "4": ADDRESS("the recipient bars such messages"),
    "5": REFUSED("the number is being moved between carriers"),
    "6": REFUSED("filtered as spam"),
    "7": REFUSED("the handset was busy"),
    "8": REFUSED("a fault in the network"),
    "9": ADDRESS("the recipient has opted out"),
    "10": REFUSED("a fault in the message"),
    "11": REFUSED("no route"),
    "12": REFUSED("no route to the number"),
    "13": REFUSED("the recipient is too young for it"),
    "14": ADDRESS("the carrier has blocked the number"),
    "15": REFUSED("the recipient has no credit left"),
    "16": REFUSED("a gateway's quota is used up"),
    "50": REFUSED("the sending entity is not registered"),
    "51": REFUSED("the header is not registered"),
    "52": REFUSED("the content is not registered"),
    "53": REFUSED("the recipient has not consented"),
    "54": REFUSED("against the regulations of the country"),
    "99": REFUSED("the carrier does not say why"),
}

STATES: dict[str, NoticeState] = {
    "accepted": NoticeState.ACCEPTED,
    "buffered": NoticeState.ACCEPTED,
    "delivered": NoticeState.DELIVERED,
    "expired": NoticeState.UNDELIVERED,
    "failed": NoticeState.UNDELIVERED,
    "rejected": NoticeState.UNDELIVERED,
}

HMACS = ("md5", "sha1", "sha256", "sha512")  # beside the default, a plain MD5 with the secret appended


class Sender:
    """deadline: seconds of wall clock."""

    name = "vonage"

    def __init__(self, values: Values, clock: Callable[[], datetime], deadline: float = DEADLINE) -> None:
        self._url, self._sender = f"{values[API_URL]}/sms/json", values[FROM]
        self._messages_url, self._by_messages = f"{values[MESSAGES_API_URL]}/v1/messages", values[API] == "messages"
        self._login = basic(values[API_KEY], values[API_SECRET])
        base = values[RECEIPTS_BASE_URL]
        self._receipts = f"{base}/vonage" if base else ""
        self._callback = {"callback": self._receipts} if 0 < len(self._receipts) <= LONGEST_CALLBACK else {}
        # https://developer.vonage.com/en/api-standards/http-codes/500: "Please try again shortly". It cannot be asked.
        self._http = Http("Vonage", clock, deadline, safe=AND_500)

    def send(self, message: Outgoing) -> Accepted:
        sender = message.sender or self._sender
        if self._by_messages:
            body = vonage_messages.body(message, sender, self._receipts)
            answer = self._http.post_json(self._messages_url, body, self._login)
            return vonage_messages.accepted(answer, CREDENTIALS)
        sent = {
            "from": sender,
            "to": message.to.removeprefix("+"),
            "text": message.text,
            "type": "text" if segments(message.text).encoding == GSM7 else "unicode",
            "client-ref": message.notice,
            **self._callback,
        }
        answer = self._http.post_form(self._url, sent, self._login)
        if answer.status >= 300:
            rule = by_status(answer.status, CREDENTIALS, "VONAGE_API_URL")
            raise rule.error("Vonage", f"HTTP {answer.status}")
        return _accepted(answer)


class ReceiptVerifier:
    name = "vonage"
    limits = ReceiptLimits()  # its proof is a JWT in a header, or `sig` among the fields

    def __init__(self, values: Values) -> None:
        self._key = values[SIGNATURE_SECRET].encode()

    def receipts(self, request: ReceiptRequest, now: datetime) -> list[Receipt] | list[InboundText]:
        """One receipt, or a text that came in, as JSON, or as form or query too. Raises InvalidSignature."""
        if not self._key:
            raise InvalidSignature("VONAGE_SIGNATURE_SECRET is not set")
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token:
            self._verify_jwt(token, request.body, now)
            told = mapping(decoded(request.body)) if request.body else {}
            if "message_uuid" in told:
                return vonage_messages.received(told, now)
        fields = _fields(request)
        if not token:
            self._verify_sig(fields, now)
        return [_text(fields, now)] if "text" in fields and "status" not in fields else _receipt(fields, now)

    def _verify_jwt(self, token: str, body: bytes, now: datetime) -> None:
        """HS256 only, whatever the token's header says: its author must not choose how it is verified."""
        signed, _, signature = token.rpartition(".")
        expected = base64.urlsafe_b64encode(hmac.digest(self._key, signed.encode(), "sha256")).rstrip(b"=")
        if not hmac.compare_digest(expected, signature.rstrip("=").encode(errors="replace")):
            raise InvalidSignature("the token does not fit; check VONAGE_SIGNATURE_SECRET")
        claims = _claims(signed)
        if not hmac.compare_digest(hashlib.sha256(body).hexdigest(), field_text(claims.get("payload_hash")).lower()):
            raise InvalidSignature("the token is not for this body")
        fresh(claims.get("iat"), now, RETRIES)

    def _verify_sig(self, fields: Mapping[str, str], now: datetime) -> None:
        """`sig` over "&name=value" of the other fields, sorted; "&" and "=" in values become "_". Hex of any case."""
        safe = {name: value.translate({38: "_", 61: "_"}) for name, value in fields.items() if name != "sig"}
        signed = "".join(f"&{name}={value}" for name, value in sorted(safe.items())).encode()
        expected = [hmac.new(self._key, signed, method).hexdigest() for method in HMACS]
        expected.append(hashlib.md5(signed + self._key).hexdigest())  # noqa: S324 - theirs to choose  # nosec
        given = fields.get("sig", "").lower().encode(errors="replace")
        if not any(hmac.compare_digest(one.encode(), given) for one in expected):
            raise InvalidSignature("sig does not fit; check VONAGE_SIGNATURE_SECRET")
        fresh(fields.get("timestamp"), now, RETRIES)


def _accepted(answer: HttpResponse) -> Accepted:
    """A long text is several messages: only if all were taken was it taken, only if none was it refused."""
    told = answer.json().get("messages")
    parts = [mapping(part) for part in told] if isinstance(told, list) else []
    statuses = [field_text(part.get("status")) for part in parts]
    if parts and set(statuses) == {"0"} and (first := field_text(parts[0].get("message-id"))):
        return Accepted(first)
    if not parts or "0" in statuses or "" in statuses:
        raise OutcomeUnknown("Vonage answered without telling whether it took the message")
    raise _refusal(statuses[0], field_text(parts[0].get("error-text")))


def _refusal(status: str, error_text: str) -> RetryLater | PermanentFailure:
    rule = REFUSALS.get(status, REFUSED("it refuses the message"))
    if status == "3" and error_text.rstrip().endswith(" to"):
        rule = ADDRESS("the number is not valid")
    return rule.error("Vonage", status)


def _fields(request: ReceiptRequest) -> dict[str, str]:
    if not request.body:
        return dict(form(urlsplit(request.url).query.encode()))
    if not request.body.lstrip().startswith(b"{"):
        return dict(form(request.body))
    return {name: field_text(value) for name, value in mapping(decoded(request.body)).items()}


def _claims(signed: str) -> Mapping[str, Any]:
    payload = signed.partition(".")[2]
    try:
        return mapping(msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))
    except (binascii.Error, ValueError, RecursionError):
        raise InvalidSignature("the token cannot be read") from None


def _text(fields: Mapping[str, str], now: datetime) -> InboundText:
    """It is sent again for a day until it is answered: its own time tells whether a later one has overtaken it."""
    at = moment(fields.get("timestamp"), now)
    return InboundText(number=f"+{fields.get('msisdn', '')}", keyword=keyword_of(fields["text"]), at=at)


def _receipt(fields: Mapping[str, str], now: datetime) -> list[Receipt]:
    state = STATES.get(fields.get("status", ""))
    if state is None:
        return []
    code = fields.get("err-code", "")
    rule = UNDELIVERED.get(code, REFUSED("not delivered")) if state is NoticeState.UNDELIVERED else FINE
    at = moment(fields.get("timestamp"), now)
    ids = {"notice": fields.get("client-ref", ""), "provider_id": fields.get("messageId", "")}
    return [rule.receipt("Vonage", state, at, code=code or fields["status"], **ids)]
