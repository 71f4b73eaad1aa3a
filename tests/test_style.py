"""The figures that keep the code small: length of functions, complexity, and public names without a docstring."""

import ast
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).parents[1]
FOLDERS = ("shared", "functions")
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
BRANCH = (ast.If, ast.For, ast.While, ast.IfExp, ast.ExceptHandler, ast.comprehension, ast.match_case)


def trees(*folders: str) -> Iterator[tuple[Path, ast.Module]]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path, ast.parse(path.read_text())


def functions(*folders: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    for path, tree in trees(*folders):
        for node in ast.walk(tree):
            if isinstance(node, FUNCTION):
                yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node


def complexity(node: ast.AST) -> int:
    """McCabe's figure, with boolean operators and each part of a comprehension counted."""
    branches = sum(isinstance(n, BRANCH) for n in ast.walk(node))
    branches += sum(len(n.ifs) for n in ast.walk(node) if isinstance(n, ast.comprehension))
    return 1 + branches + sum(len(n.values) - 1 for n in ast.walk(node) if isinstance(n, ast.BoolOp))


def public_names(tree: ast.Module) -> Iterator[ast.AST]:
    """Classes, functions and methods without an underscore. Special methods are described by the language."""
    for node in tree.body:
        if isinstance(node, (*FUNCTION, ast.ClassDef)) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from (n for n in node.body if isinstance(n, FUNCTION) and not n.name.startswith("_"))


def test_functions_are_short() -> None:
    lengths = [n.end_lineno - n.lineno + 1 for _, n in functions(*FOLDERS) if n.end_lineno]
    assert median(lengths) <= 5
    assert quantiles(lengths, n=10)[-1] <= 13


def test_functions_are_simple() -> None:
    assert [f"{name}: {complexity(node)}" for name, node in functions(*FOLDERS) if complexity(node) > 10] == []


def described_by_ports() -> set[str]:
    """Methods that a port describes: what implements it need not say the same again."""
    tree = ast.parse((ROOT / "shared/ports.py").read_text())
    return {n.name for n in ast.walk(tree) if isinstance(n, FUNCTION) and ast.get_docstring(n)}


def test_public_names_say_what_they_are() -> None:
    names = [(path, node) for path, tree in trees("shared") for node in public_names(tree)]
    known = described_by_ports()
    lacking = [(path, node) for path, node in names if not ast.get_docstring(node) and node.name not in known]
    bare = [f"{path.relative_to(ROOT)}:{node.lineno} {node.name}" for path, node in lacking]
    assert len(bare) <= len(names) / 10, "\n".join(bare)
