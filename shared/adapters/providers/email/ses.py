"""Amazon SES, API v2, over REST.

Send: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html
Errors: the same page, and https://docs.aws.amazon.com/ses/latest/dg/troubleshoot-error-messages.html
Quotas: https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas-errors.html
Receipts: https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from email.headerregistry import Address
from email.utils import formataddr
from typing import Any

from shared.adapters.http.client import AND_500, DEADLINE, Http, HttpResponse, field_text
from shared.adapters.providers.common.aws import AwsAccount, AwsApi, error_of
from shared.adapters.providers.common.mail import Letterhead, marks, recipient_of
from shared.adapters.providers.common.rules import (
    ADDRESS,
    FINE,
    OPT_OUT,
    PACED,
    REFUSED,
    SENDER,
    SETTINGS,
    Rule,
    mapping,
)
from shared.adapters.providers.common.settings import EMAIL_FROM, EMAIL_REPLY_TO
from shared.adapters.providers.common.sns import LIMITS, Topic, topic_arn
from shared.domain.errors import Accepted, OutcomeUnknown
from shared.domain.model import NoticeState
from shared.domain.receipts import Receipt, ReceiptRequest
from shared.ports import Outgoing
from shared.setting_types import ProviderSpec, Values, text

ACCOUNT = AwsAccount("SES", host="email", service="ses")
CONFIGURATION_SET = text(
    "SES_CONFIGURATION_SET", "the configuration set of the messages; empty: the domain's own, if any"
)
TOPIC_ARN = topic_arn("SES")
SPEC = ProviderSpec(
    title="Amazon SES",
    documentation="https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html",
    sending=(*ACCOUNT.settings, CONFIGURATION_SET, EMAIL_FROM, EMAIL_REPLY_TO),
    receipts=(TOPIC_ARN,),
    probe=ACCOUNT.probe,
    cannot_find="it tells of a message by the id that the lost answer held, and lists none",
)

QUOTA_WAIT = 3600.0  # seconds; the quota is of the last 24 hours, and grows back with each
NO_TRACKING = {"Tracking": {"ClickTrackingEnabled": "DISABLED", "OpenTrackingEnabled": "DISABLED"}}
QUOTA = PACED("the account's quota of a day is used up", after=QUOTA_WAIT)
DAILY = re.compile(r"daily", re.IGNORECASE)
SUSPENDED = SETTINGS("the account may not send; ask Amazon")

# The name of an error. Some of it is told in words only: see below.
REFUSALS: dict[str, Rule] = {
    "AccountSuspendedException": SUSPENDED,
    "SendingPausedException": SETTINGS("sending is paused, for the account or its configuration set; ask Amazon"),
    "MailFromDomainNotVerifiedException": SENDER,
    "NotFoundException": SETTINGS("it does not know the configuration set; check SES_CONFIGURATION_SET, SES_REGION"),
    "LimitExceededException": QUOTA,
}
WORDS: dict[str, tuple[tuple[re.Pattern[str], Rule], ...]] = {
    "MessageRejected": (
        (
            re.compile(r"not verified", re.IGNORECASE),
            SETTINGS("it has not verified the sender, or is in its sandbox; check EMAIL_FROM, SES_REGION"),
        ),
        (re.compile(r"suspended|paused", re.IGNORECASE), SUSPENDED),
        (re.compile(r"blacklisted", re.IGNORECASE), ADDRESS("bounced before; SES does not write to it")),
    ),
    "BadRequestException": (
        (
            re.compile(r"@domain|illegal address|local address|domain (contains|ends|starts|name)", re.IGNORECASE),
            ADDRESS("the address is not valid"),
        ),
    ),
}

# `eventType`, with type and subtype of a bounce or a complaint. A delayed message is still being tried.
EVENTS: dict[str, tuple[NoticeState, Rule]] = {
    "Send": (NoticeState.ACCEPTED, FINE),
    "DeliveryDelay": (NoticeState.ACCEPTED, FINE),
    "Delivery": (NoticeState.DELIVERED, FINE),
    "Reject": (NoticeState.UNDELIVERED, REFUSED("it found a virus")),
    "Bounce/Permanent": (NoticeState.UNDELIVERED, ADDRESS("bounced")),
    "Bounce/Permanent/Suppressed": (NoticeState.UNDELIVERED, ADDRESS("bounced before; SES does not write to it")),
    "Bounce/Permanent/OnAccountSuppressionList": (
        NoticeState.UNDELIVERED,
        ADDRESS("bounced before; SES does not write to it"),
    ),
    "Bounce/Transient": (NoticeState.UNDELIVERED, REFUSED("its mail system has not taken it")),
    "Bounce/Transient/MailboxFull": (NoticeState.UNDELIVERED, REFUSED("the mailbox is full")),
    "Bounce/Transient/ContentRejected": (NoticeState.UNDELIVERED, REFUSED("filtered for its content")),
    "Bounce/Undetermined": (NoticeState.UNDELIVERED, REFUSED("it came back, and nobody says why")),
    "Complaint": (NoticeState.DELIVERED, OPT_OUT("reported as spam")),
    "Complaint/OnAccountSuppressionList": (NoticeState.UNDELIVERED, OPT_OUT("reported as spam before")),
}


class Sender:
    """deadline: seconds of wall clock."""

    name = "ses"

    def __init__(self, values: Values, clock: Callable[[], datetime], deadline: float = DEADLINE) -> None:
        url = f"{ACCOUNT.base(values)}/v2/email/outbound-emails"
        # InternalServiceErrorException: "The request couldn't be processed because an error occurred"
        http = Http("Amazon SES", clock, deadline, _check, safe=AND_500)
        self._api = AwsApi(url, ACCOUNT.signer(values), http, clock)
        self._letterhead, self._set = Letterhead(values), values[CONFIGURATION_SET]

    def send(self, message: Outgoing) -> Accepted:
        answer = self._api.post(self._body(message), {"Content-Type": "application/json"})
        if answer.status >= 300:
            raise _refusal(answer)
        message_id = field_text(answer.json().get("MessageId"))
        if not message_id:
            raise OutcomeUnknown(f"Amazon SES answered {answer.status} without a message id")
        return Accepted(message_id)

    def _body(self, message: Outgoing) -> dict[str, Any]:
        sender, reply_to = self._letterhead.of(message)
        return {
            "FromEmailAddress": _written(sender),
            "Destination": {"ToAddresses": [recipient_of(message)]},
            **({"ReplyToAddresses": [_written(reply_to)]} if reply_to else {}),
            "Content": {"Simple": _content(message)},
            "EmailTags": [{"Name": "notice", "Value": message.notice}],
            **({"ConfigurationSetName": self._set} if self._set else {}),
            "ConfigurationOverrides": NO_TRACKING,  # a link through another host would show it the signing URL
        }


class ReceiptVerifier:
    name, limits = "ses", LIMITS

    def __init__(self, values: Values) -> None:
        self._topic = Topic(TOPIC_ARN, values)

    def receipts(self, request: ReceiptRequest, now: datetime) -> list[Receipt]:
        """One event, of other senders on the account too. Raises InvalidSignature, RetryLater."""
        event = self._topic.event(request, now)
        return _receipt(event.body, event.at) if event else []


def _content(message: Outgoing) -> dict[str, Any]:
    bodies = {"Text": message.text, "Html": message.html}
    return {
        "Subject": _utf8(message.subject),
        "Body": {kind: _utf8(body) for kind, body in bodies.items() if body},
        "Headers": [{"Name": name, "Value": value} for name, value in marks(message).items()],
    }


def _utf8(data: str) -> dict[str, str]:
    return {"Data": data, "Charset": "UTF-8"}


def _written(address: Address) -> str:
    """A name beyond ASCII as an encoded word, which SES asks for; it knows no such addresses."""
    known = address.addr_spec.isascii()
    return formataddr((address.display_name, address.addr_spec)) if known else str(address)


def _check(answer: HttpResponse) -> None:
    """Of the 429s one is not about the pace: the quota of a day. It is told in words only."""
    if answer.status == 429 and DAILY.search(_said(answer)):
        raise QUOTA.error("Amazon SES", 429)


def _refusal(answer: HttpResponse) -> Exception:
    name = error_of(answer)
    told = (rule for words, rule in WORDS.get(name, ()) if words.search(_said(answer)))
    rule = next(told, None) or ACCOUNT.rule(answer, REFUSALS)
    return rule.error("Amazon SES", name or f"HTTP {answer.status}")


def _said(answer: HttpResponse) -> str:
    body = answer.json()
    return field_text(body.get("message") or body.get("Message"))


def _receipt(event: Mapping[str, Any], at: datetime) -> list[Receipt]:
    mail, known = mapping(event.get("mail")), _known(event)
    if not known:
        return []
    state, rule = known
    tags = mapping(mail.get("tags")).get("notice")
    notice = field_text(tags[0]) if isinstance(tags, list) and tags else ""
    return [rule.receipt("Amazon SES", state, at, notice=notice, provider_id=field_text(mail.get("messageId")))]


def _known(event: Mapping[str, Any]) -> tuple[NoticeState, Rule] | None:
    """None for what says nothing of arrival. So does a mailbox's automatic answer, which SES calls a transient bounce:

    unlike a bounce it brings no report of a mail system.
    """
    name = field_text(event.get("eventType"))
    told = mapping(event.get(name.lower()))
    answered = told.get("bounceType") == "Transient" and not _reported(told)
    if answered or told.get("complaintFeedbackType") == "not-spam":
        return None
    parts = (name, *(field_text(told.get(f"{name.lower()}{part}")) for part in ("Type", "SubType")))
    full = "/".join(filter(None, parts))
    return EVENTS.get(full) or EVENTS.get(full.rpartition("/")[0])


def _reported(bounce: Mapping[str, Any]) -> bool:
    recipients = bounce.get("bouncedRecipients")
    return isinstance(recipients, list) and any(mapping(one).get("action") for one in recipients)
