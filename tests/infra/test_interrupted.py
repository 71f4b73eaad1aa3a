"""Bootstrap, deployment, canary and rollback, interrupted at any change and run again, end as if they had not been.

`Cloud` is gcloud with a memory: bucket, service agents, revisions, traffic, releases.
It refuses what it does not know.
"""

import json
import subprocess
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from infra.ops import bootstrap, bundle, canary, deploy, rollback, shell, smoke
from tests.infra.tools import Tools

NAMES = ("receive", "links")
GOOD, BAD = 5, 7  # the numbers of revisions: the release to go back to, and what answers now
Command = Callable[[], int | None]


class Interrupted(BaseException):
    """Ctrl-C, or the end of the connection."""


class Cloud:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.stop_at: int | None = None  # the point at which it is interrupted: two for each change
        self.point = 0
        self.bucket: dict[str, Any] = {}
        self.agents: set[str] = set()
        self.revisions = dict.fromkeys(NAMES, BAD)
        self.traffic = {name: {f"{name}-{BAD}": 100} for name in NAMES}
        self.newest = dict.fromkeys(NAMES, False)  # whether each new revision answers at once
        self.releases = [{name: f"{name}-{n}" for name in NAMES} for n in (BAD, GOOD, 3)]

    def run(self, command: Sequence[str], environ: object, **streams: Any) -> "subprocess.CompletedProcess[str]":
        words = [word for word in command if not word.startswith("--")]
        flags = dict(word[2:].partition("=")[::2] for word in command if word.startswith("--"))
        with self.lock:
            out, error = self.answer(" ".join(words), words, flags, streams.get("input") or "")
        return subprocess.CompletedProcess(command, int(bool(error)), out, error)

    def answer(self, line: str, words: list[str], flags: dict[str, str], text: str) -> tuple[str, str]:
        name = words[4] if len(words) > 4 else ""
        if line.startswith("gcloud run services describe"):
            parts = [{"revisionName": r, "percent": p} for r, p in self.traffic[name].items()]
            newest = f"{name}-{self.revisions[name]}"
            return newest if "latestReady" in flags["format"] else json.dumps({"status": {"traffic": parts}}), ""
        if line.startswith("gcloud storage cat"):
            return json.dumps(self.releases), ""
        if line.startswith(("gcloud secrets versions list", "gcloud logging read", "gcloud config", "terraform")):
            return ("1" if "secrets" in line else ""), ""
        if line.startswith("gcloud storage buckets create") and self.bucket:
            return "", "ERROR: HTTPError 409: Your previous request to create the bucket succeeded."
        self.interrupted()
        self.change(line, words, flags, text)
        self.interrupted()
        return "", ""

    def interrupted(self) -> None:
        self.point += 1
        if self.point - 1 == self.stop_at:
            raise Interrupted

    def change(self, line: str, words: list[str], flags: dict[str, str], text: str) -> None:
        name = words[4] if len(words) > 4 else ""
        if line.startswith("gcloud functions deploy"):
            self.deployed(words[3], at_once="serve-all-traffic-latest-revision" in flags)
        elif line.startswith("gcloud run services update-traffic"):
            self.newest[name] = "to-latest" in flags
            shares = f"{name}-{self.revisions[name]}=100" if self.newest[name] else flags["to-revisions"]
            self.traffic[name] = {r: int(p) for r, _, p in (share.partition("=") for share in shares.split(","))}
        elif line.startswith("gcloud storage cp"):
            self.releases = json.loads(text)
        elif line.startswith("gcloud storage buckets"):
            self.bucket |= {flag: value for flag, value in flags.items() if flag not in ("location", "project")}
        elif line.startswith("gcloud beta services identity create"):
            self.agents.add(flags["service"])
        else:
            assert line.startswith(("gcloud services enable", "gcloud run services add-iam-policy-binding")), line

    def deployed(self, name: str, *, at_once: bool) -> None:
        self.revisions[name] += 1
        if at_once or self.newest[name]:
            self.newest[name], self.traffic[name] = True, {f"{name}-{self.revisions[name]}": 100}

    def state(self) -> dict[str, Any]:
        """What must be the same in the end. A repeated deployment makes more: "newest" stands for these."""
        newest = {name: f"{name}-{number}" for name, number in self.revisions.items()}
        traffic = {
            name: {("newest" if revision == newest[name] and self.newest[name] else revision): part}
            for name, parts in self.traffic.items()
            for revision, part in parts.items()
        }
        return {"traffic": traffic, "bucket": self.bucket, "agents": self.agents, "releases": self.releases}


@pytest.fixture
def run(here: Tools, monkeypatch: pytest.MonkeyPatch) -> Callable[[Command, Cloud], int | None]:
    monkeypatch.setenv("FUNCTIONS", " ".join(NAMES))
    monkeypatch.setattr(canary.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(smoke, "smoke", lambda: 0)
    monkeypatch.setattr(deploy, "check_start", lambda *_: None)
    monkeypatch.setattr(bundle, "build", lambda f, dist: bundle.Bundle(f.name, "0", dist / f.name, dist / "none.zip"))

    def once(command: Command, cloud: Cloud) -> int | None:
        monkeypatch.setattr(shell, "_run", cloud.run)
        return command()

    return once


ANSWERS_NOW = {name: {"newest": 100} for name in NAMES}
COMMANDS: dict[str, tuple[Command, str, dict[str, Any]]] = {
    "bootstrap": (bootstrap.bootstrap, "", {}),
    "deploy": (deploy.deploy, "", {"traffic": ANSWERS_NOW}),
    "canary": (deploy.deploy, "10", {"traffic": ANSWERS_NOW}),
    "rollback": (rollback.rollback, "", {"traffic": {name: {f"{name}-{GOOD}": 100} for name in NAMES}}),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_run_again_after_an_interruption_anywhere_it_ends_as_if_there_had_been_none(
    run: Callable[[Command, Cloud], int | None], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    command, share, wanted = COMMANDS[name]
    monkeypatch.setenv("CANARY", share)
    whole = Cloud()
    run(command, whole)
    assert whole.state() | wanted == whole.state()
    for point in range(whole.point):
        cloud = Cloud()
        cloud.stop_at = point
        with pytest.raises(Interrupted):
            run(command, cloud)
        cloud.stop_at = None
        if name == "rollback" and cloud.state() == whole.state():
            continue  # it was over, and another goes further back
        run(command, cloud)
        assert cloud.state() == whole.state(), f"interrupted at {point} of {whole.point}"


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"rollback"}))
def test_run_twice_it_changes_nothing_more(
    run: Callable[[Command, Cloud], int | None], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    command, share, _ = COMMANDS[name]
    monkeypatch.setenv("CANARY", share)
    cloud = Cloud()
    run(command, cloud)
    before = cloud.state()
    run(command, cloud)
    assert cloud.state() == before


def test_after_an_interrupted_canary_the_earlier_revisions_answer_at_least_nine_tenths(
    run: Callable[[Command, Cloud], int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the moment in which all new ones are let answer."""
    monkeypatch.setenv("CANARY", "10")
    whole = Cloud()
    run(deploy.deploy, whole)
    for point in range(whole.point - 2 * len(NAMES)):
        cloud = Cloud()
        cloud.stop_at = point
        with pytest.raises(Interrupted):
            run(deploy.deploy, cloud)
        assert all(cloud.traffic[name][f"{name}-{BAD}"] >= 90 for name in NAMES), point
