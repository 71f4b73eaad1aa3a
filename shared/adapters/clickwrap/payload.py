"""Reading `GET /requests/:id`. The vendor documents three of its fields; the others are looked for along paths.

A path is dotted; `*` stands for every element of a list. The first path that holds something wins. What no path finds
is absent, and so is a word that is in no table: it is never guessed, and never taken for "signed".
Fields named `metadata.<name>` and `signer.metadata.<name>` are only for the templates; an operator may add more.
"""

import logging
from collections.abc import Iterator, Mapping
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from typing import Any

from shared.adapters.clickwrap.fields import FIELDS, Fields
from shared.adapters.clickwrap.link_hosts import PUBLIC, Hosts
from shared.domain.model import ApiRequest, ApiSigner, ChannelName, Role, Status
from shared.domain.policy import normal_email

log = logging.getLogger(__name__)

MAX_METADATA = 500  # characters of one value: a request with its 1,000 signers is one document

STATUSES = {
    "open": Status.OPEN,
    "sent": Status.OPEN,
    "in progress": Status.OPEN,
    "in_progress": Status.OPEN,
    "paused": Status.PAUSED,
    "complete": Status.COMPLETE,
    "completed": Status.COMPLETE,
    "expired": Status.EXPIRED,
    **dict.fromkeys(("cancelled", "canceled", "voided", "withdrawn", "declined", "deleted"), Status.GONE),
}
RECIPIENTS = {"recipient", "cc"}
SIGNED = {
    **dict.fromkeys(("signed", "complete", "completed", "agreed"), True),
    **dict.fromkeys(("unsigned", "not_signed", "not signed", "pending", "sent", "open", "viewed", "waiting"), False),
}


def unwrap(document: Any) -> Any:
    """The vendor wraps some answers in {"data": {...}}."""
    inner = document.get("data") if isinstance(document, dict) else None
    return inner if isinstance(inner, dict) and "signers" not in document else document


def values(document: Any, path: str) -> Iterator[Any]:
    """The values that stand at a path of a document."""
    head, _, rest = path.partition(".")
    if head == "*":
        found = document if isinstance(document, list) else []
    else:
        found = [document[head]] if isinstance(document, dict) and head in document else []
    for value in found:
        yield from values(value, rest) if rest else [value]


class Reader:
    """One level of the answer, read along the candidate paths; `hits` tells which path served each field."""

    def __init__(self, document: Any, fields: Fields, prefix: str = "") -> None:
        self._document, self._fields, self._prefix = document, fields, prefix
        self.hits: dict[str, str] = {}

    def all(self, name: str) -> Iterator[Any]:
        """Every value of a field that is not null, in the order of its paths."""
        for path in self._fields[self._prefix + name]:
            for value in values(self._document, path):
                if value is not None:
                    self.hits.setdefault(self._prefix + name, path)
                    yield value

    def texts(self, name: str) -> list[str]:
        """The values that are text or numbers, as text, without repetitions and blanks."""
        plain = (v for v in self.all(name) if isinstance(v, str | int) and not isinstance(v, bool))
        return list(dict.fromkeys(t for t in (str(v).strip() for v in plain) if t))

    def text(self, name: str) -> str:
        """The first text; "" without one."""
        return next(iter(self.texts(name)), "")

    def url(self, name: str, hosts: Hosts) -> str:
        """The first that may be used; the others count as absent."""
        for url in self.texts(name):
            reason = hosts.refusal(url)
            if not reason:
                return url
            told = {"alert": "link_refused", "field": self._prefix + name, "reason": reason}
            log.warning(
                "a link of the API's answer is not used", extra={"json": told}
            )  # without the URL, which may let its reader sign
        return ""

    def metadata(self) -> dict[str, str]:
        """What there is for the templates, by name."""
        wanted = f"{self._prefix}metadata."
        names = [name.removeprefix(self._prefix) for name in self._fields if name.startswith(wanted)]
        found = {name.removeprefix("metadata."): self.text(name)[:MAX_METADATA] for name in names}
        return {name: text for name, text in found.items() if text}

    def flag(self, name: str) -> bool | None:
        """The first boolean; None without one."""
        return next((v for v in self.all(name) if isinstance(v, bool)), None)

    def when(self, name: str) -> datetime | None:
        """The first time; None without one."""
        return next((t for t in map(parse_time, self.all(name)) if t), None)

    def word(self, name: str, table: Mapping[str, Any]) -> Any:
        """What a table says of the first word it knows; None without one."""
        known = (table.get(v.strip().lower()) for v in self.all(name) if isinstance(v, str))
        return next((k for k in known if k is not None), None)


