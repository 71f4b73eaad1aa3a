"""The budget: how often a request's life asks Firestore, Pub/Sub, Cloud Tasks and Clickwrap. Counts do not wander."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NOTICES = ("invitation", "reminder", "progress", "completion")
SIGNERS = (1, 2, 5)

Counts = dict[str, dict[str, int]]


@pytest.fixture(scope="module")
def lives() -> dict[int, Counts]:
    """in a process of its own: bootstrap keeps what it has made."""
    asked = [sys.executable, "-W", "ignore", "-m", "bench.lifecycle", *map(str, SIGNERS)]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, check=True, timeout=100)
    return {int(n): counts for n, counts in json.loads(done.stdout).items()}


@pytest.fixture(params=SIGNERS)
def signers(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def life(lives: dict[int, Counts], signers: int) -> Counts:
    return lives[signers]


def each(counts: dict[str, int], what: str) -> float:
    return counts.get(what, 0) / counts["times"]


def test_the_life_is_whole(life: Counts, signers: int) -> None:
    assert life["invitation"]["sends"] == life["completion"]["sends"] == signers
    assert life["event"]["times"] == signers + 2
    assert life["reminder"]["sends"] >= 3


def test_an_event_costs_one_read_one_write_and_one_api_call(life: Counts) -> None:
    assert [each(life["event"], what) for what in ("reads", "writes", "API calls")] == [1, 1, 1]
    assert "listed" not in life["event"]


def test_an_event_publishes_its_notices_and_at_most_one_status(life: Counts) -> None:
    sent = sum(life[kind]["times"] for kind in NOTICES if kind in life and kind != "reminder")
    assert life["event"]["publishes"] == sent
    assert each(life["event"], "statuses") <= 1


@pytest.mark.parametrize("kind", NOTICES)
def test_a_notice_costs_two_reads_and_two_writes(life: Counts, kind: str) -> None:
    """The second read is the address's suppression: it may have been set since the notice was planned.

    A text that follows an invitation reads its record too, since the first text says how to opt out.
    Whoever asks the API reads the notice first, since what has left needs no call, and stores what it was told.
    """
    notice = life.get(kind, {"times": 1})
    assert each(notice, "reads") <= 2 + (kind != "invitation") + each(notice, "API calls")
    assert each(notice, "writes") <= 2 + each(notice, "API calls")
    assert notice.get("sends", 0) <= notice["times"]


def test_only_a_reminder_reads_by_a_query(life: Counts) -> None:
    """Its signer's notices: it waits for the invitation."""
    assert not any("listed" in life.get(kind, {}) for kind in NOTICES if kind != "reminder")


@pytest.mark.parametrize("kind", NOTICES)
def test_a_link_costs_one_write(life: Counts, kind: str) -> None:
    assert each(life.get(kind, {"times": 1}), "link writes") == (0 if kind == "progress" or kind not in life else 1)


def test_only_a_reminder_asks_the_api_before_it_is_sent(life: Counts) -> None:
    """One answer serves all signers who are reminded at the same time."""
    assert 2 <= life["reminder"]["API calls"] <= 3
    assert not any("API calls" in life.get(kind, {}) for kind in NOTICES if kind != "reminder")


def test_a_firing_costs_one_read_one_write_and_one_publish(life: Counts) -> None:
    assert [each(life["firing"], "reads") <= 1, each(life["firing"], "writes") <= 1] == [True, True]
    assert each(life["firing"], "publishes") <= 1
    assert "API calls" not in life["firing"]


def test_a_signer_costs_at_most_three_tasks_made_and_three_called_off(life: Counts, signers: int) -> None:
    assert life["event"]["tasks created"] <= 3 * signers
    assert life["event"].get("tasks deleted", 0) <= 3 * signers


def test_all_rechecks_together_repeat_a_task_at_most_once(life: Counts, signers: int) -> None:
    assert life["recheck"].get("tasks created", 0) <= 3 * signers


def test_a_recheck_costs_one_read_one_write_one_api_call_and_a_list_of_the_notices(life: Counts) -> None:
    assert [each(life["recheck"], what) for what in ("reads", "writes", "API calls")] == [1, 1, 1]
    notices = sum(life[kind]["times"] for kind in NOTICES if kind in life)
    assert each(life["recheck"], "listed") <= 1 + notices  # the query for what is due, and those of this request


def test_an_opened_link_costs_at_most_one_write_and_no_api_call(life: Counts) -> None:
    opened = life["opened link"]
    assert each(opened, "reads") == 1
    assert each(opened, "writes") <= 1
    assert "API calls" not in opened


def test_rechecks_grow_rarer_as_a_request_ages(life: Counts, signers: int) -> None:
    """A silent fortnight needs 10; each event brings them back to twenty minutes at first."""
    assert life["recheck"]["times"] <= 10 + 4 * signers


def test_a_life_stays_within_its_budget_of_api_calls(life: Counts, signers: int) -> None:
    calls = sum(counts.get("API calls", 0) for counts in life.values())
    assert calls <= {1: 17, 2: 25, 5: 50}[signers]
