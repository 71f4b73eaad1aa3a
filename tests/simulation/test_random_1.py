"""Random runs; two files, so that they run side by side."""

import pytest

from tests.simulation.cases import run_seed

FIRST = 11000


@pytest.mark.parametrize("start", range(FIRST, FIRST + 500, 100))
def test_random_runs_keep_the_promises(start: int) -> None:
    failed = {seed: found for seed in range(start, start + 100) if (found := run_seed(seed).breaches)}
    assert failed == {}, "SEED=n make simulate shows a run, SEEDS=n-m shrinks those that fail"
