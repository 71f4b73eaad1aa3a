"""How many messages or events wait, and until when, by how many have left within ten minutes."""

from datetime import UTC, datetime

import pytest

from shared.domain.backlog import Backlog, backlog


@pytest.mark.parametrize(
    ("waiting", "left", "until"),
    [
        (100, 1_000, "12:02"),
        (52_000, 8_000, "13:06"),  # 65 minutes, and the minute begun
        (600, 600, "12:11"),
        (600, 100, "13:01"),
        (600, 0, None),  # none leave: no time can be named
        (100_000, 8_000, "14:06"),
    ],
)
def test_the_last_leaves_when_the_present_pace_has_taken_all(waiting: int, left: int, until: str | None) -> None:
    found = backlog(waiting, left, datetime(2026, 3, 2, 12, 0, 30, tzinfo=UTC))
    assert found == Backlog(waiting, datetime.fromisoformat(f"2026-03-02T{until}:00Z") if until else None)


@pytest.mark.parametrize("left", [0, 8_000])
def test_of_more_than_were_counted_no_time_can_be_named(left: int) -> None:
    found = backlog(100_000, left, datetime(2026, 3, 2, tzinfo=UTC), more=True)
    assert found == Backlog(100_000, more=True)


@pytest.mark.parametrize("left", [0, 8_000])
def test_a_few_are_no_backlog(left: int) -> None:
    assert backlog(99, left, datetime(2026, 3, 2, tzinfo=UTC)) is None
