from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.ops import terraform
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
