"""The Bus on Pub/Sub, by the client that Google generates from the API. Why not the one on top of it: ADR 9."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import datetime
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

from shared import trace
from shared.adapters.gcp.calls import DEADLINE, Lazy, connected, limits, reaching
from shared.ports import PUBLISHED_AT, Message

if TYPE_CHECKING:
    from google.pubsub_v1 import PublisherClient

AT_ONCE = 500  # messages a call. Pub/Sub takes 1,000 and 10 MB: ours have up to 4 KB, a status 30 bytes a signer
TURN = 0.05  # seconds that a call waits for the one before it, at most


class PubSubBus:
    """Implements the port Bus."""

    def __init__(self, project: str, clock: Callable[[], datetime]) -> None:
        self._project, self._clock = project, clock
        self._client = Lazy(_publisher)
        self._topics: dict[str, Batches] = {}

    def publish(self, topic: str, messages: Sequence[Message]) -> None:
        """topic: its short id. Returns once Pub/Sub has acknowledged each message, with our time in its attributes.

        Raises RetryLater when it has not within 10 s; some may be published all the same.
        """
        if not messages:
            return
        with reaching(f"Pub/Sub topic {topic}"):
            self._batches(topic).publish([self._timed(m) for m in messages])

    def _timed(self, message: Message) -> Message:
        """Its age is measured by the clock that it is compared with, not by Pub/Sub's."""
        own = {PUBLISHED_AT: self._clock().isoformat(), **trace.attributes()}
        return Message(message.data, own | message.attributes)

    def _batches(self, topic: str) -> "Batches":
        return self._topics.get(topic) or self._topics.setdefault(topic, Batches(partial(self._send, topic)))

    def _send(self, topic: str, messages: Sequence[Message]) -> None:
        path = f"projects/{self._project}/topics/{topic}"
        for at in range(0, len(messages), AT_ONCE):
            wire = [{"data": m.data, "attributes": m.attributes} for m in messages[at : at + AT_ONCE]]
            self._client().publish(request={"topic": path, "messages": wire}, **limits())


class Batches:
    """Sends messages that arrive during a call together in the next one.

    A single message is sent at once; the higher the load, the more messages share a call, up to AT_ONCE: whoever waits
    for a batch of others waits for one call. A batch that is refused is sent again in its parts: one message that
    Pub/Sub refuses must not take the others along.
    """

    def __init__(self, send: Callable[[Sequence[Message]], None]) -> None:
        self._send = send
        self._open = _Batch()
        self._lock, self._turn = Lock(), Lock()

    def publish(self, messages: Sequence[Message]) -> None:
        """messages: one at least. The first in a batch sends it, for all. Raises what that raised, and TimeoutError."""
        batch, leads = self._joined(messages)
        if leads:
            self._lead(batch)
        try:
            batch.sent.result(TURN + DEADLINE)
        except _invalid_argument():
            if len(batch.messages) == len(messages):
                raise
            self._send(messages)

    def _joined(self, messages: Sequence[Message]) -> "tuple[_Batch, bool]":
        """The open batch, or a new one where they would not fit into it; and whether they are its first."""
        with self._lock:
            if len(self._open.messages) + len(messages) > AT_ONCE:
                self._open = _Batch()
            batch, leads = self._open, not self._open.messages
            batch.messages += messages
            return batch, leads

    def _lead(self, batch: "_Batch") -> None:
        """Sends the batch after the call before it, but waits at most TURN: one that hangs must not delay others."""
        in_turn = self._turn.acquire(timeout=TURN)
        try:
            with self._lock:
                if self._open is batch:
                    self._open = _Batch()
            self._send(batch.messages)
            batch.sent.set_result(None)
        except BaseException as fault:  # any exception: other threads wait for this result
            batch.sent.set_exception(fault)
        finally:
            if in_turn:
                self._turn.release()


class _Batch:
    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.sent: Future[None] = Future()


def _invalid_argument() -> type[Exception]:
    from google.api_core.exceptions import InvalidArgument

    return InvalidArgument


def _publisher() -> "PublisherClient":
    from google.pubsub_v1 import PublisherClient
    from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

    return connected(PublisherClient, PublisherGrpcTransport, "PUBSUB_EMULATOR_HOST")
