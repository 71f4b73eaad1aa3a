"""`make bundle-check`: each bundle as the cloud would run it: installed alone, started by functions-framework, called.

Nothing stands behind it here, so a function that reaches for Pub/Sub or Firestore must answer 503: that proves that
all it needs is installed, that its clients start, and that it acknowledges nothing it could not keep.
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
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from infra.ops import shell
from infra.ops.bundle import build
from infra.ops.function_table import Function, chosen
from infra.ops.lock import RUNTIME
from infra.ops.preflight import placeholders
from infra.ops.shell import Stop

AT_ONCE = 2
PATIENCE = 30.0  # seconds until a function answers at all
LONGEST_CALL = 60.0


class Call(msgspec.Struct, frozen=True):
    """An HTTP request and the status that answers it. No body: GET."""

    path: str
    status: int
    body: Any = None
    headers: dict[str, str] = {}


def _pushed(message: dict[str, Any]) -> dict[str, Any]:
    """Pub/Sub's push envelope."""
    data = base64.b64encode(json.dumps(message).encode()).decode()
    told = {"messageId": "1", "publishTime": datetime.now(UTC).isoformat()}
    return {
        "subscription": "projects/check/subscriptions/check",
        "message": {"data": data, "attributes": {}, **told},
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
TOKEN = {"Pactsafe-Webhook-Token": "placeholder"}
FIRING = {"request": "r", "signer": "s", "reminder_day": 3, "task": "t"}
CALLS = {
    "receive": (
        Call("/", 401, {"event_type": "test_event"}),
        Call("/", 200, {"event_type": "test_event"}, TOKEN),
        Call("/", 503, {"event_type": "request_sent", "id": "e", "request": "r"}, TOKEN),
    ),
    "resolve": (Call("/", 503, _pushed(EVENT)),),
    "deliver": (Call("/sms", 200, _pushed(NOTICE)), Call("/email", 503, _pushed(NOTICE))),
    "remind": (Call("/", 400, []), Call("/", 503, FIRING)),
    "links": (Call("/code", 404), Call("/a-code-of-sixteen", 503)),
    "receipts": (Call("/nobody", 404, {}),),
    "reconcile": (Call("/", 503, {}),),
    "console": (Call("/nowhere", 404), Call("/", 503)),
}


def check_all() -> None:
    _right_python()
    functions = chosen()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(AT_ONCE) as pool:
        for line in pool.map(lambda function: check(function, Path(scratch)), functions):
            shell.say(line)
    shell.say(f"{len(functions)} bundles in {time.monotonic() - started:.0f} s")


def _right_python() -> None:
    found = f"{sys.version_info.major}.{sys.version_info.minor}"
    if found != RUNTIME:
        raise Stop(f"the functions run on Python {RUNTIME}, this is {found}: make .venv with PYTHON=python{RUNTIME}")


def check(function: Function, scratch: Path) -> str:
    """Returns a line with sizes; raises Stop with what went wrong."""
    made = build(function, scratch / "dist")
    venv = install(made.folder, scratch / "venv" / function.name)
    installed = size(venv)
    with started(function, made.folder, venv) as base:
        for call in CALLS[function.name]:
            status = answer(base, call)
            if status != call.status:
                raise Stop(f"{function.name}: {call.path} answered {status}, not {call.status}")
    shutil.rmtree(venv)
    zipped = made.archive.stat().st_size
    return f"{function.name:10} zip {zipped / 1024:4.0f} KiB, installed {installed / 1e6:4.0f} MB, answers as it should"


def install(folder: Path, venv: Path) -> Path:
    _run(sys.executable, "-m", "venv", "--without-pip", str(venv))
    before = size(venv)
    # uv takes a quarter of pip's time; pip, which the buildpack uses, reads the same file and the same hashes
    strict = ("--require-hashes", "--compile-bytecode", "-r", str(folder / "requirements.txt"))
    _run(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(venv / "bin/python"), *strict)
    (venv / "bare").write_text(str(before))
    return venv


def size(venv: Path) -> int:
    """Bytes of what was installed, pip and the like left out."""
    bare = venv / "bare"
    total = sum(path.stat().st_size for path in venv.rglob("*") if path.is_file() and not path.is_symlink())
    return total - (int(bare.read_text()) if bare.exists() else 0)


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise Stop(f"{' '.join(command[:3])} failed: {(done.stderr.strip().splitlines() or ['?'])[-1]}")


@contextmanager
def started(function: Function, folder: Path, venv: Path) -> Iterator[str]:
    """Yields the function's base URL."""
    port = _free_port()
    command = [str(venv / "bin/functions-framework"), f"--target={function.name}"]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, cwd=folder, env=environment(function, port), stdout=said, stderr=said)
        try:
            _until_open(function, process, port, said)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def environment(function: Function, port: int) -> dict[str, str]:
    """The buildpack's, with Google's services where nobody listens."""
    closed = f"127.0.0.1:{_free_port()}"
    urls = {f"{name}_URL": f"https://{name.lower()}.invalid" for name in ("REMIND", "RESOLVE", "DELIVER", "LINKS_BASE")}
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        **{"PORT": str(port), "THREADS": str(function.concurrency), "CLOUD_RUN_TIMEOUT_SECONDS": str(function.timeout)},
        **{"BACKEND": "gcp", "GOOGLE_CLOUD_PROJECT": "check", "LOCATION": "us-central1", **urls},
        **{"PUBSUB_EMULATOR_HOST": closed, "FIRESTORE_EMULATOR_HOST": closed},
        **placeholders([variable for variable, when in function.secrets.items() if when == "always"]),
        **{"LINKS_SECRET": "placeholder", "TASKS_SERVICE_ACCOUNT": "relay-tasks@check.iam.gserviceaccount.com"},
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _until_open(function: Function, process: "subprocess.Popen[bytes]", port: int, said: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said.seek(0)
            raise Stop(f"{function.name} does not start: {said.read().decode(errors='replace').strip()[-500:]}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise Stop(f"{function.name} did not start in {PATIENCE:.0f} s")


def answer(base: str, call: Call) -> int:
    body = None if call.body is None else json.dumps(call.body).encode()
    headers = {"Content-Type": "application/json", **call.headers}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(base + call.path, body, headers), timeout=LONGEST_CALL
        ) as response:
            return int(response.status)
    except urllib.error.HTTPError as refused:
        return refused.code


if __name__ == "__main__":
    shell.main(check_all)
