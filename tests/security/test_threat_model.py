"""docs/threat-model.md names the tests that show what it says: each must exist, and none of this folder be left out."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
TEXT = (TESTS.parent / "docs" / "threat-model.md").read_text()
NAMED = re.findall(r"`((?:\w+/)+\w+\.py)::(\w+)`", TEXT)


def names_in(path: Path) -> set[str]:
    found = (n.name for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef))
    return {name for name in found if name.startswith("test_")}


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_test_that_is_named_exists(file: str, name: str) -> None:
    assert name in names_in(TESTS / file)


def test_nothing_in_backticks_only_looks_like_the_name_of_a_test() -> None:
    assert TEXT.count("::test_") == len(NAMED)


def test_every_file_of_attacks_is_named() -> None:
    attacks = {f"security/{path.name}" for path in Path(__file__).parent.glob("test_*.py")} - {
        "security/test_threat_model.py"
    }
    assert attacks == {file for file, _ in NAMED if file.startswith("security/")}


def test_every_file_that_the_asvs_names_exists() -> None:
    text = (TESTS.parent / "docs" / "asvs.md").read_text()
    named = re.findall(r"`((?:\w+/)+\w+\.py)`", text)
    assert len(named) > 10
    assert [name for name in named if not (TESTS / name).exists()] == []
    assert re.findall(r"^\| V(\d+) ", text, re.MULTILINE) == [str(n) for n in range(1, 18)]
