"""A call on a connection that the network has forgotten succeeds well within its deadline."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shared.adapters.gcp.calls import DEADLINE

ROOT = Path(__file__).parents[2]
NAMESPACES = ["unshare", "-rn"]


def namespaces_work() -> bool:
    """Whether this machine lets an ordinary process make network namespaces with interfaces."""
    if not all(shutil.which(tool) for tool in ("unshare", "nsenter", "ip")):
        return False
    probe = subprocess.run([*NAMESPACES, "sh", "-c", "ip link add v0 type veth peer name v1"], capture_output=True)
    return probe.returncode == 0


pytestmark = pytest.mark.skipif(not namespaces_work(), reason="needs network namespaces (unshare, nsenter, ip)")


def called(*arguments: str) -> "subprocess.CompletedProcess[str]":
    argv = [*NAMESPACES, sys.executable, "-m", "tests.integration.forgotten_connection", *arguments]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=90)


def test_a_call_on_a_forgotten_connection_is_answered_within_its_deadline() -> None:
    """That every client's channel has these options is shown by tests/unit/test_channels.py."""
    done = called()
    assert done.returncode == 0, done.stderr
    assert 1 < float(done.stdout) < 0.8 * DEADLINE


def test_without_these_options_it_would_hang_past_it() -> None:
    assert "DEADLINE_EXCEEDED" in called("bare").stderr
