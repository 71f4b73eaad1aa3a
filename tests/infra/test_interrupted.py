"""Every command that changes something, interrupted at any change and run again, ends as if it had not been."""

from typing import Any

import pytest

from infra.ops import bootstrap, deploy, destroy, infra, rollback, rotate, secrets
from tests.infra.cloud import BAD, GOOD, NAMES, RESOURCES, TOKENS, Cloud, Command, Interrupted, Runner

ANSWERS_NOW = {name: {"newest": 100} for name in NAMES}
COMMANDS: dict[str, tuple[Command, str, dict[str, Any]]] = {
    "bootstrap": (bootstrap.bootstrap, "", {}),
    "deploy": (deploy.deploy, "", {"traffic": ANSWERS_NOW}),
    "canary": (deploy.deploy, "10", {"traffic": ANSWERS_NOW, "tags": {}}),
    "infra": (infra.apply, "", {"resources": [*RESOURCES]}),
    "secrets": (secrets.ask_for_all, "", {}),
    "rotate-token": (rotate.rotate, "", {"tokens": 2, "current": True}),
    "destroy": (destroy.destroy, "", {"traffic": {}, "resources": []}),
    "rollback": (rollback.rollback, "", {"traffic": {name: {f"{name}-{GOOD}": 100} for name in NAMES}}),
}


@pytest.fixture(autouse=True)
def operator(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Confirms what FORCE does, types each secret, and does not say that Clickwrap sends the new token."""
    monkeypatch.setenv("FORCE", "1")
    monkeypatch.setenv("ALERT_EMAILS", "a@example.com")
    monkeypatch.setattr(secrets, "_typed", lambda prompt: "typed" * 7)
    monkeypatch.setattr("builtins.input", lambda prompt: "no")


def before(name: str) -> Cloud:
    cloud = Cloud()
    if name in ("secrets", "rotate-token"):
        cloud.secrets = {TOKENS: "old"} | ({"clickwrap-api-token": "t"} if name == "rotate-token" else {})
    if name == "destroy":
        cloud.resources = [*RESOURCES]
    return cloud


@pytest.mark.parametrize("name", COMMANDS)
def test_run_again_after_an_interruption_anywhere_it_ends_as_if_there_had_been_none(
    run: Runner, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    command, share, wanted = COMMANDS[name]
    monkeypatch.setenv("CANARY", share)
    whole = before(name)
    run(command, whole)
    assert whole.state() | wanted == whole.state()
    for point in range(whole.point):
        cloud = before(name)
        cloud.stop_at = point
        with pytest.raises(Interrupted):
            run(command, cloud)
        cloud.stop_at = None
        if name == "rollback" and cloud.state() == whole.state():
            continue  # it was over, and another goes further back
        run(command, cloud)
        assert cloud.state() == whole.state(), f"interrupted at {point} of {whole.point}"


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"rollback"}))
def test_run_twice_it_changes_nothing_more(run: Runner, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    command, share, _ = COMMANDS[name]
    monkeypatch.setenv("CANARY", share)
    cloud = before(name)
    run(command, cloud)
    after_one = cloud.state()
    run(command, cloud)
    assert cloud.state() == after_one


def test_after_an_interrupted_canary_the_earlier_revisions_answer_at_least_nine_tenths(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the moment in which all new ones are let answer."""
    monkeypatch.setenv("CANARY", "10")
    whole = Cloud()
    run(deploy.deploy, whole)
    for point in range(whole.point - 2 * len(NAMES) - 2):  # each change of traffic, and the list of releases
        cloud = Cloud()
        cloud.stop_at = point
        with pytest.raises(Interrupted):
            run(deploy.deploy, cloud)
        assert all(cloud.traffic[name][f"{name}-{BAD}"] >= 90 for name in NAMES), point
