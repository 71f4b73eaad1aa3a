"""`make bundle-check`: install each bundle in its own venv, start it with functions-framework and call it.

Pub/Sub and Firestore cannot be reached here, so a function that needs them must answer 503. That proves that its
packages are complete, that its clients start, and that it acknowledges nothing that it could not store.
"""

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from infra.ops import shell
from infra.ops.bundle import build
from infra.ops.function_table import Function, chosen
from infra.ops.lock import RUNTIME
from infra.ops.preflight import PLACEHOLDER, placeholders
from infra.ops.shell import Stop
from local.stack.identity import passed_on

MAX_PARALLEL_CHECKS = 2
START_TIMEOUT = 30.0  # seconds until a function accepts connections
CALL_TIMEOUT = 60.0  # seconds


class Call(msgspec.Struct, frozen=True):
    """An HTTP request and the expected status of its response. Without a body it is a GET."""

    path: str
    status: int
    body: Any = None
    headers: dict[str, str] = {}


def _pushed(message: dict[str, Any]) -> dict[str, Any]:
    """Pub/Sub's push envelope."""
    data = base64.b64encode(json.dumps(message).encode()).decode()
    message_id = {"messageId": "1", "publishTime": datetime.now(UTC).isoformat()}
    return {
        "subscription": "projects/check/subscriptions/check",
        "message": {"data": data, "attributes": {}, **message_id},
    }


NOW = datetime.now(UTC).isoformat()
EVENT = {
    "v": 1,
    "event": "e",
    "type": "request_sent",
    "request": "r",
    "signer": None,
    "title_hint": "",
    "received_at": NOW,
}
NOTICE = {
    "v": 1,
    "notice": "n",
    "request": "r",
    "signer": "s",
    "kind": "invitation",
    "reminder_day": 0,
    "channel": "email",
    "round": 1,
}
STATUS = {
    "id": "r.1",
    "type": "clickwrap.request.open",
    "subject": "r",
    "time": NOW,
    "data": {"request": "r", "status": "open", "round": 1, "signatures": 0, "needed": 1, "sequence": 1, "signers": {}},
}
TASKS = "relay-tasks@check.iam.gserviceaccount.com"
TOKEN = {"Pactsafe-Webhook-Token": PLACEHOLDER}
FIRING = {"request": "r", "signer": "s", "reminder_day": 3, "task": "t"}
CALLS = {
    "receive": (
        Call("/", 401, {"event_type": "test_event"}),
        Call("/", 200, {"event_type": "test_event"}, TOKEN),
        Call("/", 503, {"event_type": "request_sent", "id": "e", "request": "r"}, TOKEN),
    ),
    "resolve": (Call("/", 503, _pushed(EVENT)),),
    "deliver": (Call("/sms", 200, _pushed(NOTICE)), Call("/email", 503, _pushed(NOTICE))),
    "forward": (Call("/", 503, _pushed(STATUS)),),
    "remind": (Call("/", 400, []), Call("/", 503, FIRING)),
    "links": (Call("/code", 404), Call("/a-code-of-sixteen", 503)),
    "receipts": (Call("/nobody", 404, {}),),
    "reconcile": (Call("/", 503, {}),),
    "console": (Call("/nowhere", 404), Call("/", 503)),
}


def check_all() -> None:
    functions, python = chosen(), interpreter()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(MAX_PARALLEL_CHECKS) as pool:
        for line in pool.map(lambda function: check(function, Path(scratch), python), functions):
            shell.say(line)
    shell.say(f"{len(functions)} bundles in {time.monotonic() - started:.0f} s")


def interpreter() -> str:
    """The functions' own version of Python if it is installed, else this one, which is then said."""
    if list(sys.version_info[:2]) == [int(part) for part in RUNTIME.split(".")]:
        return sys.executable
    command = (f"python{RUNTIME}", "-c", "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)")
    with suppress(Stop):  # it may be missing, or a stand-in of pyenv for a version that is not chosen
        version, path = shell.captured(command).split(maxsplit=1)
        if version == RUNTIME:
            return path
    shell.say(f"there is no python{RUNTIME} here: checked on Python {'.'.join(map(str, sys.version_info[:2]))}")
    return sys.executable


