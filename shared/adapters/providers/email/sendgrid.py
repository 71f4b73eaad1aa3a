"""Twilio SendGrid, Mail Send v3.

Send: https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send
Errors: https://www.twilio.com/docs/sendgrid/api-reference/mail-send/errors
Logs: https://www.twilio.com/docs/sendgrid/api-reference/email-logs/filter-all-messages, .../filter-messages-by-id
Receipts: https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event
Signature: https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features
"""

import base64
from collections.abc import Callable, Mapping
from datetime import datetime
from email.headerregistry import Address
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from shared.adapters.http.client import DEADLINE, Http, HttpResponse, bearer, field_text
from shared.adapters.providers.common.lookup import earliest, listed
from shared.adapters.providers.common.mail import Letterhead, as_sent, marks, recipient_of
from shared.adapters.providers.common.rules import (
    ADDRESS,
    FINE,
    OPT_IN,
    OPT_OUT,
    REFUSED,
    RETRIES,
    SENDER,
    Rule,
    by_status,
    decoded,
    fresh,
    mapping,
    moment,
)
from shared.adapters.providers.common.settings import EMAIL_FROM, EMAIL_REPLY_TO, several
from shared.domain.errors import Accepted, CannotSay, OutcomeUnknown, RetryLater
from shared.domain.model import NoticeState
from shared.domain.receipts import InvalidSignature, Receipt, ReceiptLimits, ReceiptRequest
from shared.ports import Outgoing, Sought
from shared.setting_types import Probe, ProviderSpec, Setting, Values, choice, secret, text, url

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

API_KEY = secret("SENDGRID_API_KEY", "the account's key")
API_URL = url("SENDGRID_API_URL", "another base", "https://api.sendgrid.com")
WEBHOOK_PUBLIC_KEY = text(
    "SENDGRID_WEBHOOK_PUBLIC_KEY", "as SendGrid shows it; proves receipts; empty: they are refused"
)
CATEGORIES: Setting[list[str]] = Setting(
    name="SENDGRID_CATEGORIES",
    meaning="comma-separated; categories of each message, for SendGrid's statistics",
    parse=several,
    wanted="up to ten words, comma-separated",
)
SANDBOX_MODE = choice("SENDGRID_SANDBOX", ("off", "on"), "off", "`on`: SendGrid checks each message and sends none")
LAG = 300.0  # seconds; SendGrid only says "near real time"
SPEC = ProviderSpec(
    title="SendGrid",
    documentation="https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send",
    sending=(API_KEY, API_URL, CATEGORIES, SANDBOX_MODE, EMAIL_FROM, EMAIL_REPLY_TO),
    receipts=(WEBHOOK_PUBLIC_KEY,),
    lag=LAG,
    probe=Probe(  # https://www.twilio.com/docs/sendgrid/api-reference/api-key-permissions: what the key may do
        url=lambda v: f"{v[API_URL]}/v3/scopes", headers=lambda v: bearer(v[API_KEY]), secret=API_KEY
    ),
)

MOST_LOOKED_AT = 10  # messages to one address; each is a call

SANDBOX = {"mail_settings": {"sandbox_mode": {"enable": True}}}

# SendGrid's click tracking would send a signing URL, which is a credential, through another host.
NO_TRACKING = {
    "click_tracking": {"enable": False, "enable_text": False},
    "open_tracking": {"enable": False},
    "subscription_tracking": {"enable": False},
}

