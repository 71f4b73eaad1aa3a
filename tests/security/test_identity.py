"""Private functions on one machine: who calls them must prove that he is this machine's Pub/Sub or Cloud Tasks."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local.emulation.provision import provision
from local.emulation.tasks_emulator import TasksEmulator
from local.emulation.topology import Queue
from local.stack.identity import PUSH, bearer, guarded, passed_on
from shared.adapters.gcp.tasks import CloudTasks
from shared.callers import claims
from shared.ports import Task
from tests.contract.until import until
from tests.e2e.stack import ERIC, ERICS, Running
from tests.e2e.stack import until as eventually
from tests.stand_in import StandIn

HERE = "http://127.0.0.1:8080/deliver"
OWN = bearer(HERE, PUSH)


def call(header: dict[str, str], instead: Any = None) -> tuple[int, str]:
    """The status, and the header that the function got."""
    said: list[str] = []

    def app(environ: dict[str, Any], start: Any) -> list[bytes]:
        said.append(environ["HTTP_AUTHORIZATION"])
        start("200 OK", [])
        return []

    environ = {f"HTTP_{k.upper()}": v for k, v in header.items()}
    list(guarded(app, instead)(environ, lambda status, headers: said.append(status)))
    return int(said[-1][:3]), said[0]


def test_a_token_of_this_process_is_passed_on_without_its_signature() -> None:
    status, given = call(OWN)
    assert status == 200
    assert given == OWN["Authorization"].rpartition(".")[0] + ".SIGNATURE_REMOVED_BY_GOOGLE"
    found = claims({"Authorization": given})
    assert (found.aud, found.email, found.email_verified) == (HERE, PUSH, True)


@pytest.mark.parametrize(
    "forged",
    [
        *("", "Bearer ", "Bearer x", "Basic eDp5", "bearer é", ".", "Bearer é.é.é"),
        pytest.param(OWN["Authorization"][:-1], id="cut"),
        pytest.param(passed_on(HERE, PUSH)["Authorization"], id="without a signature"),
    ],
)
@pytest.mark.parametrize("instead", [None, lambda: OWN])
def test_a_forged_token_is_refused_even_where_none_is_needed(forged: str, instead: Any) -> None:
    assert call({"Authorization": forged}, instead)[0] == 401


def test_no_token_is_refused_unless_none_is_needed() -> None:
    assert call({})[0] == 403
    assert call({}, lambda: OWN)[0] == 200


@pytest.mark.parametrize("audience", ["", "https://relay.test"])
@pytest.mark.parametrize("account", ["", "tasks@p.iam.gserviceaccount.com"])
def test_the_tasks_emulator_sends_a_token_where_the_task_asks_for_one(
    monkeypatch: pytest.MonkeyPatch, account: str, audience: str
) -> None:
    with TasksEmulator() as emulator, StandIn() as endpoint:
        monkeypatch.setitem(os.environ, "CLOUD_TASKS_EMULATOR_HOST", emulator.host)
        provision("p", "l", queues=[Queue(name="q")])
        url = f"{endpoint.url}/remind"
        at = datetime.now(UTC) - timedelta(seconds=1)
        CloudTasks("p", "l", account, audience=audience).create([Task(name="t", queue="q", url=url, body=b"{}", at=at)])
        headers = until(lambda: endpoint.asked)[0].headers
    signature, found = (
        call({"authorization": headers.get("authorization", "")})[0],
        claims({"Authorization": headers.get("authorization", "")}),
    )
    assert (signature, found.aud, found.email) == ((200, audience or url, account) if account else (401, "", ""))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("stack"), "embedded")
    yield running
    running.stop()


ENVELOPE = json.loads((Path(__file__).parents[1] / "golden/envelopes/push.json").read_text())


@pytest.mark.parametrize("path", ["/resolve", "/resolve/", "/deliver", "/deliver/sms", "/deliver/email"])
def test_a_push_from_outside_is_refused(stack: Running, path: str) -> None:
    assert stack.call("POST", path, ENVELOPE)[0] == 403
    assert stack.call("POST", path, ENVELOPE, Authorization="Bearer guess")[0] == 401


def test_remind_and_reconcile_answer_by_hand_but_refuse_a_forged_token(stack: Running) -> None:
    firing = {"request": "r", "signer": "s", "reminder_day": 3, "task": "guess"}
    assert stack.call("POST", "/remind", firing) == (200, b'{"status":"not due"}\n')
    assert stack.call("POST", "/reconcile", {})[0] == 200
    for path in ("/remind", "/reconcile"):
        assert stack.call("POST", path, firing, Authorization="Bearer guess")[0] == 401


def test_the_stacks_own_pushes_pass(stack: Running) -> None:
    stack.send(ERIC)
    eventually(lambda: stack.messages(ERICS), "Eric is invited")
