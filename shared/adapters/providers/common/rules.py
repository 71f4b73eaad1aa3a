"""What the providers share: the form of their code tables, and reading a receipt's body."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.inbound import Keyword
from shared.domain.model import NoticeState
from shared.domain.receipts import InvalidSignature, Receipt

SETTINGS_WAIT = 900.0  # seconds until a message is tried again that only an operator's wrong setting holds up
SKEW = timedelta(minutes=5)
# Where a signature covers the body, seeing it again does no harm, and a provider's retries of a day may reuse it.
RETRIES = timedelta(hours=25)
MAX_FIELDS = 200  # of a form or a query


class Rule(msgspec.Struct, frozen=True):
    """What one code of a provider means for the message. `reason` completes "<provider>: "."""

    reason: str
    retry: bool = False
    after: float | None = None  # seconds; the least wait before a retry
    suppress: bool = False  # the address itself is at fault
    of_message: bool = False  # of a retry: only this message is held up
    paced: bool = False  # of a retry: the pace or the number of all messages is too high
    asks: Keyword | None = None  # of a receipt: what the recipient wants

    def error(self, who: str, code: object) -> RetryLater | PermanentFailure:
        text = f"{who}: {self.reason} ({code})"
        return (
            RetryLater(text, self.after, of_message=self.of_message, paced=self.paced)
            if self.retry
            else PermanentFailure(text, suppress=self.suppress)
        )

    def receipt(
        self, who: str, state: NoticeState, at: datetime, *, notice: str, provider_id: str, code: str = ""
    ) -> Receipt:
        """What became of a message. notice, provider_id: "" where they are not told. code: follows the reason."""
        reason = f"{who}: {self.reason}{f' ({code})' if code else ''}" if self.reason else ""
        return Receipt(
            notice=notice or None,
            provider_id=provider_id,
            state=state,
            reason=reason,
            at=at,
            suppress=self.suppress,
            asks=self.asks,
        )


FINE = Rule("")  # of a receipt that tells of no failure
REFUSED = Rule
ADDRESS = partial(Rule, suppress=True)
OPT_OUT = partial(Rule, suppress=True, asks=Keyword.STOP)
OPT_IN = Rule("subscribed again", asks=Keyword.START)
AGAIN = partial(Rule, retry=True)
PACED = partial(Rule, retry=True, paced=True)
# The message is right and a setting is wrong: the message waits for the operator instead of being lost.
SETTINGS = partial(Rule, retry=True, after=SETTINGS_WAIT)
SENDER = SETTINGS("it refuses the sender's address; check EMAIL_FROM")


def by_status(status: int, credentials: str, url: str) -> Rule:
    """For an answer that is neither success nor explained by a code. Both texts name the variables to check."""
    if status in (401, 403):
        return SETTINGS(f"it refuses the credentials; check {credentials}")
    if status == 404 or 300 <= status < 400:
        return SETTINGS(f"it is not found there; check {url}")
    if status in (408, 425):
        return AGAIN("it did not wait for the whole request")
    if status == 402:
        return SETTINGS("it wants to be paid first")
    return REFUSED("it refuses the message")


def form(body: bytes) -> list[tuple[str, str]]:
    """Raises InvalidSignature for what is no form."""
    try:
        return parse_qsl(
            body.decode(), keep_blank_values=True, strict_parsing=bool(body), errors="strict", max_num_fields=MAX_FIELDS
        )
    except ValueError:
        raise InvalidSignature("the body is not a form") from None


def decoded(body: bytes) -> Any:
    """Raises InvalidSignature for what is not JSON."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidSignature("the body is not JSON, or nested too deeply") from None


def mapping(value: object) -> Mapping[str, Any]:
    """The object that should be there, or an empty one."""
    return value if isinstance(value, dict) else {}


def fresh(epoch: object, now: datetime, tolerance: timedelta) -> None:
    """Raises InvalidSignature for a signature older than `tolerance`, or from the future."""
    at = moment(epoch, datetime.min.replace(tzinfo=UTC))
    if not -SKEW <= now - at <= tolerance:
        raise InvalidSignature("the signature is too old, or our clock is wrong")


def moment(epoch: object, otherwise: datetime) -> datetime:
    """Epoch seconds, given as a number or text, as a time."""
    try:
        return datetime.fromtimestamp(float(str(epoch)), UTC)
    except (ValueError, OverflowError, OSError):
        return otherwise


def iso(text: str, otherwise: datetime) -> datetime:
    """A time in ISO 8601 with its zone."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return otherwise
    return at if at.tzinfo else otherwise
