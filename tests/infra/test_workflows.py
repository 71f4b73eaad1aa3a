"""The workflows say what their comments promise, and name only what is here."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.ops.function_table import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def loaded(path: Path) -> dict[Any, Any]:
    return yaml.safe_load(path.read_text())


def steps(workflow: dict[Any, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def named(name: str) -> dict[Any, Any]:
    return loaded(ROOT / ".github" / "workflows" / f"{name}.yml")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_is_whole(path: Path) -> None:
    workflow = loaded(path)
    assert {"name", True, "permissions", "concurrency", "jobs"} <= set(workflow)  # YAML reads `on` as true
    for job in workflow["jobs"].values():
        assert "timeout-minutes" in job
        assert all(("run" in step) != ("uses" in step) for step in job["steps"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_command_is_one_that_this_project_has(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for command in (step["run"] for step in steps(loaded(path)) if "run" in step):
        program, *words = command.split()
        if program == "pip":
            assert re.fullmatch(r"install [\w-]+==[\d.]+", " ".join(words))
            continue
        wanted = [word for word in words if "=" not in word]
        assert set(wanted) <= targets if program == "make" else (ROOT / program).exists()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_workflow_holds_or_asks_for_a_key(path: Path) -> None:
    text = path.read_text()
    assert "secrets." not in text
    assert "credentials_json" not in text


def test_only_what_talks_to_google_may_have_an_identity() -> None:
    assert named("test")["permissions"] == {"contents": "read"}
    for name in ("plan", "deploy"):
        assert named(name)["permissions"] == {"contents": "read", "id-token": "write"}
        assert any("workload_identity_provider" in step.get("with", {}) for step in steps(named(name)))


def test_each_runs_when_it_should() -> None:
    assert set(named("test")[True]) == {"push", "pull_request"}
    assert set(named("plan")[True]) == {"pull_request"}
    assert named("deploy")[True] == {"push": {"tags": ["v*.*.*"]}}


def test_a_pull_request_from_a_fork_is_not_planned() -> None:
    assert "head.repo.full_name == github.repository" in named("plan")["jobs"]["plan"]["if"]


def test_every_action_is_named_by_the_hash_of_its_content() -> None:
    used = [step["uses"] for path in WORKFLOWS for step in steps(loaded(path)) if "uses" in step]
    assert used
    assert [name for name in used if not re.search(r"@[0-9a-f]{40}$", name)] == []


def test_what_is_applied_is_the_plan_that_was_reviewed() -> None:
    jobs = named("deploy")["jobs"]
    assert (jobs["plan"]["environment"], jobs["deploy"]["environment"]) == ("plan", "production")
    assert jobs["deploy"]["needs"] == "plan"
    commands = {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in jobs.items()}
    assert commands["plan"] == ["make plan PLAN=reviewed.tfplan"]
    assert "make infra PLAN=reviewed.tfplan" in commands["deploy"]
    assert "FORCE" not in str(commands)


@pytest.mark.parametrize("name", ["plan", "deploy"])
def test_an_identity_is_given_only_in_an_environment_that_terraform_trusts(name: str) -> None:
    trusted = set(re.findall(r'environment = "(\w+)"', (ROOT / "infra/github.tf").read_text()))
    assert {job["environment"] for job in named(name)["jobs"].values()} <= trusted == {"plan", "production"}


def test_a_plan_deploys_nothing() -> None:
    commands = [step["run"] for step in steps(named("plan")) if "run" in step]
    assert commands == ["make plan", "make deploy DRY_RUN=1"]
