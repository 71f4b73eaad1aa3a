"""The targets reach their modules, and docs/deploy.md can be followed word by word."""

import re
import subprocess

import pytest

from infra.ops import shell
from infra.ops.function_table import ROOT
from tests.infra.tools import Tools

COMMANDS = {path.stem for path in (ROOT / "infra" / "ops").glob("*.py") if '__name__ == "__main__"' in path.read_text()}


def make(tools: Tools, *words: str) -> "subprocess.CompletedProcess[str]":
    environ = tools.environ()
    for name in ("PROJECT", "REGION"):
        environ.pop(name)
    environ["PATH"] += ":/usr/local/bin:/usr/bin:/bin"
    return subprocess.run(["make", *words], cwd=ROOT, env=environ, capture_output=True, text=True)


def test_every_command_has_a_target() -> None:
    reached = set(re.findall(r"(?:\$\(CLOUD\)\.|infra/ops/)(\w+)", (ROOT / "Makefile").read_text()))
    assert reached == COMMANDS


def test_help_lists_them(tools: Tools) -> None:
    said = make(tools, "help").stdout
    for target in ("infra", "bundle", "bundle-check", "deploy", "secrets", "smoke", "url", "logs", "console", "doctor"):
        assert re.search(rf"^  make {target} +\S", said, re.MULTILINE)


GUIDE = (ROOT / "docs" / "deploy.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
LINES = [line.split("#")[0].split() for block in BLOCKS for line in block.splitlines() if line.startswith("make ")]
NAMED = ("rollback", "smoke", "doctor", "destroy", "logs", "deploy CANARY=10", "deploy FUNCTIONS=console")


@pytest.mark.parametrize("command", [*dict.fromkeys(" ".join(line[1:]) for line in LINES), *NAMED])
def test_the_guide_can_be_followed_with_its_own_settings_and_a_dry_run_changes_nothing(
    tools: Tools, command: str
) -> None:
    """Each command of its blocks in order, then those that its text names."""
    assert f"make {command}" in GUIDE
    tools.relay_env(next(block for block in BLOCKS if block.startswith("PROJECT=")))
    done = make(tools, *command.split(), "DRY_RUN=1")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^(TF_\S+ )*(gcloud|terraform) ", done.stdout, re.MULTILINE)
    assert not [asked for asked in tools.asked() if "output" not in asked.command]


def test_what_is_missing_is_one_line(tools: Tools) -> None:
    done = make(tools, "deploy", "DRY_RUN=1")
    assert done.returncode != 0
    first, *rest = done.stderr.splitlines()
    assert first.startswith("PROJECT is not set: add PROJECT=<")
    assert all(line.startswith("make:") for line in rest)


@pytest.mark.parametrize("off", ["0", "no", "false"])
@pytest.mark.parametrize("words", ["forget REQUEST=r1 CONFIRM=", "replay CONFIRM=", "replay DROP=1 ID=1 CONFIRM="])
def test_a_confirmation_that_says_no_is_none(tools: Tools, words: str, off: str) -> None:
    run = make(tools, "-n", *f"{words}{off}".split()).stdout
    assert f"CONFIRM={off}" not in run
    assert not {"--replay", "--drop"} & set(run.split())


def test_what_is_to_be_dropped_is_not_replayed_and_what_is_not_is_not_dropped(tools: Tools) -> None:
    assert "--drop" in make(tools, "-n", "replay", "CONFIRM=1", "DROP=1", "ID=1").stdout.split()
    assert "--replay" in make(tools, "-n", "replay", "CONFIRM=1", "DROP=0", "ID=1").stdout.split()


@pytest.mark.parametrize(("value", "on"), [("", False), ("0", False), ("no", False), ("False", False), ("1", True)])
def test_a_switch_is_off_where_it_says_so(monkeypatch: pytest.MonkeyPatch, value: str, on: bool) -> None:
    for name, switch in {"DRY_RUN": shell.dry, "FORCE": shell.forced}.items():
        monkeypatch.setenv(name, value)
        assert switch() is on


def test_a_setting_of_the_functions_on_the_command_line_is_not_left_out_silently(tools: Tools) -> None:
    tools.relay_env("PROJECT=demo-project\nREGION=us-central1\n")
    done = make(tools, "deploy", "DRY_RUN=1", "BRAND_NAME=Acme SMS_PROVIDER=none", "REMINDER_DAYS=2,4")
    assert done.stderr.startswith("BRAND_NAME, REMINDER_DAYS: the functions get what relay.env says, so write it there")
    kept = ["MIN_INSTANCES=0", "API_RATE_PER_MINUTE=1100", "FUNCTIONS=links"]
    assert make(tools, "deploy", "DRY_RUN=1", *kept).returncode == 0
