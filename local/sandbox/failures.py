"""What the outbox's provider does to a message instead of taking it, the receipts that follow, and what signers reply.

It refuses with the codes of Twilio, and reports as Twilio or Mailgun would: the console shows what it would show then.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from shared.adapters.providers.sms.twilio import REFUSALS
from shared.domain.errors import OutcomeUnknown, RetryLater
from shared.domain.model import ChannelName

Told = dict[str, Any]
SMS, EMAIL = ChannelName.SMS, ChannelName.EMAIL


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """error: raised instead of taking the message. lost: raised after taking it.

    receipts: what the provider of a channel posts after taking it, in its own fields.
    """

    error: Callable[[], Exception] | None = None
    lost: bool = False
    receipts: dict[ChannelName, Sequence[Told]] = {}


def _refused(code: int) -> Callable[[], Exception]:
    return lambda: REFUSALS[code].error("Twilio", code)


DELIVERED = {"MessageStatus": "delivered"}
BOUNCED = {
    "event": "failed",
    "severity": "permanent",
    "reason": "bounce",
    "delivery-status": {"code": 550, "message": "5.1.1 The email account that you tried to reach does not exist"},
}
FAILURES = {
    "opted_out": Failure(error=_refused(21610)),
    "landline": Failure(error=_refused(21635)),
    "filtered": Failure(receipts={SMS: [{"MessageStatus": "undelivered", "ErrorCode": "30007"}]}),
    "bounced": Failure(receipts={EMAIL: [BOUNCED]}),
    "delivered": Failure(receipts={SMS: [DELIVERED], EMAIL: [{"event": "delivered"}]}),
    "stop": Failure(receipts={SMS: [DELIVERED, {"SmsStatus": "received", "Body": "STOP"}]}),
    "down": Failure(error=lambda: RetryLater("it answers 503")),
    "lost_answer": Failure(lost=True),
}


def lost_answer() -> OutcomeUnknown:
    """The message was taken, and the connection broke before the answer came."""
    return OutcomeUnknown("the connection broke before the answer came")