# `event`, and `type` of a bounce. A deferred message is still being tried; opens and clicks are not tracked.
EVENTS: dict[str, tuple[NoticeState, Rule]] = {
    "processed": (NoticeState.ACCEPTED, FINE),
    "deferred": (NoticeState.ACCEPTED, FINE),
    "delivered": (NoticeState.DELIVERED, FINE),
    "bounce": (NoticeState.UNDELIVERED, ADDRESS("bounced")),
    "bounce/blocked": (NoticeState.UNDELIVERED, REFUSED("blocked by the recipient's server")),
    "dropped": (NoticeState.UNDELIVERED, REFUSED("dropped by SendGrid")),
    "spamreport": (NoticeState.DELIVERED, OPT_OUT("reported as spam")),
    "unsubscribe": (NoticeState.DELIVERED, OPT_OUT("unsubscribed")),
    "group_unsubscribe": (NoticeState.DELIVERED, OPT_OUT("unsubscribed")),
    "group_resubscribe": (NoticeState.DELIVERED, OPT_IN),
}
# How the reasons begin to drop a message that lie with its address; the others lie with the message or the account.
DROPS: dict[str, Rule] = {
    "Bounced Address": ADDRESS("the address bounced before"),
    "Invalid": ADDRESS("the address is not valid"),
    "Unsubscribed Address": OPT_OUT("unsubscribed before"),
    "Spam Reporting Address": OPT_OUT("reported as spam before"),
}

SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"


class Sender:
    """deadline: seconds of wall clock."""

    name, lag = "sendgrid", LAG

    def __init__(self, values: Values, clock: Callable[[], datetime], deadline: float = DEADLINE) -> None:
        self._url, self._login = f"{values[API_URL]}/v3/mail/send", bearer(values[API_KEY])
        self._categories, self._sandbox = values[CATEGORIES], values[SANDBOX_MODE] == "on"
        self._logs_url = f"{values[API_URL]}/v3/logs"
        self._letterhead, self._http, self._clock = Letterhead(values), Http("SendGrid", clock, deadline), clock

    def send(self, message: Outgoing) -> Accepted:
        answer = self._http.post_json(self._url, self._body(message), self._login)
        if answer.status >= 300:
            raise _refusal(answer)
        message_id = answer.headers.get("x-message-id", "")
        if self._sandbox and answer.status == 200:
            return Accepted(
                ""
            )  # checked and not sent: https://www.twilio.com/docs/sendgrid/for-developers/sending-email/sandbox-mode
        if answer.status != 202 or not message_id:
            raise OutcomeUnknown(f"SendGrid answered {answer.status} without a message id")
        return Accepted(message_id)

    def find(self, sought: Sought) -> Accepted | None:
        """The list has no arguments of ours, so each message to the address is looked at. The key needs Email Logs."""
        asked = {"query": _query(sought), "limit": MOST_LOOKED_AT + 1}
        told = listed(self._http.post_json(self._logs_url, asked, self._login, effect=False), "SendGrid", "messages")
        keys = [field_text(message.get("sg_message_id")) for message in told[:MOST_LOOKED_AT]]
        seen = {self._argument(key, sought.until): key for key in keys}
        if found := seen.get(sought.notice):
            return Accepted(_message_id(found))
        if len(told) > MOST_LOOKED_AT or None in seen:
            raise CannotSay("SendGrid lists messages to this address without telling what they are")
        return None

    def _argument(self, key: str, until: datetime) -> str | None:
        """The notice of one message; None where SendGrid shows no arguments."""
        if self._clock() >= until:
            raise RetryLater("SendGrid takes too long to say what it took")
        answer = self._http.get(f"{self._logs_url}/{quote(key, safe='')}", self._login)
        if answer.status >= 300:
            raise RetryLater(f"SendGrid lists a message and does not show it (HTTP {answer.status})")
        arguments = answer.json().get("custom_args")
        return field_text(arguments.get("notice")) if isinstance(arguments, dict) else None

    def _body(self, message: Outgoing) -> dict[str, Any]:
        content = [("text/plain", message.text), ("text/html", message.html)]
        sender, reply_to = self._letterhead.of(message)
        return {
            "personalizations": [{"to": [{"email": recipient_of(message)}], "custom_args": {"notice": message.notice}}],
            "from": _named(sender),
            **({"reply_to": _named(reply_to)} if reply_to else {}),
            "subject": message.subject,
            "content": [{"type": kind, "value": value} for kind, value in content if value],
            "headers": marks(message),
            "tracking_settings": NO_TRACKING,
            **({"categories": self._categories} if self._categories else {}),
            **(SANDBOX if self._sandbox else {}),
        }


