"""gcloud with a memory, in this process: bucket, service agents, revisions, traffic, releases.

It refuses what it does not know, and can be interrupted before and after each change.
"""

import json
import subprocess
import threading
from collections.abc import Callable, Sequence
from typing import Any

NAMES = ("receive", "links")
GOOD, BAD = 5, 7  # the numbers of revisions: the release to go back to, and what answers now


def release(number: int) -> dict[str, str]:
    return {name: f"{name}-{number}" for name in NAMES}


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
        self.tags: dict[str, str] = {}  # function -> the revision that has a URL of its own
        self.logged = ""  # the revision that logs errors
        self.releases = [release(BAD), release(GOOD), release(3)]

    def run(self, command: Sequence[str], environ: object, **streams: Any) -> "subprocess.CompletedProcess[str]":
        words = [word for word in command if not word.startswith("--")]
        flags = dict(word[2:].partition("=")[::2] for word in command if word.startswith("--"))
        with self.lock:
            out, error = self.answer(" ".join(words), words, flags, streams.get("input") or "")
        return subprocess.CompletedProcess(command, int(bool(error)), out, error)

    def answer(self, line: str, words: list[str], flags: dict[str, str], text: str) -> tuple[str, str]:
        name = words[4] if len(words) > 4 else ""
        if line.startswith("gcloud run services describe"):
            return self.described(name, flags["format"])
        if line.startswith("gcloud storage cat"):
            return json.dumps(self.releases), ""
        if line.startswith("gcloud logging read"):
            return self.logged, ""
        if line.startswith(("gcloud storage buckets describe", "gcloud projects describe")):
            return "4711", ""
        if line.startswith(("gcloud secrets versions list", "gcloud config", "terraform")):
            return ("1" if "secrets" in line else ""), ""
        if line.startswith("gcloud storage buckets create") and self.bucket:
            return "", "ERROR: HTTPError 409: Your previous request to create the bucket succeeded."
        self.interrupted()
        self.change(line, words, flags, text)
        self.interrupted()
        return "", ""

    def described(self, name: str, wanted: str) -> tuple[str, str]:
        if name not in NAMES:
            return "", f"ERROR: Cannot find service [{name}]"
        if "latestReady" in wanted:
            return f"{name}-{self.revisions[name]}", ""
        parts: list[dict[str, Any]] = [{"revisionName": r, "percent": p} for r, p in self.traffic[name].items()]
        if tagged := self.tags.get(name):
            parts.append({"revisionName": tagged, "tag": "canary", "url": f"https://canary---{name}.example"})
        return json.dumps({"status": {"traffic": parts}}), ""

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
            self.tags.pop(name, None)
            if tag := flags.get("update-tags"):
                self.tags[name] = tag.removeprefix("canary=")
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
        known = [newest, release(BAD), release(GOOD), release(3)]
        releases = ["newest" if kept == newest else kept for kept in self.releases if kept in known]
        traffic = {
            name: {("newest" if revision == newest[name] and self.newest[name] else revision): part}
            for name, parts in self.traffic.items()
            for revision, part in parts.items()
        }
        kept = {"bucket": self.bucket, "agents": self.agents, "releases": releases}
        return {"traffic": traffic, "tags": self.tags, **kept}


Command = Callable[[], int | None]
Runner = Callable[[Command, Cloud], int | None]
