"""The one vocabulary: states, kinds and the documents that hold them. Times are aware UTC datetimes."""

import hashlib
from datetime import datetime
from enum import StrEnum

import msgspec

from shared.domain.decodable import decodable


class EventType(StrEnum):
    """The four webhooks that concern us, as Clickwrap names them."""

    SENT = "request_sent"
    SIGNED = "request_signed"
    COMPLETE = "request_complete"
    EXPIRED = "request_expired"


class Status(StrEnum):
    """Of a request."""

    OPEN = "open"
    PAUSED = "paused"
    COMPLETE = "complete"
    EXPIRED = "expired"
    GONE = "gone"  # the API answers 404 for good, or calls it cancelled
    DORMANT = "dormant"  # silent for 30 days past its last step: no longer rechecked
    DISPUTED = "disputed"  # a webhook says complete, the API denies it


RUNNING = (Status.OPEN, Status.PAUSED)  # signatures are collected, or will be again


class SignerState(StrEnum):
    """Of one signer, within the current round."""

    WAITING = "waiting"  # not this signer's turn yet, or no signing URL yet
    INVITED = "invited"
    SIGNED = "signed"
    REMOVED = "removed"  # no longer on the request


class Kind(StrEnum):
    """Of a notice; what follows from it is in `kinds.KINDS`."""

    INVITATION = "invitation"
    REMINDER = "reminder"
    PROGRESS = "progress"
    COMPLETION = "completion"
    UNREACHED = "unreached"  # to the sender, about signers who were not reached
    COPY_SIGNED = "copy_signed"  # to the sender, where SENDER_COPIES asks for it
    COPY_COMPLETE = "copy_complete"
    COPY_EXPIRED = "copy_expired"
    COPY_DAILY = "copy_daily"  # about all their requests of a day


class ChannelName(StrEnum):
    """How a notice is sent."""

    SMS = "sms"
    EMAIL = "email"
    NONE = "none"  # a signer nobody can reach: recorded, never published


class NoticeState(StrEnum):
    """Of one notice. Final: delivered, undelivered, failed, suppressed; unknown once no second try is left."""

    PLANNED = "planned"  # to be tried (again)
    SENDING = "sending"  # claimed: the provider may have it already
    ACCEPTED = "accepted"  # the provider took it
    DELIVERED = "delivered"  # a receipt says it arrived
    UNDELIVERED = "undelivered"  # a receipt says it did not
    FAILED = "failed"  # refused for good, or too late
    UNKNOWN = "unknown"  # sent, but the answer was lost
    SUPPRESSED = "suppressed"  # no longer due when its turn came


class Role(StrEnum):
    """What a signer of the request is asked to do."""

    SIGNER = "signer"
    RECIPIENT = "recipient"  # signs nothing, gets the completion


CHECK = "relay-check"  # the request of the check of the whole relay, see shared/handlers/relay_check.py


@decodable
class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One message on `clickwrap-events`: a verified webhook, ids only. `received_at` is our clock, not Clickwrap's."""

    v: int = 1
    event: str
    type: EventType
    request: str
    signer: str | None = None
    title_hint: str = ""
    received_at: datetime


@decodable
class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One message on `signer-notices`: one thing to tell one signer on one channel.

    signer: their key; "" for the sender. reminder_day: of a reminder, else 0.
    about: `number` of the signer a progress notice is about, else 0.
    instead_of: id of the notice on the signer's first channel that did not arrive; absent unless this one stands in.
    """

    v: int = 1
    notice: str
    request: str
    signer: str
    kind: Kind
    reminder_day: int = 0
    about: int = 0
    channel: ChannelName
    round: int
    instead_of: str | msgspec.UnsetType = msgspec.UNSET


class Reminder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One planned reminder of one signer."""

    due_at: datetime
    task: str  # the fence: the one Cloud Task name that may fire it
    hop: int = 0  # makes another name: a deleted task's cannot be used again