def parse_time(value: Any) -> datetime | None:
    """ISO 8601; without a zone it is UTC, as the vendor's times are. Years 1 and 9999 stand for "none"."""
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    if at.year in (MINYEAR, MAXYEAR):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def read(document: Any, fields: Fields = FIELDS, hosts: Hosts = PUBLIC) -> ApiRequest:
    """hosts: where links may lead. Raises ValueError for what is no request at all."""
    document = unwrap(document)
    if not isinstance(document, dict):
        raise ValueError("the answer is not a JSON object")
    top = Reader(document, fields)
    rows = next((v for v in top.all("signers") if isinstance(v, list)), [])
    return ApiRequest(
        id=top.text("id"),
        title=_title(top, fields, document),
        sender=top.text("sender"),
        sender_email=next(filter(None, map(normal_email, top.texts("sender_email"))), ""),
        site=top.text("site"),
        language=top.text("language"),
        metadata=top.metadata(),
        status=_status(top),
        ordered=top.flag("ordered"),
        created_at=top.when("created_at"),
        expires_at=top.when("expires_at"),
        download_url=top.url("download_url", hosts),
        signers=tuple(read_signer(row, fields, hosts) for row in rows if row),
    )


def ids(document: Any, fields: Fields = FIELDS) -> list[str]:
    """All that an answer gives as the request's id."""
    return Reader(unwrap(document), fields).texts("id")


def _title(top: Reader, fields: Fields, document: Any) -> str:
    for path in fields["title"]:
        found = [v.strip() for v in values(document, path) if isinstance(v, str) and v.strip()]
        if found:
            return ", ".join(found)
    return ""


def _status(top: Reader) -> Status | None:
    status: Status | None = top.word("status", STATUSES)
    if status is Status.COMPLETE:
        return status
    if top.flag("expired"):  # a flag beside the status, which keeps its former value
        return Status.EXPIRED
    if status is Status.OPEN and top.flag("archived"):  # put away by its sender: nobody is reminded; it may be undone
        return Status.PAUSED
    return Status.PAUSED if top.flag("paused") else status


def read_signer(row: Any, fields: Fields = FIELDS, hosts: Hosts = PUBLIC) -> ApiSigner:
    """Reads one of `signers`. A bare id in place of an object is a signer with no other data."""
    if not isinstance(row, dict):
        return ApiSigner(ids=(str(row),))
    reader = Reader(row, fields, "signer.")
    return ApiSigner(
        ids=tuple(reader.texts("ids")),
        name=reader.text("name") or " ".join(filter(None, (reader.text("first_name"), reader.text("last_name")))),
        email=reader.text("email"),
        mobile=reader.text("mobile"),
        send_to=_send_to(reader),
        role=Role.RECIPIENT if reader.text("role").lower() in RECIPIENTS else Role.SIGNER,
        order=next((int(t) for t in reader.texts("order") if t.isdecimal()), None),
        request_url=reader.url("request_url", hosts),
        language=reader.text("language"),
        metadata=reader.metadata(),
        signed=_signed(reader),
    )


def _send_to(reader: Reader) -> dict[ChannelName, bool]:
    flags = {ChannelName.EMAIL: reader.flag("send_email"), ChannelName.SMS: reader.flag("send_mobile")}
    return {channel: flag for channel, flag in flags.items() if flag is not None}


def _signed(reader: Reader) -> bool | None:
    """A flag or a known word means yes or no; a time means yes; None without any of these."""
    flags = [flag for value in reader.all("signed") if (flag := _flag_of(value)) is not None]
    return any(flags) if flags else None


def _flag_of(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    word = SIGNED.get(value.strip().lower()) if isinstance(value, str) else None
    return word if word is not None else (True if parse_time(value) else None)
