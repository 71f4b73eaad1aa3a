"""The main job, as a newcomer meets it: `make demo` on each backend."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def demo(**settings: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "local.demo"],
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "deprecated" not in done.stderr
    return done.stdout


@pytest.mark.parametrize("backend", ["embedded", pytest.param("emulators", marks=pytest.mark.emulators)])
def test_a_request_lives_its_whole_life_and_every_message_comes_once(backend: str) -> None:
    told = demo(BACKEND=backend)
    assert "on time is within" in told
    assert "Every message was sent once and on time." in told


def test_the_same_through_the_adapters_of_chosen_providers() -> None:
    """In another language than English, so that one run shows both."""
    told = demo(BACKEND="embedded", SMS_PROVIDER="vonage", EMAIL_PROVIDER="microsoft", TEMPLATES_LANGUAGE="de")
    assert "through stand-ins for vonage and microsoft" in told
    assert 'Eric Smith hat "Employment Agreement" unterschrieben' in told
    assert "Every message was sent once and on time." in told
