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
from local.stack.identity import bearer, guarded
from shared.adapters.gcp.tasks import CloudTasks
from shared.ports import Task
from tests.contract.until import until
from tests.e2e.stack import ERIC, ERICS, Running
from tests.e2e.stack import until as eventually
from tests.stand_in import StandIn

HERE = "http://127.0.0.1:8080/deliver/sms"


def status(header: dict[str, str], *, anonymous: bool = False, audience: str = "") -> int:
    def app(environ: dict[str, Any], start: Any) -> list[bytes]:
        start("200 OK", [])
        return []

    said: list[str] = []
    environ = {"SCRIPT_NAME": "/deliver", "PATH_INFO": "/sms"} | {"HTTP_" + k.upper(): v for k, v in header.items()}
    list(guarded(app, audience, anonymous=anonymous)(environ, lambda status, headers: said.append(status)))
    return int(said[0][:3])


def test_a_token_made_for_the_url_called_is_taken() -> None:
    assert status(bearer(HERE)) == 200


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/deliver", "http://127.0.0.1:8080/resolve", "", "/"])
def test_a_token_made_for_another_function_is_refused(url: str) -> None:
    assert status(bearer(url)) == 401


def test_a_token_made_for_the_audience_agreed_on_is_taken() -> None:
    assert status(bearer("https://relay.test"), audience="https://relay.test") == 200
    assert status(bearer("https://relay.test")) == 401


@pytest.mark.parametrize(
    "forged",
    [
        "",
        "Bearer ",
        "Bearer x",
        "Basic eDp5",
        "bearer é",
        pytest.param(bearer(HERE)["Authorization"][7:], id="token without scheme"),
    ],
)
@pytest.mark.parametrize("anonymous", [True, False])
def test_a_forged_token_is_refused_even_where_none_is_needed(forged: str, anonymous: bool) -> None:
    assert status({"Authorization": forged}, anonymous=anonymous) == 401


def test_no_token_is_refused_unless_none_is_needed() -> None:
    assert (status({}), status({}, anonymous=True)) == (403, 200)


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
    assert headers.get("authorization") == (bearer(audience or url)["Authorization"] if account else None)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("stack"), "embedded")
    yield running
    running.stop()


PUSH = json.loads((Path(__file__).parents[1] / "golden/envelopes/push.json").read_text())


@pytest.mark.parametrize("path", ["/resolve", "/resolve/", "/deliver", "/deliver/sms", "/deliver/email"])
def test_a_push_from_outside_is_refused(stack: Running, path: str) -> None:
    assert stack.call("POST", path, PUSH)[0] == 403
    assert stack.call("POST", path, PUSH, Authorization="Bearer guess")[0] == 401


def test_remind_and_reconcile_answer_by_hand_but_refuse_a_forged_token(stack: Running) -> None:
    firing = {"request": "r", "signer": "s", "step": 3, "task": "guess"}
    assert stack.call("POST", "/remind", firing) == (200, b'{"status":"not due"}\n')
    assert stack.call("POST", "/reconcile", {})[0] == 200
    for path in ("/remind", "/reconcile"):
        assert stack.call("POST", path, firing, Authorization="Bearer guess")[0] == 401


def test_the_stacks_own_pushes_pass(stack: Running) -> None:
    stack.send(ERIC)
    eventually(lambda: stack.messages(ERICS), "Eric is invited")
