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


@pytest.mark.skipif(not namespaces_work(), reason="needs network namespaces (unshare, nsenter, ip)")
def test_a_call_on_a_forgotten_connection_is_answered_within_half_its_deadline() -> None:
    argv = [*NAMESPACES, sys.executable, "-m", "tests.integration.forgotten_connection"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    assert 1 < float(done.stdout) < DEADLINE / 2
