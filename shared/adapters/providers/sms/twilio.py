"""Twilio Programmable Messaging, over REST.

Send, and list: https://www.twilio.com/docs/messaging/api/message-resource
Receipts: https://www.twilio.com/docs/messaging/guides/track-outbound-message-status
Signature: https://www.twilio.com/docs/usage/webhooks/webhooks-security
Codes: https://www.twilio.com/docs/api/errors/<code>
Texts that come in: https://www.twilio.com/docs/messaging/guides/webhook-request
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit
from xml.sax.saxutils import escape

from shared.adapters.http.client import DEADLINE, Http, HttpResponse, basic, field_text
from shared.adapters.providers.common.lookup import earliest, listed
from shared.adapters.providers.common.rules import ADDRESS, AGAIN, FINE, PACED, REFUSED, SETTINGS, Rule, by_status, form
from shared.adapters.providers.common.settings import RECEIPTS_BASE_URL
from shared.domain.errors import Accepted, CannotSay, OutcomeUnknown, RetryLater
from shared.domain.inbound import InboundText, Keyword, keyword_of
from shared.domain.lost_answers import fingerprint
from shared.domain.model import NoticeState
from shared.domain.receipts import InvalidSignature, Receipt, ReceiptLimits, ReceiptRequest
from shared.ports import Outgoing, Sought
from shared.setting_types import Probe, ProviderSpec, SettingError, Values, secret, text, url

ACCOUNT_SID = text("TWILIO_ACCOUNT_SID", "the account", None)
AUTH_TOKEN = secret("TWILIO_AUTH_TOKEN", "the account's token; proves receipts too")
FROM = text("TWILIO_FROM", "an E.164 number, a short code or a sender name; with the next, one of its senders")
MESSAGING_SERVICE_SID = text(
    "TWILIO_MESSAGING_SERVICE_SID", "a Messaging Service (`MG...`); one of the two is required"
)
HELP_REPLY = text("TWILIO_HELP_REPLY", "what answers a text of HELP; empty: Twilio's own answer is the only one")
API_URL = url("TWILIO_API_URL", "another base", "https://api.twilio.com")
MOST_LISTED = 400  # messages to one number; the list is sorted by a date that a queued one has not, so no part will do
LAG = 60.0  # seconds; Twilio names none, and lists a message from its creation on
SPEC = ProviderSpec(
    title="Twilio",
    documentation="https://www.twilio.com/docs/messaging/api/message-resource",
    sending=(ACCOUNT_SID, AUTH_TOKEN, FROM, MESSAGING_SERVICE_SID, API_URL, RECEIPTS_BASE_URL),
    receipts=(AUTH_TOKEN, HELP_REPLY),
    lag=LAG,
    probe=Probe(  # https://www.twilio.com/docs/iam/api/account
        url=lambda v: f"{v[API_URL]}/2010-04-01/Accounts/{quote(v[ACCOUNT_SID])}.json",
        headers=lambda v: basic(v[ACCOUNT_SID], v[AUTH_TOKEN]),
        secret=AUTH_TOKEN,
    ),
)

TRIAL = "Sent from your Twilio trial account - "  # before every text of an account that is not paid for
CREDENTIALS = "TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN"
SENDER = "TWILIO_FROM, TWILIO_MESSAGING_SERVICE_SID"

# The answer to a send. A code that is not here is read by its HTTP status.
REFUSALS: dict[int, Rule] = {
    14107: AGAIN("too many messages between the two numbers within 30 s", after=60.0, of_message=True),
    20003: SETTINGS(f"it refuses the credentials; check {CREDENTIALS}"),
    20404: SETTINGS(f"no such account; check {CREDENTIALS}"),
    20429: PACED("too many requests"),
    21211: ADDRESS("the number is not valid"),
    21408: REFUSED("the account may not send to this country"),
    21602: REFUSED("the text is empty"),
    21603: SETTINGS(f"no sender given; check {SENDER}"),
    21606: SETTINGS(f"the sender cannot send messages; check {SENDER}"),
    21608: REFUSED("a trial account sends to verified numbers only"),
    21610: ADDRESS("the recipient has opted out (STOP)"),
    21611: PACED("the sender's queue is full", after=300.0),
    21612: REFUSED("no way from this sender to this number"),
    21614: ADDRESS("the number is not a mobile one"),
    21617: REFUSED("the text is longer than 1600 characters"),
    21635: ADDRESS("the number is a landline"),
    21659: SETTINGS(f"the sender is no Twilio number; check {SENDER}"),
    21660: SETTINGS(f"the sender belongs to another account; check {SENDER}"),
    21703: SETTINGS(f"the Messaging Service has no number; check {SENDER}"),
    21704: SETTINGS(f"the Messaging Service has no number; check {SENDER}"),
    21705: SETTINGS(f"no such Messaging Service; check {SENDER}"),
    30001: PACED("the queue is full"),
    63038: PACED("the account's daily limit is reached", after=3600.0),
}

# ErrorCode of a status callback. Twilio does not retry these; `reason` tells the operator whether one could.
UNDELIVERED: dict[str, Rule] = {
    "30001": REFUSED("the queue was full"),
    "30002": REFUSED("the account is suspended"),
    "30003": REFUSED("the handset was off or out of reach"),
    "30004": ADDRESS("the recipient blocks or has opted out"),
    "30005": ADDRESS("the number is unknown or no longer in use"),
    "30006": ADDRESS("a landline, or a carrier that cannot be reached"),
    "30007": REFUSED("filtered by the carrier"),
    "30008": REFUSED("the carrier does not say why"),
    "30034": REFUSED("the sender is not registered for A2P 10DLC"),
    "30036": REFUSED("not delivered in time"),
    "30450": REFUSED("held back by the protection against SMS pumping"),
    "30500": REFUSED("a fault at Twilio"),
    "21610": ADDRESS("the recipient has opted out (STOP)"),
}

STATES: dict[str, NoticeState] = {
    "accepted": NoticeState.ACCEPTED,
    "scheduled": NoticeState.ACCEPTED,
    "queued": NoticeState.ACCEPTED,
    "sending": NoticeState.ACCEPTED,
    "sent": NoticeState.ACCEPTED,  # the carrier has it
    "delivered": NoticeState.DELIVERED,
    "read": NoticeState.DELIVERED,
    "undelivered": NoticeState.UNDELIVERED,
    "failed": NoticeState.UNDELIVERED,
    "canceled": NoticeState.UNDELIVERED,
}


class Sender:
    """deadline: seconds of wall clock."""

    name, lag = "twilio", LAG

    def __init__(self, values: Values, clock: Callable[[], datetime], deadline: float = DEADLINE) -> None:
        account = values[ACCOUNT_SID]
        self._url = f"{values[API_URL]}/2010-04-01/Accounts/{account}/Messages.json"
        self._login = basic(account, values[AUTH_TOKEN])
        self._sender = _sender(values)
        self._receipts_url = values[RECEIPTS_BASE_URL]
        self._http = Http("Twilio", clock, deadline, _check)

    def send(self, message: Outgoing) -> Accepted:
        sender = {"From": message.sender} if message.sender else self._sender
        sent = {"To": message.to, **sender, "Body": message.text}
        if self._receipts_url:
            sent["StatusCallback"] = f"{self._receipts_url}/twilio?{urlencode({'n': message.notice})}"
        answer = self._http.post_form(self._url, sent, self._login)
        if answer.status >= 300:
            raise _refusal(answer)
        sid = field_text(answer.json().get("sid"))
        if answer.status != 201 or not sid:
            raise OutcomeUnknown(f"Twilio answered {answer.status} without a message id")
        return Accepted(sid)

    def find(self, sought: Sought) -> Accepted | None:
        """By number and text: Twilio keeps no reference of ours. Its filter by date would hide what is still queued."""
        if not sought.fingerprint:
            raise CannotSay("nothing is known of the text that was sent")
        answer = self._http.get(f"{self._url}?{urlencode({'To': sought.to, 'PageSize': MOST_LISTED})}", self._login)
        told = listed(answer, "Twilio", "messages")
        recent = [(m, field_text(m.get("sid"))) for m in told if _created(m) >= earliest(sought)]
        sids = {_fingerprint(m): sid for m, sid in recent if sid not in sought.others}
        if sought.fingerprint in sids:
            return Accepted(sids[sought.fingerprint])
        if answer.json().get("next_page_uri") or "" in sids:
            raise CannotSay("Twilio keeps no texts, or lists too many messages to this number")
        return None


class ReceiptVerifier:
    name = "twilio"
    limits = ReceiptLimits(headers=("X-Twilio-Signature",))

    def __init__(self, values: Values) -> None:
        self._key, self._help = values[AUTH_TOKEN].encode(), values[HELP_REPLY]

    def receipts(self, request: ReceiptRequest, now: datetime) -> list[Receipt] | list[InboundText]:
        """One status callback, or a text that came in. A status that says nothing about arrival gives no receipt.

        Raises InvalidSignature.
        """
        fields = form(request.body)
        self._verify(request, fields)
        values = dict(fields)
        if values.get("SmsStatus") == "received":
            return [self._text(values, now)]
        state = STATES.get(values.get("MessageStatus", ""))
        if state is None:
            return []
        code, notice = values.get("ErrorCode", ""), parse_qs(urlsplit(request.url).query).get("n", [""])[0]
        rule = UNDELIVERED.get(code, REFUSED("not delivered")) if state is NoticeState.UNDELIVERED else FINE
        provider_id = values.get("MessageSid", "")
        return [rule.receipt("Twilio", state, now, code=code, notice=notice, provider_id=provider_id)]

    def _text(self, values: Mapping[str, str], now: datetime) -> InboundText:
        """OptOutType is there where Advanced Opt-Out is on, and then knows words of other languages too.

        https://www.twilio.com/docs/messaging/tutorials/advanced-opt-out. Twilio itself confirms STOP and START, and
        would refuse a reply of ours to STOP.
        """
        given = values.get("OptOutType", "")
        keyword = Keyword(given) if given in list(Keyword) else keyword_of(values.get("Body", ""))
        reply = f"<Message>{escape(self._help)}</Message>" if self._help and keyword is Keyword.HELP else ""
        answer = f"<Response>{reply}</Response>"
        return InboundText(number=values.get("From", ""), keyword=keyword, at=now, answer=answer)

    def _verify(self, request: ReceiptRequest, fields: list[tuple[str, str]]) -> None:
        """Base64 of HMAC-SHA1 over the public URL and every field, sorted by name, without separators."""
        signed = "".join(name + value for name, value in sorted(set(fields)))
        given = request.headers.get("X-Twilio-Signature", "").encode(errors="replace")
        if not any(hmac.compare_digest(self._signature(url + signed), given) for url in _spellings(request.url)):
            raise InvalidSignature("X-Twilio-Signature does not fit; check TWILIO_AUTH_TOKEN, RECEIPTS_BASE_URL")

    def _signature(self, signed: str) -> bytes:
        return base64.b64encode(hmac.digest(self._key, signed.encode(), hashlib.sha1))


def _spellings(url: str) -> set[str]:
    """Twilio signs the URL with or without its port, a default one too; its own libraries try both."""
    parts = urlsplit(url)
    host = parts.netloc.removesuffix(f":{parts.port}") if parts.port else parts.netloc
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return {url, parts._replace(netloc=host).geturl(), parts._replace(netloc=f"{host}:{port}").geturl()}


def _sender(values: Values) -> dict[str, str]:
    sender, service = values[FROM], values[MESSAGING_SERVICE_SID]
    if not sender and not service:
        raise SettingError(f"{FROM.name} is not set, nor {MESSAGING_SERVICE_SID.name}: one is required")
    return {name: value for name, value in (("From", sender), ("MessagingServiceSid", service)) if value}


def _fingerprint(message: Mapping[str, Any]) -> str:
    return fingerprint(field_text(message.get("body")).removeprefix(TRIAL))


def _created(message: Mapping[str, Any]) -> datetime:
    """Raises RetryLater where it cannot be read: an older message must not be taken for a newer one, nor left out."""
    try:
        return parsedate_to_datetime(field_text(message.get("date_created")))
    except ValueError:
        raise RetryLater("Twilio lists a message without its date") from None


def _check(answer: HttpResponse) -> None:
    """Of the 429s some are not about the pace: their wait, and whom they hold up, stand in the table."""
    code = answer.json().get("code")
    rule = REFUSALS.get(code) if isinstance(code, int) else None
    if answer.status == 429 and rule and rule.after is not None:
        raise rule.error("Twilio", code)


def _refusal(answer: HttpResponse) -> Exception:
    code = answer.json().get("code")
    known = REFUSALS.get(code) if isinstance(code, int) else None
    rule = known or by_status(answer.status, CREDENTIALS, "TWILIO_API_URL")
    return rule.error("Twilio", field_text(code) or f"HTTP {answer.status}")
