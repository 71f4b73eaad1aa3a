"""The small scope, in two files, so that they run side by side. `make simulate-exhaustive` runs all of it."""

import pytest

from tests.simulation.exhaustive import failures, part, unsigned


@pytest.mark.parametrize("number", [6, 12, 18])
def test_every_case_of_the_small_scope_keeps_the_promises(number: int) -> None:
    runs, failed = part(number)
    assert failed == []
    assert runs > 300


def test_every_fault_in_a_request_that_nobody_signs() -> None:
    runs, failed = failures([unsigned(days=4)])
    assert failed == []
    assert runs > 300
