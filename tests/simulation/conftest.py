"""The simulation runs without measuring coverage, which costs a quarter of its time: other tests reach what it does."""

import pytest


@pytest.fixture(autouse=True)
def unmeasured(no_cover: None) -> None:
    """`no_cover` is pytest-cov's."""