def check(function: Function, scratch: Path, python: str) -> str:
    """Check one function and return a line with its sizes. Raises Stop."""
    made = build(function, scratch / "dist")
    venv = install(made.folder, scratch / "venv" / function.name, python)
    installed = size(venv)
    with started(function, made.folder, venv) as base:
        for call in CALLS[function.name]:
            status = status_of(base, call, identity(function))
            if status != call.status:
                raise Stop(f"{function.name}: {call.path} answered {status}, not {call.status}")
    shutil.rmtree(venv)
    zipped = made.archive.stat().st_size
    return f"{function.name:10} zip {zipped / 1024:4.0f} KiB, installed {installed / 1e6:4.0f} MB, all calls OK"


def install(folder: Path, venv: Path, python: str) -> Path:
    _run(python, "-m", "venv", "--without-pip", str(venv))
    before = size(venv)
    # uv needs a quarter of the time of pip, which the buildpack uses; both check the same hashes in the same file
    strict = ("--require-hashes", "--compile-bytecode", "-r", str(folder / "requirements.txt"))
    _run(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(venv / "bin/python"), *strict)
    (venv / "bare").write_text(str(before))
    return venv


def size(venv: Path) -> int:
    """Bytes of the installed packages, without the files of an empty venv."""
    bare = venv / "bare"
    total = sum(path.stat().st_size for path in venv.rglob("*") if path.is_file() and not path.is_symlink())
    return total - (int(bare.read_text()) if bare.exists() else 0)


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise Stop(f"{' '.join(command[:3])} failed: {(done.stderr.strip().splitlines() or ['?'])[-1]}")


@contextmanager
def started(function: Function, folder: Path, venv: Path) -> Iterator[str]:
    """Run the function while the context lasts. Yields its base URL; raises Stop if it does not start."""
    port = _free_port()
    command = [str(venv / "bin/functions-framework"), f"--target={function.name}"]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, cwd=folder, env=environment(function, port), stdout=output, stderr=output)
        try:
            _wait_until_open(function, process, port, output)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def environment(function: Function, port: int) -> dict[str, str]:
    """The variables that the buildpack sets, with closed ports as the addresses of Google's services."""
    closed = f"127.0.0.1:{_free_port()}"
    urls = {
        f"{name}_URL": f"https://{name.lower()}.invalid"
        for name in ("REMIND", "RESOLVE", "DELIVER", "FORWARD", "RECONCILE", "LINKS_BASE", "STATUS_WEBHOOK")
    }
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        **{"PORT": str(port), "THREADS": str(function.concurrency), "CLOUD_RUN_TIMEOUT_SECONDS": str(function.timeout)},
        **{"BACKEND": "gcp", "GOOGLE_CLOUD_PROJECT": "check", "LOCATION": "us-central1", **urls},
        **{"PUBSUB_EMULATOR_HOST": closed, "FIRESTORE_EMULATOR_HOST": closed},
        **placeholders([variable for variable, when in function.secrets.items() if when == "always"]),
        **{"LINKS_SECRET": PLACEHOLDER, "TASKS_SERVICE_ACCOUNT": TASKS, "CALLERS": TASKS},
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_open(function: Function, process: "subprocess.Popen[bytes]", port: int, output: Any) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            output.seek(0)
            raise Stop(f"{function.name} does not start: {output.read().decode(errors='replace').strip()[-500:]}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise Stop(f"{function.name} did not start in {START_TIMEOUT:.0f} s")


def identity(function: Function) -> dict[str, str]:
    """As Cloud Run passes on that of a function's caller."""
    return passed_on(f"https://{function.name}.invalid", TASKS) if function.called_by_google else {}


def status_of(base: str, call: Call, identity: dict[str, str]) -> int:
    body = None if call.body is None else json.dumps(call.body).encode()
    headers = {"Content-Type": "application/json", **call.headers, **identity}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(base + call.path, body, headers), timeout=CALL_TIMEOUT
        ) as response:
            return int(response.status)
    except urllib.error.HTTPError as refused:
        return refused.code


if __name__ == "__main__":
    shell.main(check_all)
