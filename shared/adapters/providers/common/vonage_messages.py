"""Vonage's Messages API, for texts: the account, its secret and its signatures are those of the SMS API.

Send: https://developer.vonage.com/en/api/messages
Codes: https://developer.vonage.com/en/api-errors/messages
Receipts: https://developer.vonage.com/en/messages/concepts/messages-status-callbacks
Texts that come in: https://developer.vonage.com/en/messages/guides/sms-migration-to-messages
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shared.adapters.http.client import HttpResponse, field_text
from shared.adapters.providers.common.rules import (
    ADDRESS,
    AGAIN,
    FINE,
    OPT_OUT,
    PACED,
    REFUSED,
    SETTINGS,
    Rule,
    by_status,
    mapping,
)
from shared.domain.errors import Accepted, OutcomeUnknown, PermanentFailure, RetryLater
from shared.domain.inbound import InboundText, keyword_of
from shared.domain.model import NoticeState
from shared.domain.receipts import Receipt
from shared.ports import Outgoing
from shared.text.segments import GSM7, segments

# At the end of an error's `type`, and in `title` of a status; of a refusal as of a message that was not delivered.
CODES: dict[str, Rule] = {
    "1000": PACED("too many messages a second"),
    "1030": AGAIN("a fault at Vonage"),
    "1040": REFUSED("it cannot be routed"),
    "1050": ADDRESS("the number is barred"),
    "1060": SETTINGS("the account is barred; ask Vonage"),
    "1070": SETTINGS("the account has no credit left"),
    "1080": SETTINGS("the account may not use the HTTP API; ask Vonage"),
    "1090": REFUSED("the text is too long"),
    "1120": SETTINGS("it refuses the sender; check VONAGE_FROM"),
    "1140": SETTINGS("the account may not use the Messages API; check VONAGE_API"),
    "1160": REFUSED("a trial account sends to listed numbers only"),
    "1170": ADDRESS("the number is not valid"),
    "1180": REFUSED("the handset was off or out of reach"),
    "1190": ADDRESS("the number is no longer in use"),
    "1200": REFUSED("the number is being moved between carriers"),
    "1210": REFUSED("filtered as spam"),
    "1220": REFUSED("the handset was busy"),
    "1230": REFUSED("a fault in the network"),
    "1240": OPT_OUT("the recipient has opted out"),
    "1250": REFUSED("no route"),
    "1260": REFUSED("no route to the number"),
    "1270": REFUSED("the recipient is too young for it"),
    "1280": ADDRESS("the carrier has blocked the number"),
    "1290": REFUSED("the recipient has no credit left"),
    "1330": REFUSED("the carrier does not say why"),
    "1360": REFUSED("not delivered in time"),
}
STATES: dict[str, NoticeState] = {
    "submitted": NoticeState.ACCEPTED,
    "delivered": NoticeState.DELIVERED,
    "rejected": NoticeState.UNDELIVERED,
    "undeliverable": NoticeState.UNDELIVERED,
}


def body(message: Outgoing, sender: str, callback: str) -> dict[str, Any]:
    """What is posted for a message. callback: where its status goes; "" for where the account says."""
    plain = segments(message.text).encoding == GSM7
    return {
        "channel": "sms",
        "message_type": "text",
        "from": sender,
        "to": message.to.removeprefix("+"),
        "text": message.text,
        "client_ref": message.notice,
        "sms": {"encoding_type": "text" if plain else "unicode"},
        **({"webhook_url": callback, "webhook_version": "v1"} if callback else {}),
    }


def accepted(answer: HttpResponse, credentials: str) -> Accepted:
    """credentials: the variables to check. Raises RetryLater, PermanentFailure, OutcomeUnknown."""
    told = answer.json()
    if answer.status >= 300:
        raise _refusal(answer.status, told, credentials)
    message_id = field_text(told.get("message_uuid"))
    if answer.status != 202 or not message_id:
        raise OutcomeUnknown(f"Vonage answered {answer.status} without a message id")
    return Accepted(message_id)


def received(told: Mapping[str, Any], now: datetime) -> list[Receipt] | list[InboundText]:
    """A verified status, or a text that came in."""
    at = _moment(told.get("timestamp"), now)
    if "status" not in told:
        text = field_text(told.get("text"))
        return [InboundText(number=f"+{field_text(told.get('from'))}", keyword=keyword_of(text), at=at)]
    state = STATES.get(field_text(told.get("status")))
    if state is None:
        return []
    code = _code(mapping(told.get("error")))
    rule = CODES.get(code, REFUSED("not delivered")) if state is NoticeState.UNDELIVERED else FINE
    ids = {"notice": field_text(told.get("client_ref")), "provider_id": field_text(told.get("message_uuid"))}
    return [rule.receipt("Vonage", state, at, code=code or field_text(told["status"]), **ids)]


def _refusal(status: int, told: Mapping[str, Any], credentials: str) -> RetryLater | PermanentFailure:
    code, wrong = _code(told), told.get("invalid_parameters")
    rule = CODES.get(code) or by_status(status, credentials, "VONAGE_MESSAGES_API_URL")
    names = [mapping(one).get("name") for one in wrong] if isinstance(wrong, list) else []
    if "to" in names:
        rule = ADDRESS("the number is not valid")
    if "from" in names:
        rule = CODES["1120"]
    return rule.error("Vonage", code or f"HTTP {status}")


def _code(error: Mapping[str, Any]) -> str:
    """ "1000" of "https://developer.vonage.com/api-errors/messages#1000"."""
    return field_text(error.get("type")).rpartition("#")[2] or field_text(error.get("title"))


def _moment(told: object, now: datetime) -> datetime:
    try:
        at = datetime.fromisoformat(field_text(told))
    except ValueError:
        return now
    return at if at.tzinfo else now
