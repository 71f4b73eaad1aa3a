"""A call whose answer is lost: what Google's client does then, and what a forgotten connection does, is no refusal."""

import re
import socket
import struct
import threading
from collections.abc import Iterator
from concurrent import futures
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from google.cloud.firestore_v1.types import (
    BatchGetDocumentsRequest,
    BatchGetDocumentsResponse,
    CommitRequest,
    CommitResponse,
    Document,
)

from shared.adapters.gcp import calls
from shared.adapters.gcp.firestore import FirestoreLedger
from shared.adapters.http import transport
from shared.adapters.providers.sms.twilio import Sender
from shared.domain.errors import RetryLater
from shared.domain.model import ChannelName, Suppression
from shared.ports import Outgoing
from shared.setting_types import Values

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
OURS = Suppression(channel=ChannelName.SMS, reason="ours", since=NOW)
THEIRS = Suppression(channel=ChannelName.SMS, reason="somebody else's", since=NOW)


class Forgetful:
    """Firestore that stores what it is sent and loses its first answer; every one if `silent`.

    instead: stored in the place of what was sent.
    """

    def __init__(self) -> None:
        self.documents: dict[str, Document] = {}
        self.commits = 0
        self.instead: Document | None = None
        self.silent = False

    def commit(self, request: CommitRequest, context: grpc.ServicerContext) -> CommitResponse:
        self.commits += 1
        document = request.writes[0].update
        if document.name in self.documents and not self.silent:
            context.abort(grpc.StatusCode.ALREADY_EXISTS, "there is one")
        old = self.documents.get(document.name, document)
        self.documents[document.name] = self.instead or Document(
            name=document.name, fields={**old.fields, **document.fields}
        )
        context.abort(grpc.StatusCode.UNAVAILABLE, "stored; the answer is lost")
        raise AssertionError

    def get(self, request: BatchGetDocumentsRequest, context: Any) -> Iterator[BatchGetDocumentsResponse]:
        for name in request.documents:
            found = Document(name=name, fields=self.documents[name].fields, create_time=NOW, update_time=NOW)
            yield BatchGetDocumentsResponse(found=found, read_time=NOW)

    def handler(self) -> grpc.GenericRpcHandler:
        one, many = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        methods = {
            "Commit": one(self.commit, CommitRequest.deserialize, CommitResponse.serialize),
            "BatchGetDocuments": many(
                self.get, BatchGetDocumentsRequest.deserialize, BatchGetDocumentsResponse.serialize
            ),
        }
        return grpc.method_handlers_generic_handler("google.firestore.v1.Firestore", methods)


@pytest.fixture
def firestore(monkeypatch: pytest.MonkeyPatch) -> Iterator[Forgetful]:
    forgetful = Forgetful()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((forgetful.handler(),))
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
    server.start()
    yield forgetful
    server.stop(0)


def test_a_write_that_meets_itself_when_it_is_repeated_was_the_first(firestore: Forgetful) -> None:
    assert FirestoreLedger("p").put("key", OURS, None) is not None
    assert firestore.commits == 2


def test_one_that_meets_another_when_it_is_repeated_was_not(firestore: Forgetful) -> None:
    FirestoreLedger("p").put("key", THEIRS, None)
    [firestore.instead] = firestore.documents.values()
    firestore.documents.clear()
    assert FirestoreLedger("p").put("key", OURS, None) is None


@pytest.mark.parametrize("already", [False, True], ids=["created", "changed"])
def test_one_whose_answers_are_lost_past_the_deadline_was_stored_if_it_is_found(
    firestore: Forgetful, monkeypatch: pytest.MonkeyPatch, already: bool
) -> None:
    ledger = FirestoreLedger("p")
    version = ledger.put("key", THEIRS, None) if already else None
    monkeypatch.setattr(calls, "DEADLINE", 0.5)
    firestore.silent = True
    assert ledger.put("key", OURS, version) is not None
    assert firestore.commits > 1


def test_one_that_is_not_found_then_is_a_retry(firestore: Forgetful, monkeypatch: pytest.MonkeyPatch) -> None:
    FirestoreLedger("p").put("key", THEIRS, None)
    monkeypatch.setattr(calls, "DEADLINE", 0.5)
    [firestore.instead], firestore.silent = firestore.documents.values(), True
    with pytest.raises(RetryLater):
        FirestoreLedger("p").put("key", OURS, None)


class Nat:
    """Answers one request a connection; whatever comes on it later is reset, as by a NAT that has forgotten it."""

    def __init__(self) -> None:
        self.socket, self.served = socket.create_server(("127.0.0.1", 0)), 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.socket.getsockname()[1]}"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            head, _, body = self._head(connection)
            length = int(re.search(rb"Content-Length: (\d+)", head, re.IGNORECASE)[1])  # type: ignore[index]
            while len(body) < length:
                body += connection.recv(65536)
            self.served += 1
            connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 13\r\n\r\n" + b'{"sid":"SM1"}')
            connection.recv(1, socket.MSG_PEEK)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _head(self, connection: socket.socket) -> tuple[bytes, bytes, bytes]:
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        return data.partition(b"\r\n\r\n")


def test_a_connection_long_idle_is_not_trusted_with_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "IDLE", 0.0)
    nat = Nat()
    twilio = Sender(
        Values(
            {
                "TWILIO_ACCOUNT_SID": "AC",
                "TWILIO_AUTH_TOKEN": "token",
                "TWILIO_FROM": "+13175550100",
                "TWILIO_API_URL": nat.url,
            }
        ),
        lambda: NOW,
    )
    for _ in range(2):
        assert twilio.send(Outgoing(notice="n", to="+13175550101", text="x")).provider_id == "SM1"
    assert nat.served == 2
    nat.socket.close()
