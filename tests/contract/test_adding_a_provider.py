"""The provider that docs/adding-a-provider.md adds: its code, as printed there, passes the kit."""

import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest

from shared import providers
from shared.domain.model import ChannelName
from shared.settings import SettingError, Settings
from tests.contract import channel_kit

PAGE = (Path(__file__).parents[2] / "docs" / "adding-a-provider.md").read_text()
FILES: dict[str, str] = dict(re.findall(r"^`([\w/.]+)`:\n\n```\w+\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))

adapter = ModuleType("shared.adapters.providers.acme")
exec(FILES["shared/adapters/providers/acme.py"], adapter.__dict__)
sys.modules[adapter.__name__] = adapter
exec(FILES["tests/contract/test_acme.py"])  # defines TestAcme and TestAcmeReceipts


@pytest.fixture(autouse=True)
def golden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "acme.json").write_text(FILES["tests/golden/channels/acme.json"])
    monkeypatch.setattr(channel_kit, "GOLDEN", tmp_path)


def test_settings_make_it_and_a_missing_one_is_named() -> None:
    made = dict(vars(providers))
    exec(FILES["shared/providers.py"], made)
    clock = lambda: datetime.now(UTC)  # noqa: E731
    assert made["_acme"](Settings({"ACME_TOKEN": "t", "ACME_FROM": "f"}), ChannelName.SMS, clock).name == "acme"
    assert made["_acme_receipts"](Settings({}), clock).name == "acme"
    with pytest.raises(SettingError, match="ACME_FROM"):
        made["_acme"](Settings({"ACME_TOKEN": "t"}), ChannelName.SMS, clock)
