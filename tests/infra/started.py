"""Run in an interpreter of its own: starts one function's entry point and tells what it took.

    python -m tests.infra.started deliver '[{"SMS_PROVIDER": "twilio"}, {"SMS_PROVIDER": "vonage"}]'

Prints, for each environment: the names of the settings that were read, our modules that were loaded, and whether the
policy was asked for. A start that fails ends the run with the function's own line.
"""

import ast
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

from shared import bootstrap
from shared.bootstrap import runtime
from shared.settings import Settings
from tests.composition import clear

ROOT = Path(__file__).parents[2]


class Recording(dict):
    """An environment that remembers what it was asked for."""

    asked: set[str]

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)


def wirings(main: Path) -> set[str]:
    """What an entry point makes of the composition root: the x of each `bootstrap.x`."""
    tree = ast.parse(main.read_text())
    named = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and ast.unparse(n.value) == "bootstrap"}
    return named - {"settings", "clock"}


def run(name: str, environ: dict[str, str]) -> dict[str, Any]:
    clear()
    Settings.policy.cache_clear()
    asking = Recording(environ)
    asking.asked = set()
    runtime.environ = asking
    main = ROOT / "functions" / name / "main.py"
    spec = importlib.util.spec_from_file_location("entry", main)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for wired in wirings(main):
        getattr(bootstrap, wired)(*([name] if wired == "deferral" else []))
    loaded = sorted(m for m in sys.modules if m.startswith("shared."))
    return {"read": sorted(asking.asked), "loaded": loaded, "policy": Settings.policy.cache_info().currsize > 0}


if __name__ == "__main__":
    os.environ.clear()
    sys.path.insert(0, str(ROOT))
    print(json.dumps([run(sys.argv[1], environ) for environ in json.loads(sys.argv[2])]))
