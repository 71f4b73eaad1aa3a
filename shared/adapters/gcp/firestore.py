"""The Ledger on Firestore, by Google's own client. The client reads FIRESTORE_EMULATOR_HOST itself.

Changes are compare-and-swap on the document's update time, since transactions that read before they write hold locks
and conflict often.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, unquote

import msgspec

from shared.adapters.collections import CHANGED, COLLECTIONS, NARROWED, readable, reading
from shared.adapters.gcp.calls import Lazy, kept_alive, limits, reaching
from shared.domain.model import NoticeRecord, Request
from shared.ports import Ledger, Mark, Only, Stored

if TYPE_CHECKING:
    from google.cloud.firestore import Client, CollectionReference, DocumentReference, Query

T = TypeVar("T", bound=msgspec.Struct)
WHO = "Firestore"
DELETED_AT_ONCE, READ_AT_ONCE = 500, 500  # documents

# Refused by https://firebase.google.com/docs/firestore/quotas#limits: as a map's key and as a document's id.
RESERVED_KEY = re.compile(r"(__.*__)?", re.DOTALL)
RESERVED_ID = re.compile(r"__.*__|\.\.?", re.DOTALL)


class Version(msgspec.Struct, frozen=True):
    """A document's update time and content: an update names only the fields that differ from it."""

    at: object
    item: msgspec.Struct


class FirestoreLedger(Ledger):
    """Each type's collection stands in COLLECTIONS. A document's id is its key, escaped where Firestore refuses it."""

    def __init__(self, project: str, database: str = "(default)") -> None:
        self._client = Lazy(lambda: _client(project, database))

    def get(self, kind: type[T], key: str) -> Stored[T] | None:
        """One read."""
        with reaching(WHO):
            found = self._document(kind, key).get(**limits())
        if not found.exists:
            return None
        item = load(found.to_dict(), kind)
        return Stored(item, Version(found.update_time, item))

    def several(self, kind: type[T], keys: Iterable[str]) -> dict[str, T]:
        """One call for every READ_AT_ONCE of them, and a read each."""
        with reaching(WHO):
            wanted = [self._document(kind, key) for key in dict.fromkeys(keys)]
            parts = [wanted[n : n + READ_AT_ONCE] for n in range(0, len(wanted), READ_AT_ONCE)]
            found = [one for part in parts for one in self._client().get_all(part, **limits()) if one.exists]
        return dict(readable([(key_of(one.id), partial(load, one.to_dict(), kind)) for one in found]))

    def put(self, key: str, item: msgspec.Struct, version: object | None) -> object | None:
        """One write, with a precondition."""
        with reaching(WHO):
            document = self._document(type(item), key)
            return _create(document, item) if version is None else self._replace(document, item, version)

    def due(self, now: datetime, limit: int) -> Sequence[str]:
        """One query, of ids only."""
        from google.cloud.firestore import FieldFilter

        with reaching(WHO):
            query = self._collection(Request).where(filter=FieldFilter("next_at", "<=", now)).order_by("next_at")
            return [key_of(found.id) for found in _run(query.limit(limit).select(["__name__"]))]

    def postpone(self, request: str, until: datetime) -> None:
        """One write of one field."""
        with reaching(WHO):
            self._document(Request, request).update({"next_at": until}, **limits())

    def records(self, request: str, signer: str = "") -> dict[str, NoticeRecord]:
        """Two equalities need no composite index."""
        from google.cloud.firestore import FieldFilter

        with reaching(WHO):
            query = self._collection(NoticeRecord).where(filter=FieldFilter("request_id", "==", request))
            query = query.where(filter=FieldFilter("signer", "==", signer)) if signer else query
            return {key_of(found.id): load(found.to_dict(), NoticeRecord) for found in _run(query)}

    def keys(self, kind: type[msgspec.Struct], request: str) -> Sequence[str]:
        """One query, of ids only."""
        from google.cloud.firestore import FieldFilter

        with reaching(WHO):
            query = self._collection(kind).where(filter=FieldFilter("request_id", "==", request))
            return [key_of(found.id) for found in _run(query.select(["__name__"]))]

    def delete(self, kind: type[msgspec.Struct], keys: Iterable[str]) -> None:
        """One call for DELETED_AT_ONCE of them."""
        documents = [self._document(kind, key) for key in keys]
        with reaching(WHO):
            for at in range(0, len(documents), DELETED_AT_ONCE):
                batch = self._client().batch()
                for document in documents[at : at + DELETED_AT_ONCE]:
                    batch.delete(document)
                batch.commit(**limits())

    def newest(
        self, kind: type[T], limit: int, *, only: Only | None = None, after: Mark | None = None
    ) -> Sequence[tuple[str, T]]:
        """One query, on the composite indexes of infra/firestore.tf."""
        with reaching(WHO):
            query = self._newest(kind, only).order_by("__name__", direction="DESCENDING")
            if after:
                at, key = after
                query = query.start_after({CHANGED[kind]: at, "__name__": self._document(kind, key)})
            rows = _run(query.limit(limit))
        return readable([(key_of(row.id), partial(load, row.to_dict(), kind)) for row in rows])

    def beginning(self, kind: type[T], prefix: str, limit: int) -> Sequence[tuple[str, T]]:
        """One query on the keys themselves, which needs no index of ours."""
        from google.cloud.firestore import FieldFilter

        with reaching(WHO):
            first, last = self._document(kind, prefix), self._document(kind, prefix + "~")
            query = self._collection(kind).where(filter=FieldFilter("__name__", ">=", first))
            query = query.where(filter=FieldFilter("__name__", "<", last)).order_by("__name__")
            rows = _run(query.limit(limit))
        return readable([(key_of(row.id), partial(load, row.to_dict(), kind)) for row in rows])

    def count(self, kind: type[msgspec.Struct], only: Only, *, most: int, since: datetime | None = None) -> int:
        """One aggregation query."""
        from google.cloud.firestore import FieldFilter

        with reaching(WHO):
            query = self._newest(kind, only)
            if since:
                query = query.where(filter=FieldFilter(CHANGED[kind], ">=", since))
            rows: Any = query.limit(most).count().get(**limits())
            return int(rows[0][0].value)

    def _newest(self, kind: type[msgspec.Struct], only: Only | None) -> "Query":
        """Sorted even for a count, so that the same index serves both."""
        from google.cloud.firestore import FieldFilter

        query = self._collection(kind).order_by(CHANGED[kind], direction="DESCENDING")
        if only is None:
            return query
        field, value = only
        return query.where(filter=FieldFilter(field, "array_contains" if field == "search" else "==", value))

    def _collection(self, kind: type[msgspec.Struct]) -> "CollectionReference":
        return self._client().collection(COLLECTIONS[kind])

    def _document(self, kind: type[msgspec.Struct], key: str) -> "DocumentReference":
        return self._collection(kind).document(id_of(key))

    def _replace(self, document: "DocumentReference", item: msgspec.Struct, version: Any) -> Version | None:
        """version: one of ours, as the port hands it back."""
        option = self._client().write_option(last_update_time=version.at)
        return _written(document, item, partial(document.update, changes(version.item, item), option=option))


