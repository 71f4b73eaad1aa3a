"""The fault suite at a small size. `make soak` is the same at full size; SEED picks another run."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import TABLE
from tests.faults.run import Run, Size
from tests.faults.table import table

SEED = int(os.environ.get("SEED") or 5)
SMALL = Size(requests=60, pace=0.1, alive=(2.0, 5.0), days=(3,))
SMALLER = Size(requests=24, pace=0.2, alive=(2.0, 4.0), days=(3,))
CASES = [("embedded", SMALL), pytest.param("emulators", SMALLER, marks=pytest.mark.emulators)]


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("backend", "size"), CASES)
def test_under_faults_nothing_is_lost_and_nothing_doubled(
    backend: str, size: Size, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    rows = Run(SEED, size, backend, tmp_path, tell=lambda text: None).rows()
    record_property(TABLE, f"faults on {backend}\n{table(rows, SEED)}")
    assert [row for row in rows if not row.right] == []
