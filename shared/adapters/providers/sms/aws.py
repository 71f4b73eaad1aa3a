"""AWS End User Messaging SMS (once a part of Amazon Pinpoint), API v2, JSON 1.0.

Send: https://docs.aws.amazon.com/pinpoint/latest/apireference_smsvoicev2/API_SendTextMessage.html
Reasons of errors: .../API_ConflictException.html, .../API_ValidationException.html beside it
Receipts: https://docs.aws.amazon.com/sms-voice/latest/userguide/configuration-sets-event-types.html and
https://docs.aws.amazon.com/sms-voice/latest/userguide/configuration-sets-event-format.html
Texts that come in: https://docs.aws.amazon.com/sms-voice/latest/userguide/two-way-sms-payload.html
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from shared.adapters.http.client import AND_500, DEADLINE, Http, HttpResponse, field_text
from shared.adapters.providers.common.aws import AwsAccount, AwsApi, error_of
from shared.adapters.providers.common.rules import ADDRESS, FINE, REFUSED, SETTINGS, Rule, mapping
from shared.adapters.providers.common.sns import LIMITS, Event, Topic, topic_arn
from shared.domain.errors import Accepted, OutcomeUnknown
from shared.domain.inbound import InboundText, keyword_of
from shared.domain.model import NoticeState
from shared.domain.receipts import Receipt, ReceiptRequest
from shared.ports import Outgoing
from shared.setting_types import ProviderSpec, Values, text

ACCOUNT = AwsAccount("AWS_SMS", host="sms-voice", service="sms-voice")
FROM = text("AWS_SMS_FROM", "a number, a sender id or a pool of yours: its name, id or ARN", None)
CONFIGURATION_SET = text(
    "AWS_SMS_CONFIGURATION_SET", "the configuration set of the texts; empty: none, and no receipts"
)
TOPIC_ARN = topic_arn("AWS_SMS")
SPEC = ProviderSpec(
    title="AWS End User Messaging",
    documentation="https://docs.aws.amazon.com/pinpoint/latest/apireference_smsvoicev2/API_SendTextMessage.html",
    sending=(*ACCOUNT.settings, FROM, CONFIGURATION_SET),
    receipts=(TOPIC_ARN,),
    probe=ACCOUNT.probe,
    cannot_find="its API lists no messages",
)

HEADERS = {
    "Content-Type": "application/x-amz-json-1.0",
    "X-Amz-Target": "PinpointSMSVoiceV2.SendTextMessage",
}
SENDER = SETTINGS(f"the sender cannot send such texts; check {FROM.name}, {ACCOUNT.region.name}")
COUNTRY = REFUSED("the account may not send to this country")
NO_WAY = REFUSED("no way from this sender to this country")
BARRED = SETTINGS("the account may not send; ask Amazon")

# An error, and its reason. One that is not here is read by the error alone, and then by its HTTP status.
REFUSALS: dict[str, Rule] = {
    "AccessDeniedException/ACCOUNT_DISABLED": BARRED,
    "AccessDeniedException/INSUFFICIENT_ACCOUNT_REPUTATION": BARRED,
    "ConflictException/DESTINATION_COUNTRY_BLOCKED_BY_PROTECT_CONFIGURATION": COUNTRY,
    "ConflictException/DESTINATION_PHONE_NUMBER_BLOCKED_BY_PROTECT_NUMBER_OVERRIDE": REFUSED(
        "the account's protect configuration holds it back"
    ),
    "ConflictException/DESTINATION_PHONE_NUMBER_NOT_VERIFIED": REFUSED("a sandbox sends to verified numbers only"),
    "ConflictException/DESTINATION_PHONE_NUMBER_OPTED_OUT": ADDRESS("the recipient has opted out (STOP)"),
    "ConflictException/MESSAGE_TYPE_MISMATCH": SENDER,
    "ConflictException/NO_ORIGINATION_IDENTITIES_FOUND": NO_WAY,
    "ConflictException/NUMBER_CAPABILITIES_MISMATCH": SENDER,
    "ConflictException/REGISTRATION_NOT_COMPLETE": SENDER,
    "ConflictException/RESOURCE_NOT_ACTIVE": SENDER,
    "ResourceNotFoundException": SETTINGS(
        f"it does not know the sender or the configuration set; check {FROM.name}, {CONFIGURATION_SET.name}"
    ),
    "ServiceQuotaExceededException": SETTINGS("a quota of the account is used up; raise it at Amazon"),
    "ServiceQuotaExceededException/MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT": SETTINGS(
        "the spending limit of the month is reached; raise it at Amazon"
    ),
    "ValidationException/COUNTRY_CODE_MISMATCH": COUNTRY,
    "ValidationException/COUNTRY_NOT_ENABLED": COUNTRY,
    "ValidationException/DESTINATION_COUNTRY_BLOCKED": COUNTRY,
    "ValidationException/INTERNATIONAL_SENDING_NOT_SUPPORTED": COUNTRY,
    "ValidationException/INVALID_ARN": SENDER,
    "ValidationException/INVALID_IDENTITY_FOR_DESTINATION_COUNTRY": NO_WAY,
    "ValidationException/MAXIMUM_SIZE_EXCEEDED": REFUSED("the text is too long"),
    "ValidationException/RESOURCE_NOT_ACCESSIBLE": SENDER,
    "ValidationException/SENDER_ID_NOT_REGISTERED": NO_WAY,
    "ValidationException/SENDER_ID_NOT_SUPPORTED": NO_WAY,
    "ValidationException/SENDER_ID_REQUIRES_REGISTRATION": NO_WAY,
}
# Of a ValidationException: the field at fault.
FIELDS: dict[str, Rule] = {
    "DestinationPhoneNumber": ADDRESS("the number is not valid"),
    "OriginationIdentity": SENDER,
    "ConfigurationSetName": SETTINGS(f"it refuses the configuration set; check {CONFIGURATION_SET.name}"),
}

# `eventType`.
STATES: dict[str, tuple[NoticeState, Rule]] = {
    "TEXT_QUEUED": (NoticeState.ACCEPTED, FINE),
    "TEXT_PENDING": (NoticeState.ACCEPTED, FINE),
    "TEXT_SENT": (NoticeState.ACCEPTED, FINE),
    "TEXT_SUCCESSFUL": (NoticeState.ACCEPTED, FINE),  # the carrier has it
    "TEXT_DELIVERED": (NoticeState.DELIVERED, FINE),
    "TEXT_BLOCKED": (NoticeState.UNDELIVERED, ADDRESS("the recipient blocks such texts, or their carrier does")),
    "TEXT_CARRIER_BLOCKED": (NoticeState.UNDELIVERED, REFUSED("filtered by the carrier")),
    "TEXT_CARRIER_UNREACHABLE": (NoticeState.UNDELIVERED, REFUSED("a fault in the carrier's network")),
    "TEXT_INVALID": (NoticeState.UNDELIVERED, ADDRESS("the number is not valid")),
    "TEXT_INVALID_MESSAGE": (NoticeState.UNDELIVERED, REFUSED("the text cannot be delivered as it is")),
    "TEXT_PROTECT_BLOCKED": (NoticeState.UNDELIVERED, REFUSED("the account's protect configuration holds it back")),
    "TEXT_SPAM": (NoticeState.UNDELIVERED, REFUSED("filtered as spam")),
    "TEXT_TTL_EXPIRED": (NoticeState.UNDELIVERED, REFUSED("not delivered in time")),
    "TEXT_UNKNOWN": (NoticeState.UNDELIVERED, REFUSED("the carrier does not say why")),
    "TEXT_UNREACHABLE": (NoticeState.UNDELIVERED, REFUSED("the handset was off or out of reach")),
}
# TEXT_UNKNOWN comes after 72 hours too, when the carrier has said nothing: the text may have arrived.
SILENCE = 71 * 3600  # seconds


class Sender:
    """deadline: seconds of wall clock."""

    name = "aws"

    def __init__(self, values: Values, clock: Callable[[], datetime], deadline: float = DEADLINE) -> None:
        # InternalServerException: "encountered an unexpected error and couldn't complete the request"
        http = Http("AWS End User Messaging", clock, deadline, safe=AND_500)
        self._api = AwsApi(f"{ACCOUNT.base(values)}/", ACCOUNT.signer(values), http, clock)
        self._sender = values[FROM]
        self._set = {"ConfigurationSetName": values[CONFIGURATION_SET]} if values[CONFIGURATION_SET] else {}

    def send(self, message: Outgoing) -> Accepted:
        sent = {
            "DestinationPhoneNumber": message.to,
            "OriginationIdentity": message.sender or self._sender,
            "MessageBody": message.text,
            "MessageType": "TRANSACTIONAL",
            "Context": {"notice": message.notice},
            **self._set,
        }
        answer = self._api.post(sent, HEADERS)
        if answer.status >= 300:
            raise _refusal(answer)
        message_id = field_text(answer.json().get("MessageId"))
        if not message_id:
            raise OutcomeUnknown(f"AWS End User Messaging answered {answer.status} without a message id")
        return Accepted(message_id)


class ReceiptVerifier:
    name, limits = "aws", LIMITS

    def __init__(self, values: Values) -> None:
        self._topic = Topic(TOPIC_ARN, values)

    def receipts(self, request: ReceiptRequest, now: datetime) -> list[Receipt] | list[InboundText]:
        """One event, or a text that came in. Raises InvalidSignature, RetryLater."""
        event = self._topic.event(request, now)
        if event is None:
            return []
        return [_text(event)] if "inboundMessageId" in event.body else _receipt(event)


def _refusal(answer: HttpResponse) -> Exception:
    fields = answer.json().get("Fields")
    names = [field_text(mapping(one).get("Name")) for one in fields] if isinstance(fields, list) else []
    rule = next((FIELDS[name] for name in names if name in FIELDS), None) or ACCOUNT.rule(answer, REFUSALS)
    return rule.error("AWS End User Messaging", error_of(answer) or f"HTTP {answer.status}")


def _text(event: Event) -> InboundText:
    """Amazon itself confirms STOP and HELP, and keeps a list of those who have sent STOP."""
    number, words = (field_text(event.body.get(name)) for name in ("originationNumber", "messageBody"))
    return InboundText(number=number, keyword=keyword_of(words), at=event.at)


def _receipt(event: Event) -> list[Receipt]:
    known = STATES.get(field_text(event.body.get("eventType")))
    if not known or _silent(event.body):
        return []
    state, rule = known
    notice = field_text(mapping(event.body.get("context")).get("notice"))
    provider_id = field_text(event.body.get("messageId"))
    return [rule.receipt("AWS End User Messaging", state, event.at, notice=notice, provider_id=provider_id)]


def _silent(event: Mapping[str, Any]) -> bool:
    """Both times are in milliseconds."""
    sent, told = event.get("messageRequestTimestamp"), event.get("eventTimestamp")
    if event.get("eventType") != "TEXT_UNKNOWN" or not isinstance(sent, int) or not isinstance(told, int):
        return False
    return told - sent >= SILENCE * 1000
