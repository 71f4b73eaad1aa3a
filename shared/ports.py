"""What the handlers need of the world. Each port has one contract suite, run against every implementation."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, runtime_checkable

import msgspec

from shared.domain.dead_letters import DeadLetter
from shared.domain.errors import Accepted, PermanentFailure, Reasoned, RetryLater
from shared.domain.inbound import InboundText
from shared.domain.model import ApiRequest, Event, Notice, NoticeRecord, Request
from shared.domain.receipts import Receipt, ReceiptLimits, ReceiptRequest

if TYPE_CHECKING:  # for few functions, and the most rules of all
    from shared.domain.daily import Summary
    from shared.domain.unreached import Unreached

T = TypeVar("T", bound=msgspec.Struct)
PUBLISHED_AT = "published_at"  # attribute that a Bus may add to a message: when, by our own clock
MAX_COMMIT_RETRIES = 5  # lost races in a row before the work is left to a later delivery


class Message(msgspec.Struct, frozen=True):
    """A Pub/Sub message: JSON in `data`."""

    data: bytes
    attributes: dict[str, str] = {}


class Bus(Protocol):
    """Pub/Sub."""

    def publish(self, topic: str, messages: Sequence[Message]) -> None:
        """Returns once every message is stored. Raises RetryLater when any is not (some may be)."""


class Flow(msgspec.Struct, frozen=True):
    """Through subscriptions. waiting: messages that are not acknowledged. left: acknowledged within `backlog.PACE`."""

    waiting: int = 0
    left: int = 0


class Flows(Protocol):
    """What is measured of Pub/Sub's push subscriptions. It may be some minutes old."""

    def flows(self, subscriptions: Collection[str]) -> Mapping[str, Flow]:
        """By subscription; one of which nothing is known is left out. Raises RetryLater."""


class WebhookRejected(Reasoned):
    """A webhook is answered with a 4xx or 503 and a one-line reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class WebhookReader(Protocol):
    """A source of requests that reports their events by webhook."""

    def authenticate(self, headers: Mapping[str, str]) -> None:
        """Raises WebhookRejected (401) unless the source sent the request. `headers` ignore the case of a name."""

    def event(self, body: bytes, now: datetime) -> Event | None:
        """The event; None when it is not one to relay. Raises WebhookRejected (400) for what cannot be read."""


class DeadLetters(Protocol):
    """What the dead-letter topics keep. Both methods raise RetryLater."""

    def open(self, topic: str, limit: int) -> AbstractContextManager[Sequence[DeadLetter]]:
        """The letters of a topic, the oldest first. Those not dropped when it closes stay."""

    def drop(self, letters: Sequence[DeadLetter]) -> None:
        """Deletes these letters for good."""


class Stored(msgspec.Struct, Generic[T], frozen=True):
    """A document and the version it was read at; the version only means something to its ledger."""

    item: T
    version: object


Only = tuple[str, str]  # a field and the value it must have, or hold
Mark = tuple[datetime, str]  # a document's place in a list: its time and its key


class Ledger(Protocol):
    """The documents of `model`: Request, Record, Link, each in its collection, kept by id.

    Every method raises RetryLater when the database cannot be reached, and PermanentFailure for a document that cannot
    be decoded, like one of a newer version; `newest` leaves those out.
    """

    def get(self, kind: type[T], key: str) -> Stored[T] | None:
        """The document and its version; None when there is none."""

    def several(self, kind: type[T], keys: Iterable[str]) -> dict[str, T]:
        """The documents by key. Those that are not there, or cannot be decoded, are left out."""
        found = dict[str, T]()
        for key in keys:
            with suppress(PermanentFailure):
                if stored := self.get(kind, key):
                    found[key] = stored.item
        return found

    def put(self, key: str, item: msgspec.Struct, version: object | None) -> object | None:
        """Creates (version None) or replaces the version that was read.

        Returns the new version; None when somebody else was first, and then nothing is written.
        """

    def update(self, kind: type[T], key: str, change: Callable[[T | None], T | None]) -> tuple[T | None, T | None]:
        """Reads, changes and writes one document; again, while somebody else changes it in between.

        change: from what is stored (None: nothing) to what is to be stored; None writes nothing. It may be called
        several times. Returns the document before and after, None after where nothing was written.
        Raises RetryLater after MAX_COMMIT_RETRIES, and what `change` raises.
        """
        for _ in range(MAX_COMMIT_RETRIES):
            stored = self.get(kind, key)
            before = stored.item if stored else None
            after = change(before)
            if after is None or self.put(key, after, stored.version if stored else None):
                return before, after
        raise RetryLater("others keep changing this document", after=1)

    def due(self, now: datetime, limit: int) -> Sequence[str]:
        """Ids of the requests whose `next_at` has come, the longest due first."""

    def postpone(self, request: str, until: datetime) -> None:
        """Sets a stored request's `next_at` and reads nothing of it: it may be one that cannot be decoded."""

    def records(self, request: str, signer: str = "") -> dict[str, NoticeRecord]:
        """All notices of a request, or of one of its signers, by id."""

    def keys(self, kind: type[msgspec.Struct], request: str) -> Sequence[str]:
        """Keys of a request's documents of this kind (by its `request_id`)."""

    def delete(self, kind: type[msgspec.Struct], keys: Iterable[str]) -> None:
        """Deletes documents; one that is gone already is fine."""

    def newest(
        self, kind: type[T], limit: int, *, only: Only | None = None, after: Mark | None = None
    ) -> Sequence[tuple[str, T]]:
        """Keys and documents, the last changed first: requests, notices, suppressions.

        only: a request's `status` or one of its `search` words, a notice's `state` or `provider_id`.
        after: the last of the page before.
        """

    def beginning(self, kind: type[T], prefix: str, limit: int) -> Sequence[tuple[str, T]]:
        """Keys and documents whose key begins with `prefix` (letters, digits, - and _ only), in the keys' order."""

    def count(self, kind: type[msgspec.Struct], only: Only, *, most: int, since: datetime | None = None) -> int:
        """How many `newest` would list, changed at or after `since`. Counting ends at `most`."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP POST of `body` (JSON) to one of our functions at `at`."""

    name: str  # letters, digits, hyphens; unique for ever
    queue: str
    url: str
    body: bytes
    at: datetime


