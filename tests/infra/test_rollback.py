"""Going back without a build, and new revisions that answer only a part of the calls at first."""

import json
from collections.abc import Callable

import pytest

from infra.ops import canary, deploy, revisions, smoke
from infra.ops.function_table import written
from infra.ops.shell import Stop
from tests.infra.tools import Tools

NAMES = [function.name for function in written()]


def serves(tools: Tools, number: int, names: list[str] = NAMES) -> None:
    for name in names:
        traffic = [{"revisionName": f"{name}-{number:05}", "percent": 100}]
        tools.answer(f"services describe {name}", out=json.dumps({"status": {"traffic": traffic}}))


def release(number: int) -> dict[str, str]:
    return {name: f"{name}-{number:05}" for name in NAMES}


def shifts(tools: Tools) -> dict[str, list[str]]:
    """What each function's traffic was set to, in order."""
    found: dict[str, list[str]] = {}
    for asked in tools.asked("services update-traffic"):
        (flag,) = [word for word in asked.command if word.startswith("--to-")]
        found.setdefault(asked.command[4], []).append(flag)
    return found


# -- rollback


def test_the_last_release_that_passed_answers_again_and_nothing_is_built(tools: Tools) -> None:
    serves(tools, 7)
    tools.answer(
        "storage cat gs://demo-project-relay-state/relay/demo-project/releases.json",
        out=json.dumps([release(6), release(3)]),
    )
    done = tools.run("rollback")
    assert done.returncode == 0, done.stderr
    assert shifts(tools) == {name: [f"--to-revisions={name}-00006=100"] for name in NAMES}
    assert not tools.asked("functions deploy")
    assert "links: links-00006 answers again, links-00007 does not" in done.stdout


def test_what_answers_now_is_passed_over_and_the_next_rollback_goes_further_back(tools: Tools) -> None:
    serves(tools, 7)
    tools.answer("storage cat", out=json.dumps([release(7), release(6), release(3)]))
    assert tools.run("rollback", FUNCTIONS="links").returncode == 0
    assert shifts(tools) == {"links": ["--to-revisions=links-00006=100"]}
    (kept,) = tools.asked("storage cp -")
    assert json.loads(kept.text) == [release(6), release(3)]


def test_without_an_earlier_release_nothing_is_shifted(tools: Tools) -> None:
    serves(tools, 7)
    tools.answer("storage cat", error="ERROR: The following URLs matched no objects or files\n", status=1)
    done = tools.run("rollback")
    assert done.stderr.startswith("no earlier release passed `make smoke`")
    assert not tools.asked("update-traffic")


def test_a_smoke_that_passes_is_remembered_once(here: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke, "report", lambda checks: 0)
    serves(here, 7)
    here.answer("storage cat", out=json.dumps([release(6), release(7)]))
    assert smoke.smoke() == 0
    (kept,) = here.asked("storage cp -")
    assert json.loads(kept.text) == [release(7), release(6)]


def test_a_smoke_that_fails_is_not(here: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke, "report", lambda checks: 1)
    assert smoke.smoke() == 1
    assert not here.asked("storage cp")


def test_only_so_many_releases_are_kept(here: Tools) -> None:
    revisions.keep([release(n) for n in range(20)])
    (kept,) = here.asked("storage cp -")
    assert len(json.loads(kept.text)) == revisions.KEPT


# -- canary


@pytest.fixture
def tried(here: Tools, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, str], int]:
    """A deployment of `links` with CANARY=10, whose smoke and whose revisions' log are as told."""
    monkeypatch.setenv("CANARY", "10")
    monkeypatch.setenv("FUNCTIONS", "links")
    monkeypatch.setattr(canary.time, "sleep", lambda seconds: None)
    here.with_secrets()
    serves(here, 7)
    here.answer("latestReadyRevisionName", out="links-00008\n")

    def deployed(smoke_status: int, logged: str) -> int:
        monkeypatch.setattr(smoke, "smoke", lambda: smoke_status)
        here.answer("logging read", out=logged)
        return deploy.deploy()

    return deployed


BEFORE = ["--to-revisions=links-00007=100", "--to-revisions=links-00008=10,links-00007=90"]


def test_a_canary_that_does_well_answers_everything(here: Tools, tried: Callable[[int, str], int]) -> None:
    assert tried(0, "") == 0
    assert shifts(here) == {"links": [*BEFORE, "--to-latest"]}
    (asked,) = here.asked("functions deploy links")
    assert "--serve-all-traffic-latest-revision" not in asked.command
    (watched,) = here.asked("logging read")
    assert 'revision_name=("links-00008")' in watched.line()


@pytest.mark.parametrize(("status", "logged"), [(1, ""), (0, "links-00008\n")], ids=["smoke fails", "it logs an error"])
def test_a_canary_that_does_badly_answers_nothing(
    here: Tools, tried: Callable[[int, str], int], status: int, logged: str
) -> None:
    assert tried(status, logged) == 1
    assert shifts(here) == {"links": [*BEFORE, "--to-revisions=links-00007=100"]}


def test_a_canary_whose_deployment_fails_leaves_the_traffic_where_it_was(
    here: Tools, tried: Callable[[int, str], int]
) -> None:
    here.answer("functions deploy links", error="ERROR: quota\n", status=1)
    assert tried(0, "") == 1
    assert shifts(here) == {"links": BEFORE[:1]}


def test_a_first_deployment_has_nothing_to_hold(here: Tools, tried: Callable[[int, str], int]) -> None:
    here.answer(
        "services describe links", error="ERROR: (gcloud.run.services.describe) Cannot find service [links]\n", status=1
    )
    assert tried(0, "") == 0
    assert shifts(here) == {}


@pytest.mark.parametrize("value", ["0", "100", "ten", "-1"])
def test_a_part_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CANARY", value)
    with pytest.raises(Stop, match="CANARY must be a whole number from 1 to 99"):
        canary.percent()
