"""Postmark, Email API. The outcome is in `ErrorCode`; 0 alone is success.

Send: https://postmarkapp.com/developer/api/email-api
Message-ID: https://postmarkapp.com/developer/user-guide/send-email-with-smtp
Codes: https://postmarkapp.com/developer/api/overview#error-codes
Search: https://postmarkapp.com/developer/api/messages-api#outbound-message-search, and by metadata:
https://postmarkapp.com/support/article/1125-custom-metadata-faq
Receipts: https://postmarkapp.com/developer/webhooks/webhooks-overview, .../bounce-webhook, .../delivery-webhook,
.../subscription-change-webhook
"""

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from msgspec.structs import replace

from shared.adapters.http.client import DEADLINE, Http, HttpResponse, field_text
from shared.adapters.providers.common.lookup import listed
from shared.adapters.providers.common.mail import Letterhead, marks, message_id, recipient_of
from shared.adapters.providers.common.rules import (
    ADDRESS,
    AGAIN,
    FINE,
    OPT_OUT,
    REFUSED,
    SENDER,
    SETTINGS,
    Rule,
    by_status,
    decoded,
    iso,
    mapping,
)
from shared.adapters.providers.common.settings import EMAIL_FROM, EMAIL_REPLY_TO
from shared.domain.errors import Accepted, CannotSay, OutcomeUnknown
from shared.domain.model import NoticeState
from shared.domain.receipts import InvalidSignature, Receipt, ReceiptLimits, ReceiptRequest
from shared.ports import Outgoing, Sought
from shared.setting_types import Probe, ProviderSpec, Values, secret, text, url

OUTBOUND = "outbound"  # the stream every server has
SERVER_TOKEN = secret("POSTMARK_SERVER_TOKEN", "the server's token")
API_URL = url("POSTMARK_API_URL", "another base", "https://api.postmarkapp.com")
WEBHOOK_TOKEN = secret(
    "POSTMARK_WEBHOOK_TOKEN", "the password of the webhook's URL; proves receipts; empty: they are refused", ""
)
MESSAGE_STREAM = text(
    "POSTMARK_MESSAGE_STREAM", "id of the transactional message stream that is sent through", OUTBOUND
)
LAG = 120.0  # seconds; Postmark names none
SPEC = ProviderSpec(
    title="Postmark",
    documentation="https://postmarkapp.com/developer/api/email-api",
    sending=(SERVER_TOKEN, API_URL, MESSAGE_STREAM, EMAIL_FROM, EMAIL_REPLY_TO),
    receipts=(WEBHOOK_TOKEN,),
    lag=LAG,
    probe=Probe(  # https://postmarkapp.com/developer/api/server-api: the server
        url=lambda v: f"{v[API_URL]}/server",
        headers=lambda v: {"X-Postmark-Server-Token": v[SERVER_TOKEN], "Accept": "application/json"},
        secret=SERVER_TOKEN,
    ),
)

KEEP_ID = "X-PM-KeepID"  # without it Postmark replaces our Message-ID; the id that its receipts name is another one
TOKEN_HEADER = "X-Webhook-Token"  # noqa: S105 - one of ours, to be added to the webhook at Postmark

REFUSALS: dict[int, Rule] = {
    10: SETTINGS("it refuses the token; check POSTMARK_SERVER_TOKEN"),
    100: AGAIN("it is being maintained"),
    300: REFUSED("a field is not valid"),
    400: SETTINGS("it does not know the sender; check EMAIL_FROM"),
    401: SETTINGS("the sender is not confirmed; check EMAIL_FROM"),
    402: REFUSED("it cannot read the message"),
    403: REFUSED("it cannot read the message"),
    405: SETTINGS("the account may send no more"),
    406: ADDRESS("the recipient bounced before, complained or has opted out"),
    409: REFUSED("it cannot read the message"),
    412: SETTINGS("the account waits for approval"),
    413: SETTINGS("the account may not send"),
}

