"""Run gcloud and terraform: each command is printed first, and a failure becomes one line that says what to do."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
INSTALL = {
    "gcloud": "https://cloud.google.com/sdk/docs/install",
    "terraform": "https://developer.hashicorp.com/terraform/install",
}
# Part of an error message of gcloud or terraform -> what to do. The first match is used.
ADVICE = (
    ("do not currently have an active account", "no gcloud login: run `gcloud auth login`"),
    ("Reauthentication", "the gcloud login has expired: run `gcloud auth login`"),
    ("could not find default credentials", "terraform has no login: run `gcloud auth application-default login`"),
    ("Backend initialization required", "terraform's folder is outdated: `rm -r .local/terraform`, and run it again"),
    ("bucket doesn't exist", "the bucket of Terraform's state is missing: run `make bootstrap` first"),
    ("state migration", 'infra/ holds a local state: see "Moving a state" in docs/deploy.md'),
    ("has not been used in project", "a service is not enabled: run `make infra` first"),
    ("SERVICE_DISABLED", "a service is not enabled: run `make infra` first"),
)


class Stop(Exception):
    """The command cannot continue. Its text is one line for the operator, with what to do."""


def given(name: str) -> bool:
    """Whether a switch of the command line, like CONFIRM=1, is on."""
    return os.environ.get(name, "").strip().lower() not in ("", "0", "no", "false")


def dry() -> bool:
    return given("DRY_RUN")


def forced() -> bool:
    return given("FORCE")


def say(line: str) -> None:
    print(line, flush=True)


def ask(*command: str, **environ: str) -> str:
    """Run a command that changes nothing and return its output. Under DRY_RUN only print it. Raises Stop."""
    if dry():
        say(shlex.join(command))
        return ""
    return captured(command, **environ)


def do(*command: str, text: str | None = None) -> str:
    """Print a command that changes something, then run it. text: its standard input, never printed. Raises Stop."""
    say(("" if dry() else "+ ") + shlex.join(command))
    return "" if dry() else captured(command, text)


def attached(*command: str, **environ: str) -> int:
    """Run a command on the operator's terminal and return its exit status. environ: added to its environment."""
    _announce(command, environ)
    return 0 if dry() else _run(command, environ).returncode


def errors_of(*command: str, **environ: str) -> str:
    """As `attached`, but shows the errors at the end and returns them; "" after a success."""
    _announce(command, environ)
    if dry():
        return ""
    done = _run(command, environ, stderr=subprocess.PIPE)
    print(done.stderr, end="", file=sys.stderr, flush=True)
    return (done.stderr.strip() or "no reason given") if done.returncode else ""


def captured(command: Sequence[str], text: str | None = None, **environ: str) -> str:
    """Run a command without printing anything and return its output. Raises Stop."""
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    done = _run(command, environ, input=text, **streams)
    if done.returncode:
        raise Stop(advice(command, done.stderr))
    return done.stdout.strip()


def _announce(command: Sequence[str], environ: Mapping[str, str]) -> None:
    words = [*(f"{name}={shlex.quote(value)}" for name, value in environ.items()), shlex.join(command)]
    say(("" if dry() else "+ ") + " ".join(words))


def _run(command: Sequence[str], environ: Mapping[str, str], **streams: Any) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(command, check=False, text=True, cwd=ROOT, env={**os.environ, **environ}, **streams)
    except FileNotFoundError:
        raise missing(command[0]) from None


def missing(tool: str) -> Stop:
    return Stop(f"{tool} is not installed: see {INSTALL.get(tool, 'its home page')}")


def known(message: str) -> str:
    """What to do about an error that has an entry in ADVICE; "" for another."""
    return next((line for words, line in ADVICE if words in message), "")


def advice(command: Sequence[str], message: str) -> str:
    if line := known(message):
        return line
    wrong = [line for line in message.splitlines() if "ERROR" in line or line.startswith("Error")]
    last = (wrong or message.strip().splitlines() or ["no reason given"])[0].strip()
    return f"{shlex.join(command[:4])} failed: {last}"


def agreed(question: str, *, by_force: bool = True) -> bool:
    """Ask the operator to confirm. by_force: whether FORCE=1 confirms without asking, for scripts."""
    if dry() or (by_force and forced()):
        return True
    try:
        return input(f"{question} Type yes: ").strip() == "yes"
    except EOFError:
        return False


def main(action: Callable[[], int | None]) -> None:
    """Run a command and exit with its status."""
    try:
        sys.exit(action())
    except Stop as stop:
        sys.exit(str(stop))
    except KeyboardInterrupt:
        sys.exit("stopped")
