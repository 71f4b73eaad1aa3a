"""A run is a function of its seed, and of the case that was written down from it."""

import os
import subprocess
import sys

import pytest

from tests.simulation.cases import case_of, kept, run_case, run_seed

PRINT = """
import sys
from tests.simulation.cases import run_seed
run_seed(int(sys.argv[1]), trace := [])
print(*trace, sep="\\n")
"""


@pytest.mark.parametrize("seed", [3, 7, 29, 138, 341])
def test_the_same_seed_gives_the_same_trace(seed: int) -> None:
    first, second = list[str](), list[str]()
    run_seed(seed, first)
    run_seed(seed, second)
    assert first == second
    assert len(first) > 20


def test_another_process_gives_the_same_trace_too() -> None:
    """Where the hashes of strings differ, and with them the order of sets."""
    out = [
        subprocess.run(
            [sys.executable, "-c", PRINT, "138"],
            env={**os.environ, "PYTHONHASHSEED": hashes},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for hashes in ("1", "2")
    ]
    assert out[0] == out[1]
    assert len(out[0]) > 1_000


@pytest.mark.parametrize("seed", [3, 7, 29, 138])
def test_a_case_written_down_gives_the_same_trace_as_its_seed(seed: int) -> None:
    drawn, given = list[str](), list[str]()
    run_seed(seed, drawn)
    run_case(case_of(seed), given)
    assert drawn == given


@pytest.mark.parametrize("name", sorted(kept()))
def test_a_case_that_failed_once_fails_no_more(name: str) -> None:
    assert run_case(kept()[name]).breaches == []
