from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.ops import bundle, canary, deploy, shell, smoke, terraform
from tests.infra.cloud import NAMES, Cloud, Command, Runner
from tests.infra.tools import Tools, around


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return Tools(tmp_path / "tools")


@pytest.fixture
def here(tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tools]:
    """The stand-ins around this very process, and bundles in a folder of their own."""
    around(tools, tmp_path / "dist", monkeypatch)
    yield tools
    terraform.outputs.cache_clear()


@pytest.fixture
def run(here: Tools, monkeypatch: pytest.MonkeyPatch) -> Runner:
    """Runs a command on a `Cloud`. Bundles are made of nothing, and every check of `make smoke` passes."""
    monkeypatch.setenv("FUNCTIONS", " ".join(NAMES))
    monkeypatch.setattr(canary.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(smoke, "report", lambda checks: 0)
    monkeypatch.setattr(deploy, "check_start", lambda *_: None)
    monkeypatch.setattr(bundle, "build", lambda f, dist: bundle.Bundle(f.name, "0", dist / f.name, dist / "none.zip"))

    def once(command: Command, cloud: Cloud) -> int | None:
        monkeypatch.setattr(shell, "_run", cloud.run)
        return command()

    return once
