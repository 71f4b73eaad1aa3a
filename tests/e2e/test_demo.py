"""The main job, as a newcomer meets it: `make demo` on each backend."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("backend", ["embedded", pytest.param("emulators", marks=pytest.mark.emulators)])
def test_a_request_lives_its_whole_life_and_every_message_comes_once(backend: str) -> None:
    env = {**os.environ, "BACKEND": backend}
    done = subprocess.run(
        [sys.executable, "-m", "local.demo"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Every message came once and on time." in done.stdout