# `Type` of a bounce: https://postmarkapp.com/developer/api/bounce-api#bounce-types
# Types that are no bounce at all (an auto-responder's answer, a changed address) are not here.
BOUNCES: dict[str, tuple[NoticeState, Rule]] = {
    "Transient": (NoticeState.ACCEPTED, FINE),  # still being tried
    "HardBounce": (NoticeState.UNDELIVERED, ADDRESS("bounced")),
    "BadEmailAddress": (NoticeState.UNDELIVERED, ADDRESS("the address is not valid")),
    "ManuallyDeactivated": (NoticeState.UNDELIVERED, ADDRESS("deactivated at Postmark")),
    "Unsubscribe": (NoticeState.UNDELIVERED, OPT_OUT("has opted out")),
    "SoftBounce": (NoticeState.UNDELIVERED, REFUSED("the mailbox takes nothing just now")),
    "DnsError": (NoticeState.UNDELIVERED, REFUSED("the address's domain was not found")),
    "SpamNotification": (NoticeState.UNDELIVERED, REFUSED("filtered as spam")),
    "VirusNotification": (NoticeState.UNDELIVERED, REFUSED("filtered as a virus")),
    "Blocked": (NoticeState.UNDELIVERED, REFUSED("blocked by the recipient's server")),
    "DMARCPolicy": (NoticeState.UNDELIVERED, REFUSED("against the DMARC policy of our domain")),
    "SMTPApiError": (NoticeState.UNDELIVERED, REFUSED("a fault at Postmark")),
    "Unknown": (NoticeState.UNDELIVERED, REFUSED("returned, nobody says why")),
}
DELIVERED = (NoticeState.DELIVERED, FINE)
COMPLAINED = (NoticeState.DELIVERED, OPT_OUT("reported as spam"))
# `SuppressionReason` of a SubscriptionChange: https://postmarkapp.com/developer/webhooks/subscription-change-webhook
SUPPRESSIONS: dict[str, tuple[NoticeState, Rule]] = {
    "HardBounce": (NoticeState.UNDELIVERED, ADDRESS("bounced")),
    "SpamComplaint": COMPLAINED,
    "ManualSuppression": (NoticeState.DELIVERED, ADDRESS("deactivated at Postmark")),
}
UNSUBSCRIBED = (NoticeState.DELIVERED, OPT_OUT("has opted out"))
RECIPIENT = "Recipient"  # `Origin` of a change that they made themselves; others are made by the account's staff


class Sender:
    """deadline: seconds of wall clock."""

    name, lag = "postmark", LAG

    def __init__(self, values: Values, clock: Callable[[], datetime], deadline: float = DEADLINE) -> None:
        self._search_url, self._stream = f"{values[API_URL]}/messages/outbound", values[MESSAGE_STREAM]
        self._url, self._login = f"{values[API_URL]}/email", {"X-Postmark-Server-Token": values[SERVER_TOKEN]}
        self._letterhead, self._http = Letterhead(values), Http("Postmark", clock, deadline)

    def send(self, message: Outgoing) -> Accepted:
        answer = self._http.post_json(self._url, self._body(message), self._login)
        told = answer.json()
        code = told.get("ErrorCode")
        if answer.status >= 300 or (isinstance(code, int) and code != 0):
            raise _refusal(answer)
        message_id = field_text(told.get("MessageID"))
        if code != 0 or not message_id:
            raise OutcomeUnknown(f"Postmark answered {answer.status} without a message id")
        return Accepted(message_id)

    def find(self, sought: Sought) -> Accepted | None:
        """By the metadata that travels with each message, over Postmark's retention of seven days or more."""
        wanted = {"count": 5, "offset": 0, "messagestream": self._stream, "metadata_notice": sought.notice}
        told = listed(self._http.get(f"{self._search_url}?{urlencode(wanted)}", self._login), "Postmark", "Messages")
        ours = [m for m in told if mapping(m.get("Metadata")).get("notice") == sought.notice]
        if told and not ours:
            raise CannotSay("Postmark lists other messages than those asked for")
        return Accepted(field_text(ours[0].get("MessageID"))) if ours else None

    def _body(self, message: Outgoing) -> dict[str, Any]:
        sender, reply_to = self._letterhead.of(message)
        headers = marks(message) | {"Message-ID": message_id(message, sender), KEEP_ID: "true"}
        optional = {"HtmlBody": message.html, "ReplyTo": str(reply_to or "")}
        return {
            "From": str(sender),
            "To": recipient_of(message),
            "Subject": message.subject,
            "TextBody": message.text,
            **{name: value for name, value in optional.items() if value},
            "Headers": [{"Name": name, "Value": value} for name, value in headers.items()],
            "Metadata": {"notice": message.notice},
            "TrackOpens": False,
            "TrackLinks": "None",  # it would send a signing URL, which is a credential, through another host
            "MessageStream": self._stream,
        }