def _client(project: str, database: str) -> "Client":
    """The client makes its own channel, and takes no options for it: so the transport is given before the first call.

    `_firestore_api_helper` is not public; tests/unit/test_channels.py fails when it changes.
    """
    from google.cloud import firestore
    from google.cloud.firestore_v1.services.firestore import client as generated
    from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcTransport

    client = firestore.Client(project=project, database=database)
    client._firestore_api_helper(kept_alive(FirestoreGrpcTransport), generated.FirestoreClient, generated)
    return client


def _create(document: "DocumentReference", item: msgspec.Struct) -> Version | None:
    return _written(document, item, partial(document.create, dump(item)))


def _written(document: "DocumentReference", item: msgspec.Struct, write: Callable[..., Any]) -> Version | None:
    """The new version; None where somebody else was first.

    A repeated write may meet what its first attempt has stored. Past the deadline the answer may be lost and the
    write stored all the same: one that is found goes on, or a claim would stand that nobody holds.
    """
    from google.api_core.exceptions import AlreadyExists, FailedPrecondition, NotFound, RetryError

    failures = list[Exception]()
    try:
        return Version(write(**limits(failures.append)).update_time, item)
    except (AlreadyExists, FailedPrecondition, NotFound):  # there is one, or it has changed, or was deleted
        return _own(document, item) if failures else None
    except RetryError:
        if found := _own(document, item):
            return found
        raise


def _own(document: "DocumentReference", item: msgspec.Struct) -> Version | None:
    """The version, if the document equals `item`."""
    found = document.get(**limits())
    ours = found.exists and load(found.to_dict(), type(item)) == item
    return Version(found.update_time, item) if ours else None


def _run(query: "Query") -> Sequence[Any]:
    return query.get(**limits())


# -- documents


def dump(item: msgspec.Struct) -> dict[str, Any]:
    """The document of a struct. Queries and the TTL policy need times as times, and defaults that they use written."""
    document: dict[str, Any] = _mapped(msgspec.to_builtins(item, builtin_types=(datetime,)), _escaped_key, _as_is)
    queried = {field: getattr(item, field) for field in NARROWED.get(type(item), ())}
    return {field: str(value) for field, value in queried.items() if isinstance(value, str) and value} | document


def changes(old: msgspec.Struct, new: msgspec.Struct) -> dict[str, Any]:
    """The fields to update, removals included: `update` keeps what is not named, and `set` takes no precondition."""
    from google.cloud.firestore import DELETE_FIELD

    written, always = dump(new), [field for field in NARROWED.get(type(new), ()) if getattr(new, field)]
    fields = list(zip(new.__struct_fields__, new.__struct_encode_fields__, strict=True))
    named = [e for f, e in fields if f in always or getattr(old, f) != getattr(new, f)]
    return {e: written.get(e, DELETE_FIELD) for e in named or written}


def load(document: dict[str, Any] | None, kind: type[T]) -> T:
    """The struct that a document holds. Raises PermanentFailure for another form."""
    with reading(kind):
        return msgspec.convert(_mapped(document, _unescaped_key, _plain_time), kind)


def _mapped(value: Any, key: Callable[[str], str], time: Callable[[datetime], datetime]) -> Any:
    if isinstance(value, dict):
        return {key(k): _mapped(v, key, time) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_mapped(v, key, time) for v in value]
    return time(value) if isinstance(value, datetime) else value


def _as_is(time: datetime) -> datetime:
    return time


def _plain_time(time: datetime) -> datetime:
    """Firestore answers with a subclass, which msgspec refuses."""
    return datetime.combine(time.date(), time.timetz())


def _escaped_key(key: str) -> str:
    return f"%{key}" if key.startswith("%") or RESERVED_KEY.fullmatch(key) else key


def _unescaped_key(key: str) -> str:
    return key.removeprefix("%")


def id_of(key: str) -> str:
    """A document id for any key: percent-encoded, also where Firestore reserves the name."""
    safe = quote(key, safe="")
    return f"%{ord(safe[0]):02X}{safe[1:]}" if RESERVED_ID.fullmatch(safe) else safe


def key_of(document_id: str) -> str:
    """The key that `id_of` has escaped."""
    return unquote(document_id)
