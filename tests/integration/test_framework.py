"""Each function alone, by the framework's own command from the project's folder, with the values of .env.example."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from local.emulation.google_emulators import free_port
from local.emulation.provision import provision
from tests.e2e.stack import until
from tests.emulators import Cloud

ROOT = Path(__file__).parents[2]
COMMAND = Path(sys.executable).parent / "functions-framework"
FUNCTIONS = ("receive", "resolve", "deliver", "remind", "reconcile", "links", "receipts", "console")
UP_WITHIN = 60.0  # seconds, for eight at once on a busy machine
HOOK = {"event_type": "request_sent", "id": "e1", "request": "r1", "description": "Lease"}
EMBEDDED = "BACKEND=embedded exists only inside `make run` and `make demo`; set BACKEND=emulators or gcp"
FIRING = {"request": "r1", "signer": "s1", "reminder_day": 3, "task": "t1"}


def example() -> dict[str, str]:
    """What `set -a; . ./.env` would set."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    pairs = (line.split("=", 1) for line in lines if line and not line.startswith("#"))
    return {name: "".join(shlex.split(value)) for name, value in pairs}


@contextmanager
def started(name: str, environ: dict[str, str], log: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The process and its URL; it need not be up yet."""
    source, port = f"functions/{name}/main.py", str(free_port())
    bare = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(COMMAND), "--source", source, "--target", name, "--port", port],
            cwd=ROOT,
            env={**bare, **environ},
            stdout=out,
            stderr=out,
        )
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def call(url: str, body: object = None, **headers: str) -> int:
    """The answer's status; 0 without one. No body: GET."""
    data = None if body is None else json.dumps(body).encode()
    named = {"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, named), timeout=20) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as e:
        with e:
            return e.code
    except OSError:
        return 0


@pytest.mark.emulators
@pytest.mark.timeout(180)
def test_all_eight_start_and_work_on_emulators(cloud: Cloud, tmp_path: Path) -> None:
    hosts = {name: os.environ[name] for name in example() if name.endswith("_EMULATOR_HOST")}
    environ = {**example(), **hosts, "GOOGLE_CLOUD_PROJECT": cloud.project, "THREADS": "2"}
    assert (environ["BACKEND"], len(hosts)) == ("emulators", 3)
    provision(cloud.project, environ["LOCATION"], topics=["clickwrap-events"])
    with ExitStack() as stack:
        running = {n: stack.enter_context(started(n, environ, tmp_path / f"{n}.log")) for n in FUNCTIONS}

        def up(name: str) -> bool:
            assert running[name][0].poll() is None, (tmp_path / f"{name}.log").read_text()
            return call(running[name][1] + "/nowhere") > 0

        with ThreadPoolExecutor(len(FUNCTIONS)) as pool:
            list(pool.map(lambda name: until(lambda: up(name), f"{name} answers", UP_WITHIN), FUNCTIONS))
        url = {name: base for name, (_, base) in running.items()}
        token = environ["CLICKWRAP_WEBHOOK_TOKENS"]
        assert call(url["receive"], HOOK, Pactsafe_Webhook_Token=token) == 200  # Pub/Sub has it
        assert call(url["remind"], FIRING) == 200  # Firestore has no such request
        assert call(url["reconcile"], {}) == 200
        assert call(url["links"] + "/a-code-of-sixteen") == 404
        assert call(url["console"]) == 200


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        (
            {"BACKEND": "embedded"},
            f"cannot start: {EMBEDDED}",
        ),
        ({"CLOUD_TASKS_EMULATOR_HOST": ""}, "cannot start: CLOUD_TASKS_EMULATOR_HOST is not set"),
    ],
)
def test_what_cannot_work_is_refused_with_one_line(changed: dict[str, str], line: str, tmp_path: Path) -> None:
    with started("receive", {**example(), **changed, "PYTHONWARNINGS": "ignore"}, tmp_path / "log") as (process, _):
        assert process.wait(30) == 1
    assert (tmp_path / "log").read_text().splitlines() == [line]


def test_an_instance_that_had_no_cpu_for_longer_than_the_time_out_keeps_its_worker(tmp_path: Path) -> None:
    """The worst order: gunicorn's arbiter runs again before its worker, whose last heartbeat is old by then."""
    environ = {**example(), "CLOUD_RUN_TIMEOUT_SECONDS": "1"}
    with started("receive", environ, tmp_path / "log") as (process, url):
        until(lambda: call(url) > 0, "receive answers", UP_WITHIN)
        (worker,) = children(process.pid)
        os.kill(worker, signal.SIGSTOP)
        try:
            time.sleep(4)  # the arbiter looks every second
        finally:
            os.kill(worker, signal.SIGCONT)
        assert call(url) == 405
        assert children(process.pid) == [worker]


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
