"""Mailgun, Messages API.

Send: https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages
Answers: https://documentation.mailgun.com/docs/mailgun/quickstart-guide/responses
Logs: https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/logs/post-v1-analytics-logs
Receipts: https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhooks
Signature: https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

import msgspec

from shared.adapters.http.client import DEADLINE, LONGEST_WAIT, Http, HttpResponse, basic, field_text
from shared.adapters.providers.common.lookup import PAGE, earliest, listed
from shared.adapters.providers.common.mail import Letterhead, as_sent, marks, recipient_of
from shared.adapters.providers.common.rules import (
    ADDRESS,
    FINE,
    OPT_OUT,
    REFUSED,
    SENDER,
    SKEW,
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
from shared.setting_types import Probe, ProviderSpec, Setting, Values, secret, text, url

API_KEY = secret("MAILGUN_API_KEY", "the account's key")
DOMAIN = text("MAILGUN_DOMAIN", "the sending domain", None)
API_URL = url("MAILGUN_API_URL", "another base (the EU's)", "https://api.mailgun.net")
SIGNING_KEY = secret(
    "MAILGUN_SIGNING_KEY", "the HTTP webhook signing key; proves receipts; empty: they are refused", ""
)
TAGS: Setting[list[str]] = Setting(
    name="MAILGUN_TAGS",
    meaning="comma-separated; tags of each message, for Mailgun's statistics",
    parse=several,
    wanted="up to ten words, comma-separated",
)
LAG = 120.0  # seconds; Mailgun names none for its logs
SPEC = ProviderSpec(
    title="Mailgun",
    documentation="https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages",
    sending=(API_KEY, DOMAIN, API_URL, TAGS, EMAIL_FROM, EMAIL_REPLY_TO),
    receipts=(SIGNING_KEY,),
    lag=LAG,
    probe=Probe(  # https://documentation.mailgun.com/docs/mailgun/api-reference: a domain
        url=lambda v: f"{v[API_URL]}/v3/domains/{quote(v[DOMAIN])}",
        headers=lambda v: basic("api", v[API_KEY]),
        secret=API_KEY,
        advice={404: "does not know MAILGUN_DOMAIN: check it, and whether the account is the EU's (MAILGUN_API_URL)"},
    ),
)

# The signature covers a timestamp and a token, not the event: a short life is all that protects it once it is seen.
TOLERANCE = timedelta(minutes=15)
WAIT = re.compile(r"try again after (\d{1,6}) seconds?", re.IGNORECASE)
INVALID_FROM = re.compile(r"'?from'? parameter is (missing|not a valid address)", re.IGNORECASE)
INVALID_TO = re.compile(r"'?to'? parameter is not a valid address", re.IGNORECASE)

# `event`, with `severity` where it has one. A temporary failure is retried by Mailgun.
EVENTS: dict[str, tuple[NoticeState, Rule]] = {
    "accepted": (NoticeState.ACCEPTED, FINE),
    "failed/temporary": (NoticeState.ACCEPTED, FINE),
    "delivered": (NoticeState.DELIVERED, FINE),
    "failed/permanent": (NoticeState.UNDELIVERED, REFUSED("failed for good")),
    "rejected": (NoticeState.UNDELIVERED, REFUSED("rejected by Mailgun")),
    "complained": (NoticeState.DELIVERED, OPT_OUT("reported as spam")),
    "unsubscribed": (NoticeState.DELIVERED, OPT_OUT("unsubscribed")),
}
# `reason` of a failure for good that lies with the address.
FAILURES: dict[str, Rule] = {
    "bounce": ADDRESS("bounced"),
    "suppress-bounce": ADDRESS("the address bounced before"),
    "suppress-complaint": OPT_OUT("reported as spam before"),
    "suppress-unsubscribe": OPT_OUT("unsubscribed before"),
}


class Sender:
    """deadline: seconds of wall clock."""

    name, lag = "mailgun", LAG

    def __init__(self, values: Values, clock: Callable[[], datetime], deadline: float = DEADLINE) -> None:
        self._url, self._login = f"{values[API_URL]}/v3/{values[DOMAIN]}/messages", basic("api", values[API_KEY])
        self._tags = {"o:tag": values[TAGS]} if values[TAGS] else {}
        self._logs_url, self._clock = f"{values[API_URL]}/v1/analytics/logs", clock
        self._letterhead, self._http = Letterhead(values), Http("Mailgun", clock, deadline, _check)

    def send(self, message: Outgoing) -> Accepted:
        answer = self._http.post_form(self._url, self._form(message), self._login)
        if answer.status >= 300:
            raise _refusal(answer)
        message_id = field_text(answer.json().get("id"))
        if not message_id:
            raise OutcomeUnknown(f"Mailgun answered {answer.status} without a message id")
        return Accepted(message_id.strip("<>"))  # as the receipts give it

    def find(self, sought: Sought) -> Accepted | None:
        """By the variable that travels with each message. A key that may only send is refused here."""
        answer = self._http.post_json(self._logs_url, self._query(sought), self._login, effect=False)
        told = listed(answer, "Mailgun", "items")
        found = [_message_id(event) for event in told if _notice(event) == sought.notice]
        if not found and (len(told) >= PAGE or any(map(_is_cut, told))):
            raise CannotSay("Mailgun lists too many messages to this address, or one whose variables cannot be read")
        return Accepted(found[0]) if found else None

    def _query(self, sought: Sought) -> dict[str, Any]:
        to = as_sent(sought.to)
        recipient = {"attribute": "recipient", "comparator": "=", "values": [{"label": to, "value": to}]}
        return {
            "start": format_datetime(earliest(sought)),
            "end": format_datetime(self._clock() + SKEW),
            "events": ["accepted"],
            "filter": {"AND": [recipient]},
            "pagination": {"sort": "timestamp:desc", "limit": PAGE},
        }

    def _form(self, message: Outgoing) -> dict[str, str | list[str]]:
        headers = {f"h:{name}": value for name, value in marks(message).items()}
        sender, reply_to = self._letterhead.of(message)
        if reply_to:
            headers["h:Reply-To"] = str(reply_to)
        return {
            "from": str(sender),
            "to": recipient_of(message),
            "subject": message.subject,
            "text": message.text,
            **({"html": message.html} if message.html else {}),
            "o:tracking": "no",  # it would send a signing URL, which is a credential, through another host
            "v:notice": message.notice,
            **self._tags,
            **headers,
        }


class ReceiptVerifier:
    name = "mailgun"
    limits = ReceiptLimits()  # its proof is in the body

    def __init__(self, values: Values) -> None:
        self._key = values[SIGNING_KEY].encode()
        self._seen: dict[str, tuple[datetime, bytes]] = {}

    def receipts(self, request: ReceiptRequest, now: datetime) -> list[Receipt]:
        """One event. Raises InvalidSignature."""
        body = mapping(decoded(request.body))
        signature = mapping(body.get("signature"))
        self._remember(self._verified(signature, now), request.body, now)
        return _receipt(mapping(body.get("event-data")), now)

    def _remember(self, proof: str, body: bytes, now: datetime) -> None:
        """A signature proves one body only. This instance remembers those seen; the same body may come again."""
        for old, (at, _) in list(self._seen.items()):
            if now - at > TOLERANCE + SKEW:
                self._seen.pop(old, None)
        if self._seen.setdefault(proof, (now, hashlib.sha256(body).digest()))[1] != hashlib.sha256(body).digest():
            raise InvalidSignature("the signature was used for another event before")

    def _verified(self, signature: Mapping[str, Any], now: datetime) -> str:
        """Hex of HMAC-SHA256 over timestamp and token. Where one ends and the other begins is not proven."""
        if not self._key:
            raise InvalidSignature("MAILGUN_SIGNING_KEY is not set")
        signed = field_text(signature.get("timestamp")) + field_text(signature.get("token"))
        expected = hmac.new(self._key, signed.encode(errors="replace"), "sha256").hexdigest()
        given = field_text(signature.get("signature"))
        if not hmac.compare_digest(expected.encode(), given.encode(errors="replace")):
            raise InvalidSignature("the signature does not fit; check MAILGUN_SIGNING_KEY")
        fresh(signature.get("timestamp"), now, TOLERANCE)
        return expected


def _check(answer: HttpResponse) -> None:
    """The wait stands in the body of a 429."""
    if answer.status == 429 and (wait := WAIT.search(field_text(answer.json().get("message")))):
        raise RetryLater("Mailgun answered 429", min(float(wait[1]), LONGEST_WAIT), paced=True)


def _refusal(answer: HttpResponse) -> Exception:
    said = field_text(answer.json().get("message")) if answer.status == 400 else ""
    if INVALID_TO.search(said):
        return ADDRESS("the address is not valid").error("Mailgun", 400)
    if INVALID_FROM.search(said):
        return SENDER.error("Mailgun", 400)
    rule = by_status(answer.status, "MAILGUN_API_KEY, MAILGUN_DOMAIN", "MAILGUN_DOMAIN, MAILGUN_API_URL")
    return rule.error("Mailgun", f"HTTP {answer.status}")


def _notice(event: Mapping[str, Any]) -> str:
    """Our variable. A webhook holds an object, a row of the logs the same as text."""
    variables = event.get("user-variables")
    if isinstance(variables, str):
        variables = _read(variables)
    return field_text(mapping(variables).get("notice"))


def _is_cut(event: Mapping[str, Any]) -> bool:
    """Whether there are variables that cannot be read, which may be ours."""
    variables = event.get("user-variables")
    return isinstance(variables, str) and variables != "" and _read(variables) is msgspec.UNSET


def _read(variables: str) -> object:
    try:
        return msgspec.json.decode(variables)
    except (msgspec.DecodeError, RecursionError):
        return msgspec.UNSET


def _message_id(event: Mapping[str, Any]) -> str:
    headers = mapping(mapping(event.get("message")).get("headers"))
    return field_text(headers.get("message-id")).strip("<>")


def _receipt(event: Mapping[str, Any], now: datetime) -> list[Receipt]:
    name, severity = field_text(event.get("event")), field_text(event.get("severity"))
    known = EVENTS.get(f"{name}/{severity}") or EVENTS.get(name)
    if not known:
        return []
    state, rule = known
    if state is NoticeState.UNDELIVERED:
        rule = FAILURES.get(field_text(event.get("reason")), rule)
    code = field_text(mapping(event.get("delivery-status")).get("code"))
    at, ids = moment(event.get("timestamp"), now), {"notice": _notice(event), "provider_id": _message_id(event)}
    return [rule.receipt("Mailgun", state, at, code=code, **ids)]
