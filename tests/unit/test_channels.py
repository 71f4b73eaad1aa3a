"""The channels of Google's clients notice a connection that the network has forgotten."""

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore

from shared.adapters.gcp import dead_letters, pubsub, tasks
from shared.adapters.gcp import firestore as ledger
from shared.adapters.gcp.calls import KEEPALIVE


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Options of every secure channel, as gRPC got them."""
    real, options = grpc.secure_channel, list[dict[str, Any]]()

    def secure_channel(target: str, credentials: Any, **given: Any) -> Any:
        names = [name for name, _ in given["options"]]
        assert len(names) == len(set(names))
        options.append(dict(given["options"]))
        return real(target, credentials, **given)

    monkeypatch.setattr(grpc, "secure_channel", secure_channel)
    monkeypatch.setattr("google.auth.default", lambda *args, **given: (AnonymousCredentials(), "demo"))
    for variable in ("PUBSUB_EMULATOR_HOST", "FIRESTORE_EMULATOR_HOST", "CLOUD_TASKS_EMULATOR_HOST"):
        monkeypatch.delenv(variable, raising=False)
    return options


@pytest.mark.parametrize(
    "make",
    [
        pubsub._publisher,
        dead_letters._subscriber,
        tasks.tasks_client,
        lambda: ledger._client("demo", "(default)"),
    ],
    ids=["publisher", "subscriber", "tasks", "firestore"],
)
def test_every_client_of_google_has_keepalive(make: Callable[[], Any], made: list[dict[str, Any]]) -> None:
    assert make()
    (options,) = made
    assert {name: options.get(name) for name in KEEPALIVE} == KEEPALIVE
    assert options["grpc.max_receive_message_length"] == -1  # the client's own options are kept


def test_firestore_uses_the_channel_that_was_made_for_it(made: list[dict[str, Any]]) -> None:
    client: firestore.Client = ledger._client("demo", "(default)")
    assert client._firestore_api is client._firestore_api
    assert len(made) == 1
