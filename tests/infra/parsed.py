"""The .tf files as plain Python, so that tests need no terraform. Expressions stay text, as "${...}"."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import hcl2
from hcl2 import SerializationOptions

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"

Body = dict[str, Any]


def load(path: Path) -> Body:
    tree: Body = _plain(
        hcl2.loads(path.read_text() + "\n", serialization_options=SerializationOptions(with_comments=False))
    )
    return tree


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {_unquoted(k): _plain(v) for k, v in value.items() if k != "__is_block__"}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return _unquoted(value) if isinstance(value, str) else value


def _unquoted(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] == '"'
    return text[1:-1].replace('\\"', '"') if quoted else text


@cache
def files() -> list[Body]:
    """Without what the commands of the Makefile copy there."""
    copied = {"root.tf", *(path.name for path in (INFRA / "optional").glob("*.tf"))}
    return [load(path) for path in sorted(INFRA.glob("*.tf")) if path.name not in copied]


def blocks(kind: str) -> dict[str, Body]:
    """Blocks with one label, by it: variable, output."""
    return {name: body for tree in files() for block in tree.get(kind, []) for name, body in block.items()}


@cache
def _resources() -> dict[str, dict[str, Body]]:
    found: dict[str, dict[str, Body]] = {}
    for tree in files():
        for block in tree.get("resource", []):
            for kind, named in block.items():
                found.setdefault(kind, {}).update(named)
    return found


def resource_kinds() -> set[str]:
    return set(_resources())


def resources(kind: str) -> dict[str, Body]:
    return _resources().get(kind, {})


def local(name: str) -> Any:
    return next(block[name] for tree in files() for block in tree.get("locals", []) if name in block)


def functions() -> dict[str, Body]:
    table: dict[str, Body] = json.loads((INFRA / "functions.json").read_text())
    return table
