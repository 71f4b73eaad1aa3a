"""Google's emulators, for what must be shown on them."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """A folder's conftest may not name plugins by `pytest_plugins`."""
    config.pluginmanager.import_plugin("tests.emulators")
