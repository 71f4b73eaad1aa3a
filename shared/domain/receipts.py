"""What a provider says later of a message it took."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from shared.domain.errors import Reasoned
from shared.domain.inbound import Keyword
from shared.domain.model import NoticeState


class ReceiptRequest(msgspec.Struct, frozen=True):
    """An HTTP request as it came in. `url` is the public one with its query, `headers` is case-insensitive."""

    url: str
    headers: Mapping[str, str]
    body: bytes


class ReceiptLimits(msgspec.Struct, frozen=True):
    """What must be seen of a provider's request before its body is read, and how much of that.

    headers: one of them holds its proof; empty where the body does. max_body: bytes of its largest receipt.
    """

    headers: tuple[str, ...] = ()
    max_body: int = 64 * 1024


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one message: `accepted`, `delivered` or `undelivered`.

    notice: our own id, when the provider sends it back. provider_id: what `Accepted` held; "" when not told.
    at: the provider's time, or ours where it gives none. suppress: the address itself is at fault.
    asks: STOP where the recipient wants nothing more, START where they do again.
    """

    notice: str | None
    provider_id: str
    state: NoticeState
    reason: str = ""
    at: datetime
    suppress: bool = False
    asks: Keyword | None = None


class InvalidSignature(Reasoned):
    """Not proven to come from the provider, or not in its form. Nothing of the request may be believed."""