class Scheduler(Protocol):
    """Cloud Tasks. Both methods raise RetryLater when it cannot be reached."""

    def create(self, tasks: Iterable[Task]) -> None:
        """Schedules each; one whose name exists, or existed lately, is left alone."""

    def delete(self, queue: str, names: Iterable[str]) -> None:
        """Best effort: one that is gone already is fine."""


class NotFound(Exception):
    """The API knows no such request."""


class ClickwrapApi(Protocol):
    """The Clickwrap REST API."""

    def fetch(self, request: str, after: datetime | None = None) -> ApiRequest:
        """Raises NotFound on 404, RetryLater on anything else that is no answer.

        after: an answer will do whose call began later than this; None asks now.
        """

    def listed(self, site: str, limit: int) -> Sequence[str]:
        """Ids of a site's requests, the newest first. Raises RetryLater; PermanentFailure if the API has no list."""


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A rendered message. `subject`, `html` and `reply_to` are empty for SMS.

    sender, reply_to: of the site's brand; "" for the provider's own settings.
    """

    notice: str  # our id, which travels with the send, so that a receipt finds it
    to: str  # E.164 or an e-mail address
    text: str
    subject: str = ""
    html: str = ""
    sender: str = ""
    reply_to: str = ""


class Channel(Protocol):
    """A provider of SMS or e-mail."""

    name: str

    def send(self, message: Outgoing) -> Accepted:
        """Raises RetryLater, PermanentFailure or OutcomeUnknown."""


class Sought(msgspec.Struct, frozen=True, kw_only=True):
    """A message whose answer was lost, as its provider would know it. fingerprint: of its text, see `lost_answers`.

    others: the provider's ids of messages known to be other notices'.
    """

    notice: str
    to: str
    fingerprint: str
    since: datetime  # it left no earlier
    until: datetime  # past it, no further call is made, by the clock that the provider was made with
    others: frozenset[str] = frozenset()


@runtime_checkable
class MessageFinder(Protocol):
    """A provider that can be asked whether it took a message. lag: seconds until it surely lists what it took."""

    lag: float

    def find(self, sought: Sought) -> Accepted | None:
        """None when it has no such message. Raises RetryLater, or CannotSay when asking again would not help."""


class ReceiptVerifier(Protocol):
    """A provider that tells later what arrived."""

    name: str
    limits: ReceiptLimits

    def receipts(self, request: ReceiptRequest, now: datetime) -> Sequence[Receipt | InboundText]:
        """What a request of the provider's says, for any of its messages, ours or not; or a text that came in.

        Raises InvalidSignature.
        """


class StatusEndpoint(Protocol):
    """The customer's own endpoint for changes of status."""

    def post(self, key: str, body: bytes) -> None:
        """Posts one event; a key is posted again where the answer was lost. Raises RetryLater, PermanentFailure."""


class SigningKey(Protocol):
    """A private key on the curve P-256. Both methods raise RetryLater and PermanentFailure."""

    name: str

    def public_key(self) -> str:
        """In PEM form."""

    def sign(self, data: bytes) -> bytes:
        """An ECDSA signature over the SHA-256 of the data, in DER form."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What a link in a message leads to, and for whom. domain: of the site's brand; "" for the relay's own."""

    request: str
    signer: str
    round: int
    url: str
    domain: str = ""


class Shortener(Protocol):
    """Makes short links."""

    def shorten(self, target: Target) -> str:
        """A short https URL. Raises RetryLater or PermanentFailure; the caller then sends the long one."""


class Wording(msgspec.Struct, frozen=True, kw_only=True):
    """A rendered notice, as Outgoing has it. `segments` are an SMS's parts, 0 for e-mail."""

    text: str
    subject: str = ""
    html: str = ""
    segments: int = 0
    sender: str = ""
    reply_to: str = ""


class Render(Protocol):
    """The words of a notice, true to the state at hand.

    unreached: whom a mail to the sender tells of. summary: what a mail of the day tells.
    opt_out: whether an SMS says how to opt out.
    """

    def __call__(
        self,
        request: Request,
        notice: Notice,
        link: str,
        unreached: "Sequence[Unreached]" = (),
        summary: "Summary | None" = None,
        *,
        opt_out: bool = False,
    ) -> Wording: ...
