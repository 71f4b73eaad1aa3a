"""The functions are the top layer. They are folders without packages, which import-linter cannot see."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAINS = sorted(ROOT.glob("functions/*/main.py"))
BELOW = ("shared.bootstrap", "shared.entrypoint", "shared.request_body", "shared.domain", "shared.text")


def imported(path: Path) -> Iterator[str]:
    """Full names of all that a module imports, wherever it does so."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(path: Path) -> set[str]:
    """The imports that are of this repository."""
    tops = {p.name for p in ROOT.iterdir() if p.is_dir()}
    return {name for name in imported(path) if name.partition(".")[0] in tops}


@pytest.mark.parametrize("main", MAINS, ids=lambda p: p.parent.name)
def test_a_function_imports_the_composition_root_and_one_handler(main: Path) -> None:
    handlers = {name for name in ours(main) if name.startswith("shared.handlers.")}
    others = {name for name in ours(main) - handlers if not f"{name}.".startswith(tuple(f"{b}." for b in BELOW))}
    assert not others
    assert len({name.split(".")[2] for name in handlers}) <= 1


def test_every_function_is_checked() -> None:
    assert len(MAINS) == len([p for p in (ROOT / "functions").iterdir() if p.is_dir() and p.name != "__pycache__"])


def test_nothing_imports_a_function() -> None:
    paths = (p for top in ("shared", "local", "infra", "bench") for p in (ROOT / top).rglob("*.py"))
    assert not [p for p in paths for name in imported(p) if name.partition(".")[0] == "functions"]
