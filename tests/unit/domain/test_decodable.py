"""msgspec's types are prepared before threads decode them: otherwise two first uses at once end the process."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from shared.adapters.collections import COLLECTIONS

ROOT = Path(__file__).parents[3]
RACE = """
import sys, threading
import msgspec
from shared.domain.decodable import decodable
sys.setswitchinterval(1e-6)
for n in range(300):
    inner = msgspec.defstruct(f"I{n}", [(f"f{i}", int | None, None) for i in range(40)])
    outer = msgspec.defstruct(f"O{n}", [(f"g{i}", dict[str, inner] | None, None) for i in range(40)])
    decodable(outer)
    barrier = threading.Barrier(4)
    def decode():
        barrier.wait()
        msgspec.json.decode(b'{"g1":{"a":{"f1":1}},"g39":{"a":{"f39":2}}}', type=outer)
    threads = [threading.Thread(target=decode) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
"""


@pytest.fixture(scope="module")
def nodes() -> list[ast.AST]:
    """Of all our code. Parsed when a test runs: every worker of a run imports this file."""
    paths = [p for folder in ("shared", "functions", "local") for p in (ROOT / folder).rglob("*.py")]
    return [node for p in paths for node in ast.walk(ast.parse(p.read_text()))]


def structs(nodes: list[ast.AST]) -> set[str]:
    return {n.name for n in nodes if isinstance(n, ast.ClassDef) and "msgspec.Struct" in map(ast.unparse, n.bases)}


def decoded(nodes: list[ast.AST]) -> set[str]:
    """Names of the types that are given to msgspec's functions of decoding."""
    calls = [(ast.unparse(n.func), n) for n in nodes if isinstance(n, ast.Call)]
    types = [k.value for name, call in calls if name == "msgspec.json.decode" for k in call.keywords]
    types += [call.args[1] for name, call in calls if name in ("msgspec.convert", "entrypoint.subscriber")]
    return {ast.unparse(t).split(".")[-1] for t in types} | {kind.__name__ for kind in COLLECTIONS}


def test_a_type_that_threads_decode_is_prepared_where_it_is_declared(nodes: list[ast.AST]) -> None:
    prepared = {
        n.name for n in nodes if isinstance(n, ast.ClassDef) and "decodable" in map(ast.unparse, n.decorator_list)
    }
    assert decoded(nodes) & structs(nodes)
    assert decoded(nodes) & structs(nodes) - prepared == set()


def test_every_other_type_is_the_prepared_generic_event_or_plain(nodes: list[ast.AST]) -> None:
    others = {"RawEvent", "dict[str, Any]", "dict[str, str]", "dict[str, dict[str, str]]", "str", "Searches"}
    assert decoded(nodes) - structs(nodes) - {"kind"} <= others


def test_a_prepared_type_is_decoded_by_threads_at_once() -> None:
    subprocess.run([sys.executable, "-c", RACE], cwd=ROOT, check=True, timeout=60)
