"""gcloud and terraform with a memory, in this process: bucket, service agents, secrets, revisions, traffic, releases,
and the resources of Terraform's state, which are made and deleted one by one.

It refuses what it does not know, and can be interrupted before and after each change.
"""

import json
import subprocess
import threading
from collections.abc import Callable, Sequence
from typing import Any

NAMES = ("receive", "links")
TOKENS = "clickwrap-webhook-tokens"
DATABASE = "google_firestore_database.relay"  # protected from deletion until an apply lifts that
RESOURCES = (DATABASE, "google_pubsub_topic.relay")
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
        self.secrets: dict[str, str] | None = None  # secret -> its newest value; None: each has one
        self.reads: dict[str, str] = {}  # function -> the tokens that its instances have read
        self.resources: list[str] = []
        self.protected = True
        self.releases = [release(BAD), release(GOOD), release(3)]

    def run(self, command: Sequence[str], environ: object, **streams: Any) -> "subprocess.CompletedProcess[str]":
        words = [word for word in command if not word.startswith("--")]
        flags = dict(word[2:].partition("=")[::2] for word in command if word.startswith("--"))
        with self.lock:
            out, error = self.answer(" ".join(words), words, flags, streams.get("input") or "")
        return subprocess.CompletedProcess(command, int(bool(error)), out, error)

    def answer(self, line: str, words: list[str], flags: dict[str, str], text: str) -> tuple[str, str]:
        name = words[4] if len(words) > 4 else ""
        for begins, read in READS.items():
            if line.startswith(begins):
                return read(self, name, flags)
        if line.startswith("gcloud storage buckets create") and self.bucket:
            return "", "ERROR: HTTPError 409: Your previous request to create the bucket succeeded."
        if words[2] in ("apply", "destroy"):
            return "", self.by_terraform(words[2], aimed=any(word.startswith("-target") for word in words))
        self.interrupted()
        self.change(line, words, flags, text)
        self.interrupted()
        return "", ""

    def has_value(self, name: str) -> tuple[str, str]:
        return ("enabled" if self.secrets is None or name in self.secrets else ""), ""

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
        elif line.startswith("gcloud functions delete"):
            self.traffic.pop(words[3], None)
        elif line.startswith("gcloud run services update-traffic"):
            self.shifted(name, flags)
        elif line.startswith("gcloud secrets versions add"):
            self.secrets = {**(self.secrets or {}), name: text}
        elif line.startswith("gcloud storage cp"):
            self.releases = json.loads(text)
        else:
            self.prepared(line, flags)

    def shifted(self, name: str, flags: dict[str, str]) -> None:
        self.newest[name] = "to-latest" in flags
        shares = f"{name}-{self.revisions[name]}=100" if self.newest[name] else flags["to-revisions"]
        self.traffic[name] = {r: int(p) for r, _, p in (share.partition("=") for share in shares.split(","))}
        self.tags.pop(name, None)
        if tag := flags.get("update-tags"):
            self.tags[name] = tag.removeprefix("canary=")

    def prepared(self, line: str, flags: dict[str, str]) -> None:
        if line.startswith("gcloud storage buckets"):
            self.bucket |= {flag: value for flag, value in flags.items() if flag not in ("location", "project")}
        elif line.startswith("gcloud beta services identity create"):
            self.agents.add(flags["service"])
        else:
            assert line.startswith(("gcloud services enable", "gcloud run services add-iam-policy-binding")), line

    def by_terraform(self, verb: str, *, aimed: bool) -> str:
        """Returns the error."""
        if aimed:
            self.protected = False
            self.interrupted()
            return ""
        if verb == "destroy" and self.protected and DATABASE in self.resources:
            return "Error: delete protection is enabled"
        for name in RESOURCES:
            self.interrupted()
            self.resources = [other for other in self.resources if other != name] + [name] * (verb == "apply")
        self.interrupted()
        return ""

    def deployed(self, name: str, *, at_once: bool) -> None:
        self.reads[name] = (self.secrets or {}).get(TOKENS, "")
        self.revisions[name] = self.revisions.get(name, 0) + 1
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
        of_tokens = {"tokens": len((self.secrets or {}).get(TOKENS, "").split(",")), "secrets": {*(self.secrets or {})}}
        current = all(read == (self.secrets or {}).get(TOKENS, "") for read in self.reads.values())
        kept = {"bucket": self.bucket, "agents": self.agents, "releases": releases}
        return {
            "traffic": traffic,
            "tags": self.tags,
            "resources": self.resources,
            "current": current,
            **of_tokens,
            **kept,
        }


# What changes nothing: how a command begins -> its output and its error.
READS: dict[str, Callable[[Cloud, str, dict[str, str]], tuple[str, str]]] = {
    "gcloud run services describe": lambda cloud, name, flags: cloud.described(name, flags["format"]),
    "gcloud storage cat": lambda cloud, *_: (json.dumps(cloud.releases), ""),
    "gcloud logging read": lambda cloud, *_: (cloud.logged, ""),
    "gcloud storage buckets describe": lambda *_: ("4711", ""),
    "gcloud projects describe": lambda *_: ("4711", ""),
    "gcloud secrets versions list": lambda cloud, name, _: cloud.has_value(name),
    "gcloud secrets versions access": lambda cloud, _, flags: ((cloud.secrets or {}).get(flags["secret"], ""), ""),
    "gcloud config": lambda *_: ("", ""),
    "terraform -chdir=infra state list": lambda cloud, *_: ("\n".join(cloud.resources), ""),
    **{f"terraform -chdir=infra {verb}": lambda *_: ("", "") for verb in ("init", "output", "plan", "state pull")},
}

Command = Callable[[], int | None]
Runner = Callable[[Command, Cloud], int | None]