class Signer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A signer as stored.

    signed_at: when we learnt it; None on a signed one means before we knew the request, so nobody is told.
    """

    number: int  # 1-based, given at first sight and kept
    aliases: tuple[str, ...] = ()
    name: str = ""
    email: str = ""  # lower-case; "" when absent or unusable
    mobile: str = ""  # E.164; "" when absent or unusable
    unusable: dict[ChannelName, str] = {}  # what the API gives as an address and is none, by channel
    send_to: dict[ChannelName, bool] = {}  # as last told
    channels: tuple[ChannelName, ...] = ()
    role: Role = Role.SIGNER
    order: int | None = None
    request_url: str = ""
    state: SignerState = SignerState.WAITING
    adopted: bool = False  # counts as invited, but not by us
    confirmed: bool = False  # the API itself has called this signature done
    doubted_since: datetime | None = None  # signed by a webhook alone, and the API denies it
    invited_at: datetime | None = None
    signed_at: datetime | None = None
    missing_since: datetime | None = None  # absent from the API's answer since
    lacking_since: datetime | None = None  # present since without an address that is stored
    reminders: dict[str, Reminder] = {}  # by step
    language: str = ""  # as the API says it: "de", "pt-BR"
    metadata: dict[str, str] = {}  # for the templates, by name


class Note(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an operator did to a request. who: their e-mail address, as Cloud Run has checked it."""

    at: datetime
    who: str
    what: str
    why: str = ""


class Resend(msgspec.Struct, frozen=True, kw_only=True):
    """A notice that an operator sent once more: an effect of its own, due since `at`."""

    at: datetime
    notice: Notice


