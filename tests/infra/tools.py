"""Stand-ins for gcloud and terraform on PATH: they keep what they are asked, and answer as told."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from infra.ops import bundle, terraform

ROOT = Path(__file__).parents[2]
SCRIPT = """#!{python} -S
import json, os, pathlib, sys
folder = pathlib.Path({folder!r})
line = " ".join([{tool!r}, *sys.argv[1:]])
text = sys.stdin.read() if {{"--data-file=-", "-"}} & set(sys.argv) else ""
variables = {{k: v for k, v in os.environ.items() if k.startswith(("TF_VAR_", "USER_PROJECT", "GOOGLE_BILLING"))}}
with open(folder / "asked.jsonl", "a") as asked:
    asked.write(json.dumps({{"command": [{tool!r}, *sys.argv[1:]], "text": text, "variables": variables}}) + "\\n")
for words, out, error, status in json.loads((folder / "answers.json").read_text()):
    if words in line:
        sys.stdout.write(out)
        sys.stderr.write(error)
        sys.exit(status)
"""


@dataclass(frozen=True)
class Asked:
    command: list[str]
    text: str
    variables: dict[str, str]

    def line(self) -> str:
        return " ".join(self.command)


@dataclass
class Tools:
    """The first answer whose words stand in a command is given; without one, nothing and success."""

    folder: Path
    answers: list[tuple[str, str, str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "bin").mkdir(parents=True)
        for tool in ("gcloud", "terraform"):
            path = self.folder / "bin" / tool
            path.write_text(SCRIPT.format(python=sys.executable, folder=str(self.folder), tool=tool))
            path.chmod(0o755)
        self.answer("output -json", "{}")
        self.relay_env("")

    def answer(self, words: str, out: str = "", error: str = "", status: int = 0) -> None:
        self.answers.insert(0, (words, out, error, status))
        (self.folder / "answers.json").write_text(json.dumps(self.answers))

    def with_secrets(self) -> None:
        """Every secret has a value."""
        self.answer("secrets versions list", out="enabled\n")

    def without(self, tool: str) -> None:
        (self.folder / "bin" / tool).unlink()

    def asked(self, words: str = "") -> list[Asked]:
        log = self.folder / "asked.jsonl"
        lines = log.read_text().splitlines() if log.exists() else []
        return [asked for asked in (Asked(**json.loads(line)) for line in lines) if words in asked.line()]

    def environ(self, **settings: str) -> dict[str, str]:
        """No other gcloud can be reached: PATH holds these alone."""
        names = ("HOME", "LANG", "COVERAGE_PROCESS_START")
        kept = {name: os.environ[name] for name in names if name in os.environ}
        place = {"PROJECT": "demo-project", "REGION": "us-central1", "RELAY_ENV": str(self.folder / "relay.env")}
        return kept | place | settings | {"PATH": str(self.folder / "bin")}

    def run(self, module: str, stdin: str = "", **settings: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", *f"infra.ops.{module}".split()],
            cwd=ROOT,
            env=self.environ(**settings),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=100,
        )

    def relay_env(self, text: str) -> None:
        (self.folder / "relay.env").write_text(text)


def around(tools: Tools, dist: Path, patch: pytest.MonkeyPatch) -> None:
    """The stand-ins around this very process, and bundles in a folder of their own."""
    for name, value in tools.environ().items():
        patch.setenv(name, value)
    for name in ("DRY_RUN", "FORCE", "FUNCTIONS", "OPERATORS", "ALERT_EMAILS"):
        patch.delenv(name, raising=False)
    patch.setattr(bundle, "DIST", dist)
    terraform.outputs.cache_clear()