class ReceiptVerifier:
    name = "postmark"
    limits = ReceiptLimits(headers=("Authorization", TOKEN_HEADER), max_body=256 * 1024)

    def __init__(self, values: Values) -> None:
        self._token = values.strong(WEBHOOK_TOKEN).encode()

    def receipts(self, request: ReceiptRequest, now: datetime) -> list[Receipt]:
        """One event. Raises InvalidSignature."""
        self._verify(request.headers)
        return _receipt(mapping(decoded(request.body)), now)

    def _verify(self, headers: Mapping[str, str]) -> None:
        """Postmark signs nothing: the token comes as the password of the webhook's URL, or in a header added to it."""
        given = headers.get(TOKEN_HEADER) or _password(headers.get("Authorization", ""))
        if not self._token:
            raise InvalidSignature("POSTMARK_WEBHOOK_TOKEN is not set")
        if not hmac.compare_digest(self._token, given.encode(errors="replace")):
            raise InvalidSignature("the token does not fit; check POSTMARK_WEBHOOK_TOKEN")


def _password(authorization: str) -> str:
    try:
        pair = base64.b64decode(authorization.removeprefix("Basic "), validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
    return pair.partition(":")[2]


def _refusal(answer: HttpResponse) -> Exception:
    told = answer.json()
    code = told.get("ErrorCode")
    known = REFUSALS.get(code) if isinstance(code, int) else None
    if code == 300 and "'To'" in field_text(told.get("Message")):
        known = ADDRESS("the address is not valid")
    if code == 300 and "'From'" in field_text(told.get("Message")):
        known = SENDER
    rule = known or by_status(answer.status, "POSTMARK_SERVER_TOKEN", "POSTMARK_API_URL")
    return rule.error("Postmark", field_text(code) or f"HTTP {answer.status}")


def _receipt(event: Mapping[str, Any], now: datetime) -> list[Receipt]:
    kinds = {
        "Delivery": DELIVERED,
        "SpamComplaint": COMPLAINED,
        "Bounce": BOUNCES.get(field_text(event.get("Type"))),
        "SubscriptionChange": _suppression(event),
    }
    known = kinds.get(field_text(event.get("RecordType")))
    if not known:
        return []
    state, rule = known
    # Inactive: Postmark itself sends nothing more to the address.
    inactive = state is NoticeState.UNDELIVERED and event.get("Inactive") is True
    rule = replace(rule, suppress=rule.suppress or inactive)
    notice = field_text(mapping(event.get("Metadata")).get("notice"))
    provider_id = field_text(event.get("MessageID"))
    return [rule.receipt("Postmark", state, _when(event, now), notice=notice, provider_id=provider_id)]


def _suppression(event: Mapping[str, Any]) -> tuple[NoticeState, Rule] | None:
    """None when the account's staff let the address be written to again: that an operator here decides."""
    if event.get("SuppressSending") is not True:
        return None
    why = field_text(event.get("SuppressionReason"))
    theirs = why == "ManualSuppression" and event.get("Origin") == RECIPIENT
    return UNSUBSCRIBED if theirs else SUPPRESSIONS.get(why)


def _when(event: Mapping[str, Any], now: datetime) -> datetime:
    return iso(field_text(event.get("DeliveredAt") or event.get("BouncedAt") or event.get("ChangedAt")), now)