class ReceiptVerifier:
    name = "sendgrid"
    limits = ReceiptLimits(headers=(SIGNATURE,), max_body=1024 * 1024)  # a batch is posted once it has 768 kB

    def __init__(self, values: Values) -> None:
        self._public_key = values[WEBHOOK_PUBLIC_KEY]

    def receipts(self, request: ReceiptRequest, now: datetime) -> list[Receipt]:
        """A batch of events, of other senders on the account too. Raises InvalidSignature."""
        self._verify(request, now)
        events = decoded(request.body)
        if not isinstance(events, list):
            raise InvalidSignature("the body is not a list of events")
        return [receipt for event in events if isinstance(event, dict) and (receipt := _receipt(event, now))]

    def _verify(self, request: ReceiptRequest, now: datetime) -> None:
        """ECDSA with SHA-256 over the timestamp header and the raw body."""
        from cryptography.exceptions import InvalidSignature as BadSignature
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        timestamp = request.headers.get("X-Twilio-Email-Event-Webhook-Timestamp", "")
        given = request.headers.get(SIGNATURE, "")
        try:
            signature = base64.b64decode(given, validate=True)
            self._key.verify(signature, timestamp.encode() + request.body, ec.ECDSA(hashes.SHA256()))
        except (ValueError, BadSignature, UnsupportedAlgorithm):
            raise InvalidSignature("the signature does not fit; check SENDGRID_WEBHOOK_PUBLIC_KEY") from None
        fresh(timestamp, now, RETRIES)

    @cached_property
    def _key(self) -> "EllipticCurvePublicKey":
        """Raises ValueError when the setting is no such key."""
        from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
        from cryptography.hazmat.primitives.serialization import load_der_public_key

        lines = [line for line in self._public_key.split("\n") if "-----" not in line]
        key = load_der_public_key(base64.b64decode("".join(lines)))
        if not isinstance(key, EllipticCurvePublicKey):
            raise ValueError("not an elliptic curve's")
        return key


def _query(sought: Sought) -> str:
    since = earliest(sought).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f'to_email = "{as_sent(sought.to)}" AND sg_message_id_created_at >= TIMESTAMP "{since}"'


def _message_id(key: str) -> str:
    """As the answer to a send gives it; what follows is SendGrid's own routing."""
    return key.partition(".")[0]


def _named(address: Address) -> dict[str, str]:
    named = {"email": address.addr_spec, "name": address.display_name}
    return {key: value for key, value in named.items() if value}


def _refusal(answer: HttpResponse) -> Exception:
    """Errors name the field at fault: https://www.twilio.com/docs/sendgrid/api-reference/mail-send/errors"""
    fields = _fields_at_fault(answer) if answer.status == 400 else []
    if any(f.startswith("personalizations.") and ".to" in f for f in fields):
        return ADDRESS("the address is not valid").error("SendGrid", 400)
    if any(f.partition(".")[0] == "from" for f in fields):
        return SENDER.error("SendGrid", 400)
    rule = by_status(answer.status, "SENDGRID_API_KEY, EMAIL_FROM", "SENDGRID_API_URL")
    return rule.error("SendGrid", f"HTTP {answer.status}")


def _fields_at_fault(answer: HttpResponse) -> list[str]:
    told = answer.json().get("errors")
    return [field_text(mapping(error).get("field")) for error in told] if isinstance(told, list) else []


def _receipt(event: Mapping[str, Any], now: datetime) -> Receipt | None:
    name, why = field_text(event.get("event")), field_text(event.get("reason"))
    known = EVENTS.get(f"{name}/{field_text(event.get('type'))}") or EVENTS.get(name)
    if not known:
        return None
    state, rule = known
    if name == "dropped":
        rule = next((drop for begins, drop in DROPS.items() if why.startswith(begins)), rule)
    notice, provider_id = field_text(event.get("notice")), _message_id(field_text(event.get("sg_message_id")))
    at = moment(event.get("timestamp"), now)
    return rule.receipt("SendGrid", state, at, notice=notice, provider_id=provider_id)
