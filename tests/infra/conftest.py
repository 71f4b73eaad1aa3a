from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.gcloud import bundle, config
from tests.infra.tools import Tools


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return Tools(tmp_path / "tools")


@pytest.fixture
def here(tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tools]:
    """The stand-ins around this very process, and bundles in a folder of their own."""
    for name, value in tools.environ().items():
        monkeypatch.setenv(name, value)
    for name in ("DRY_RUN", "FORCE", "FUNCTIONS", "OPERATORS", "ALERT_EMAILS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(bundle, "DIST", tmp_path / "dist")
    config.outputs.cache_clear()
    yield tools
    config.outputs.cache_clear()
