"""Tests marked `emulators` are skipped where Google's emulators are missing; in CI they fail there."""

import os

import pytest

from local.google import FIRESTORE, PUBSUB, Missing, command


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.import_plugin("tests.emulators")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("emulators") is None:
        return
    try:
        command(PUBSUB), command(FIRESTORE)
    except Missing as missing:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(missing))
