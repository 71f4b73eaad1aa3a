"""What no webhook told of, and what nobody could handle: met all the same, and put right by the operator's commands."""

import os
import subprocess
import sys
from pathlib import Path

from tests.e2e.stack import ERIC, ERICS, ROOT, Running, until


def command(stack: Running, *arguments: str) -> str:
    env = {**os.environ, "BACKEND": "embedded", "LOCAL_DIR": str(stack.directory), "PORT": str(stack.port)}
    full = [sys.executable, "-m", "infra.ops.replay", *arguments]
    return subprocess.run(full, cwd=ROOT, env=env, capture_output=True, text=True, check=True, timeout=60).stdout


def test_a_request_whose_every_webhook_was_lost_is_adopted_and_reminded_but_not_invited(tmp_path: Path) -> None:
    stack = Running(tmp_path, "embedded", RECONCILE_LIST="1", SECONDS_PER_DAY="2", REMINDER_DAYS="3")
    try:
        assert stack.call("POST", "/sandbox/settings", {"webhooks": "lost"})[0] == 200
        stack.send(ERIC)
        until(lambda: stack.texts(ERICS), "the reminder")
        assert ["waiting for your signature" in text for text in stack.texts(ERICS)] == [True]
    finally:
        stack.stop()


def test_a_dead_letter_is_listed_with_its_reason_and_replayed_into_a_running_stack(tmp_path: Path) -> None:
    """The API names 1,001 signers: too many, until it does not any more."""
    stack = Running(tmp_path, "embedded")
    try:
        request = stack.send(ERIC)
        until(lambda: stack.texts(ERICS), "the invitation")
        crowd = {"id": request, "status": "sent", "signers": [{"id": f"s{n}"} for n in range(1001)]}
        assert stack.call("POST", "/sandbox/settings", {"faults": [{"body": crowd}] * 3})[0] == 200
        stack.sign(ERICS)
        listed = until(lambda: _listed(stack), "the dead letter")
        assert "at most 1000 are supported" in listed
        assert "CONFIRM=1" in listed
        stack.call("POST", "/sandbox/settings", {"faults": []})
        command(stack, "--replay")
        until(lambda: len(stack.texts(ERICS)) == 2, "the completion")
        assert "no dead letters" in command(stack)
    finally:
        stack.stop()


def _listed(stack: Running) -> str:
    told = command(stack)
    return told if "request_signed" in told else ""