@decodable
class Request(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`requests/{id}`: everything known of one signature request."""

    id: str
    title: str = ""
    sender: str = ""
    sender_email: str = ""
    site: str = ""
    language: str = ""  # as the API says it, for signers of whom it says none
    metadata: dict[str, str] = {}  # for the templates, by name
    status: Status = Status.OPEN
    round: int = 1
    adopted: bool = False
    ordered: bool = False
    created_at: datetime | None = None
    expires_at: datetime | None = None
    completed_at: datetime | None = None  # when we learnt it; None on a complete one means no news
    met_at: datetime | None = None  # when we first heard of it
    met_complete_by: str = ""  # the type of the event by which it was met when complete already
    complete_heard_at: datetime | None = None  # since when a Complete waits for its proof
    download_url: str = ""
    signers: dict[str, Signer] = {}
    events: dict[str, datetime] = {}  # handled, by id
    event_types: dict[str, EventType] = {}  # of these, by the same ids
    unmatched: tuple[str, ...] = ()  # signer ids of events that fit nobody
    unmatched_since: datetime | None = None  # of the first of them
    resent_at: datetime | None = None  # when the newest `request_sent` after the first was received
    unconfirmed_since: datetime | None = None  # since when the API calls a confirmed signature undone
    not_found_since: datetime | None = None  # since when the API answers 404
    unread_since: datetime | None = None  # since when no recheck has got an answer
    checked_at: datetime | None = None
    changed_at: datetime | None = None
    status_sequence: int = 0  # counts the commits that changed what `request-status` tells
    status_at: datetime | None = None  # time of the last of them
    next_at: datetime | None = None
    opened_at: datetime | None = None  # when a signer last opened their link, or the sender was told of one
    unreached_at: datetime | None = None  # when the sender was last told of a signer who was not reached
    reminded_until: datetime | None = None  # the reminders due by then have been published
    search: tuple[str, ...] = ()
    reminders_stopped: bool = False  # by an operator
    resends: tuple[Resend, ...] = ()
    notes: tuple[Note, ...] = ()
    forgotten: bool = False  # a stub: its personal data is gone, and nothing follows from its events any more
    purge_at: datetime | None = None


class Transition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change of a notice's state. status, milliseconds: of the provider's answer that it rests on, if known."""

    at: datetime
    state: NoticeState
    why: str = ""
    status: int = 0
    milliseconds: int = 0


@decodable
class NoticeRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`notices/{id}`: what became of one notice. Begins at its first delivery."""

    request_id: str
    signer: str
    kind: Kind
    reminder_day: int = 0
    about: int = 0
    channel: ChannelName
    round: int
    state: NoticeState
    attempts: int = 0
    lease_until: datetime | None = None
    provider: str = ""
    provider_id: str = ""
    reason: str = ""
    segments: int = 0
    text: str = ""  # as sent, the link's code masked
    address: str = ""  # key of its Suppression, should there be one: `policy.address_key`
    untold: bool = False  # what it said last may not have been published: the next recheck does it
    fallback: str = ""  # the notice that goes by the other channel if this one does not arrive; "" for none
    instead_of: str = ""  # the notice whose fallback this one is
    told: tuple[str, ...] = ()  # of a mail to the sender: the notices that it tells of
    history: tuple[Transition, ...] = ()
    changes: int = 0  # of its state, so far: the sequence of what other systems hear of it
    fingerprint: str = ""  # of the text as sent, by which it is known again in the provider's list
    ask_at: datetime | None = None  # of an unknown outcome: when the provider is asked what became of it
    unanswered: int = 0  # questions about it to which the provider gave no answer
    missing_since: datetime | None = None  # when the provider first said that it has no such message
    trace: str = ""  # of the first delivery: later tries and receipts go on with it
    changed_at: datetime | None = None  # time of the last step
    purge_at: datetime | None = None


@decodable
class Link(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`links/{code}`: whom a short link belongs to. Immutable; whether it lives is read from the request."""

    request_id: str
    signer: str
    round: int
    short_url: str = ""  # as a public shortener made it; "" for our own
    purge_at: datetime | None = None


@decodable
class Suppression(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`suppressions/{address key}`: an address that must not be tried again, until an operator clears it."""

    channel: ChannelName
    reason: str
    since: datetime
    cleared_at: datetime | None = None
    cleared_by: str = ""
    cleared_why: str = ""
    opted_out: bool = False  # its owner has said so: it neither expires nor goes with a request's personal data
    purge_at: datetime | None = None


class Outage(msgspec.Struct, frozen=True, kw_only=True):
    """A provider that has failed at every try since `since`. Nobody tries before `until`."""

    since: datetime
    last: datetime
    until: datetime
    failures: int = 1


class AccountAnswers(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What this account's API has said of the last requests: shares, 0 to 1, of the answers read."""

    read: int = 0  # at most trust.REMEMBERED
    status: float = 0.0  # said how the request stands
    signed: float = 0.0  # said of every signer whether they have signed
    shown: bool = False  # a signature, at any time


@decodable
class RelayStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`control/relay`: how the relay itself is doing."""

    started_at: datetime | None = None
    circuits: dict[str, Outage] = {}  # of providers that are down, by channel and name
    reconciled_at: datetime | None = None
    rechecked: int = 0  # requests at the last pass
    postponed: int = 0  # of them, those that must wait
    listed_at: datetime | None = None  # when the sites' requests were last listed
    answers: AccountAnswers = AccountAnswers()


class ApiSigner(msgspec.Struct, frozen=True, kw_only=True):
    """A signer as the API's answer shows them. `signed` None: the answer does not say."""

    ids: tuple[str, ...]
    name: str = ""
    email: str = ""
    mobile: str = ""
    send_to: dict[ChannelName, bool] = {}
    role: Role = Role.SIGNER
    order: int | None = None
    request_url: str = ""
    signed: bool | None = None
    language: str = ""
    metadata: dict[str, str] = {}


class ApiRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`GET /requests/:id` as far as it could be read. Empty or None: the answer does not say."""

    id: str
    title: str = ""
    sender: str = ""
    sender_email: str = ""
    site: str = ""
    language: str = ""
    metadata: dict[str, str] = {}
    status: Status | None = None
    ordered: bool | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    download_url: str = ""
    signers: tuple[ApiSigner, ...] = ()


def digest(*parts: object) -> str:
    """SHA-256 over the JSON array of the parts, hex: the form of every deterministic name here."""
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def share_of(request: str) -> float:
    """Of a time over which requests are spread: from 0 to below 1, always the same for one request."""
    return int(digest(request)[:8], 16) / 16**8
