"""`make lock`: write infra/requirements/<function>.txt: every package a function installs, with versions and hashes.

The files are committed, so that a bundle needs no network and is reproducible. All packages are resolved together,
so that every function gets the same version of a package.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from infra.ops import shell
from infra.ops.function_table import ROOT, functions
from infra.ops.shell import Stop

LOCKS = ROOT / "infra/requirements"
RUNTIME = "3.13"  # Python version of the deployed functions; this command may run on another
COMPILE = (
    sys.executable,
    "-m",
    "uv",
    "pip",
    "compile",
    "--quiet",
    "--no-header",
    "--generate-hashes",
    "--python-version",
    RUNTIME,
)
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def pins(text: str) -> dict[str, str]:
    """Name -> version for the name==version lines of a requirements file. Names are normalised as in PEP 503."""
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in PIN.findall(text)}


def wanted(packages: list[str]) -> str:
    """The lines of requirements.txt for these packages. Raises Stop for a package that is not in it."""
    lines = {PIN.findall(line)[0][0]: line for line in _requirements().read_text().splitlines() if PIN.match(line)}
    absent = [package for package in packages if package not in lines]
    if absent:
        raise Stop(f"{absent[0]} is in infra/functions.json but not in requirements.txt")
    return "".join(f"{lines[package]}\n" for package in packages)


def _requirements() -> Path:
    return ROOT / "requirements.txt"


def lock() -> None:
    LOCKS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        everything = Path(scratch, "all.txt")
        _compile(_requirements().read_text(), everything)
        for name, function in functions().items():
            _compile(wanted(function.packages), LOCKS / f"{name}.txt", "--constraint", str(everything))
            shell.say(f"infra/requirements/{name}.txt: {len(pins((LOCKS / f'{name}.txt').read_text()))} packages")


def _compile(requirements: str, into: Path, *more: str) -> None:
    command = [*COMPILE, "--python-platform", "linux", "--output-file", str(into), "--no-annotate", *more, "-"]
    done = subprocess.run(command, input=requirements, check=False, capture_output=True, text=True)
    if done.returncode:
        raise Stop(f"uv could not resolve {into.stem}: {' '.join(done.stderr.split())}")


if __name__ == "__main__":
    shell.main(lock)
