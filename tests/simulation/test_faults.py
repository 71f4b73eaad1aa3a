"""The simulation can fail: some faults put into the relay are found. `make simulate-faults` tries all of them."""

import pytest

from tests.simulation.faults import FAULTS, search

SOME = (
    "a claim does not mind another",
    "another's link",
    "only the first channel is planned",
    "a refused message is acknowledged",
)
APPLY = 40  # of the table; a change of the relay may take the text away that a fault replaces


@pytest.mark.parametrize("name", SOME)
def test_a_fault_is_found(name: str) -> None:
    found = search(name, limit=60.0)
    assert found.rule, f"{found.runs} runs found nothing"


def test_the_faults_fit_the_relay_as_it_is() -> None:
    fitting = 0
    for fault in FAULTS:
        try:
            compile(fault.applied(), fault.file, "exec")
        except ValueError:
            continue
        fitting += 1
    assert fitting >= APPLY
