"""The size of each function: its sources, and the packages that it installs."""

import importlib.metadata
import json
import re
from pathlib import Path

from bench.harness import ROOT, Harness
from bench.report import Row

MB = 1024 * 1024


def run(harness: Harness) -> list[Row]:
    harness.progress.step("measuring")
    functions = json.loads((ROOT / "infra" / "functions.json").read_text())
    return [row(name, described["packages"]) for name, described in functions.items()]


def row(name: str, packages: list[str]) -> Row:
    sources = size(ROOT / "functions" / name) + size(ROOT / "shared")
    found = closure(packages)
    installed = sum(installed_size(package) for package in found)
    shown = f"sources {sources / 1024:.0f} KB, installed {installed / MB:.0f} MB in {len(found)} packages"
    return Row(what=name, ours=shown)


def size(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file() and p.suffix != ".pyc")


def closure(packages: list[str]) -> set[str]:
    """The packages and everything that they require."""
    found: set[str] = set()
    waiting = [normal(p) for p in packages]
    while waiting:
        package = waiting.pop()
        if package not in found and (required := requirements(package)) is not None:
            found.add(package)
            waiting += required
    return found


def requirements(package: str) -> list[str] | None:
    """What a package requires, without extras; None if it is not installed."""
    try:
        required = importlib.metadata.requires(package) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return [normal(re.split(r"[^\w.-]", r, maxsplit=1)[0]) for r in required if "extra ==" not in r]


def normal(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


def installed_size(package: str) -> int:
    files = importlib.metadata.files(package) or []
    paths = [Path(str(f.locate())) for f in files if f.suffix != ".pyc"]
    return sum(p.stat().st_size for p in paths if p.exists())
