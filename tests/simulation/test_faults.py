"""The simulation can fail: some faults put into the relay are found. `make simulate-faults` tries all of them."""

import pytest

from tests.simulation.faults import FAULTS, search
from tests.simulation.mutate import Fault

SOME = (
    "a claim does not mind another",
    "another's link",
    "only the first channel is planned",
    "a refused message is acknowledged",
)


@pytest.mark.parametrize("name", SOME)
def test_a_fault_is_found(name: str) -> None:
    found = search(name, limit=60.0)
    assert found.rule, f"{found.runs} runs found nothing"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_every_fault_fits_the_relay_as_it_is(fault: Fault) -> None:
    """A change of the relay may take the text away that a fault replaces."""
    compile(fault.applied(), fault.file, "exec")
