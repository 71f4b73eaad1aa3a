"""The small scope, in two files, so that they run side by side. `make simulate-exhaustive` runs all of it."""

import pytest

from tests.simulation.exhaustive import part


@pytest.mark.parametrize("number", [-1, 0])
def test_every_case_of_the_small_scope_keeps_the_promises(number: int) -> None:
    runs, failed = part(number)
    assert failed == []
    assert runs > 300
