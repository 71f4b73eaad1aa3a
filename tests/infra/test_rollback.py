"""Going back without a build, and new revisions that answer only a part of the calls at first."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from infra.ops import canary, config, deploy, revisions, rollback, smoke
from infra.ops.function_table import written
from infra.ops.shell import Stop
from infra.ops.smoke import Run
from tests.infra import cloud as small
from tests.infra.cloud import BAD, GOOD, Cloud, Runner
from tests.infra.tools import Tools

NAMES = [function.name for function in written()]


class Refusing(Cloud):
    """A cloud that refuses a command with these words."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self.words = words

    def answer(self, line: str, *rest: Any) -> tuple[str, str]:
        return ("", "ERROR: 503") if self.words in line else super().answer(line, *rest)


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


def test_while_a_canary_answers_a_part_the_release_before_it_answers_everything_again(run: Runner) -> None:
    """Its terminal may be gone. One release further back would take down what did well."""
    cloud, tried = Cloud(), small.release(BAD + 1)
    for share in (10, 60):
        cloud.traffic = {name: {f"{name}-{BAD}": 100 - share, tried[name]: share} for name in small.NAMES}
        run(rollback.rollback, cloud)
        assert cloud.traffic == ONLY_BEFORE
    run(rollback.rollback, cloud)
    assert cloud.traffic == {name: {f"{name}-{GOOD}": 100} for name in small.NAMES}


def test_what_cannot_be_shifted_does_not_keep_the_others_and_leads_to_another_try(
    run: Runner, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud = Refusing("update-traffic receive")
    assert run(rollback.rollback, cloud) == 1
    assert cloud.traffic["links"] == {f"links-{GOOD}": 100}
    assert "run `make rollback` again" in capsys.readouterr().out
    cloud.words = "nothing"
    run(rollback.rollback, cloud)
    assert cloud.traffic == {name: {f"{name}-{GOOD}": 100} for name in small.NAMES}


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


class Tries:
    """Stands in for `report`: its exit statuses one after the other, and what the checks were given."""

    def __init__(self, *statuses: int) -> None:
        self.statuses, self.runs = [*statuses], list[Run]()

    def report(self, checks: list[tuple[str, Any]]) -> int:
        self.runs.append(checks[0][1].args[-1])
        return self.statuses.pop(0)


@pytest.fixture
def tried(run: Runner, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int | None, Cloud, Tries]]:
    """A deployment with CANARY, whose checks end as told and whose new revisions log an error or none."""

    def deployed(*statuses: int, share: int = 10, logged: str = "") -> tuple[int | None, Cloud, Tries]:
        monkeypatch.setenv("CANARY", str(share))
        tries, cloud = Tries(*statuses), Cloud()
        monkeypatch.setattr(smoke, "report", tries.report)
        cloud.logged = logged
        return run(deploy.deploy, cloud), cloud, tries

    return deployed


NEW = small.release(BAD + 1)
ONLY_BEFORE = {name: {f"{name}-{BAD}": 100} for name in small.NAMES}


def test_a_canary_that_does_well_answers_everything_and_is_a_release(
    tried: Callable[..., tuple[int, Cloud, Tries]], run: Runner
) -> None:
    status, cloud, _ = tried(0, 0)
    assert status == 0
    assert cloud.traffic == {name: {NEW[name]: 100} for name in NEW}
    assert cloud.releases[0] == NEW
    cloud.releases.insert(0, later := small.release(BAD + 2))
    for name in later:
        cloud.traffic[name] = {later[name]: 100}
    run(rollback.rollback, cloud)
    assert cloud.traffic == {name: {NEW[name]: 100} for name in NEW}, "the next rollback goes to it"


@pytest.mark.parametrize("share", [10, 60])
@pytest.mark.parametrize(
    ("statuses", "logged"),
    [([1], ""), ([0], "links-8"), ([0, 1], "")],
    ids=["a check fails", "it logs an error", "a check fails once it answers everything"],
)
def test_a_canary_that_does_badly_answers_nothing_and_no_rollback_goes_to_it(
    tried: Callable[..., tuple[int, Cloud, Tries]], run: Runner, statuses: list[int], logged: str, share: int
) -> None:
    status, cloud, tries = tried(*statuses, share=share, logged=logged)
    assert (status, tries.statuses) == (1, [])
    assert cloud.traffic == ONLY_BEFORE
    assert cloud.tags == {}
    assert NEW not in cloud.releases
    run(rollback.rollback, cloud)
    assert cloud.traffic == {name: {f"{name}-{GOOD}": 100} for name in small.NAMES}


def test_a_canary_is_called_at_its_own_url_first_and_its_answers_count_in_the_end(
    tried: Callable[..., tuple[int, Cloud, Tries]],
) -> None:
    _, _, tries = tried(0, 0)
    assert [run.url("links") for run in tries.runs] == ["https://canary---links.example", config.url("links")]
    assert [run.revisions for run in tries.runs] == [{}, NEW]


def test_a_canary_of_which_nothing_can_be_found_out_goes_back_too(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", "10")
    cloud = Refusing("gcloud logging")
    assert run(deploy.deploy, cloud) == 1
    assert cloud.traffic == ONLY_BEFORE


def test_a_canary_whose_deployment_fails_leaves_the_traffic_where_it_was(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", "10")
    cloud = Refusing("gcloud functions deploy")
    assert run(deploy.deploy, cloud) == 1
    assert cloud.traffic == ONLY_BEFORE
    assert not any(cloud.newest.values())


def test_a_canary_that_cannot_go_back_everywhere_goes_back_where_it_can_and_says_what_to_do(
    run: Runner, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CANARY", "10")
    cloud = Refusing("nothing")
    monkeypatch.setattr(smoke, "report", lambda checks: setattr(cloud, "words", "update-traffic receive") or 1)
    assert run(deploy.deploy, cloud) == 1
    assert cloud.traffic["links"] == ONLY_BEFORE["links"]
    assert "run `make rollback`" in capsys.readouterr().out


def test_a_canary_stopped_by_hand_says_what_answers_now(
    run: Runner, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("CANARY", "10")
    monkeypatch.setattr(canary.time, "sleep", stopped)
    cloud = Cloud()
    with pytest.raises(KeyboardInterrupt):
        run(deploy.deploy, cloud)
    assert cloud.traffic["links"] == {f"links-{BAD}": 90, f"links-{BAD + 1}": 10}
    assert "`make rollback` lets the earlier revisions answer everything" in capsys.readouterr().out


def test_a_deployment_as_a_canary_leaves_the_traffic_to_the_canary(
    here: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", "10")
    monkeypatch.setenv("FUNCTIONS", "links")
    here.with_secrets()
    here.answer("services describe links", error="ERROR: Cannot find service [links]\n", status=1)
    assert deploy.deploy() == 0, "a first deployment has nothing to hold"
    (asked,) = here.asked("functions deploy links")
    assert "--serve-all-traffic-latest-revision" not in asked.command
    assert shifts(here) == {}


@pytest.mark.parametrize("value", ["0", "100", "ten", "-1"])
def test_a_part_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CANARY", value)
    with pytest.raises(Stop, match="CANARY must be a whole number from 1 to 99"):
        canary.percent()
