"""Order, skips and closing lines of the whole suite.

Tests marked `emulators` are skipped where Google's emulators are missing; in CI they fail there.
"""

import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from local.emulation.google_emulators import FIRESTORE, PUBSUB, Missing, command, sdk_root
from tests.composition import composed

TABLE = "table"  # the property of a test whose value is printed at the end
TESTS = Path(__file__).parent
# Their files start first, so that no worker is left with one of them at the end.
SLOWEST_FOLDERS = (
    "faults",
    "e2e",
    "simulation",
    "contract",
    "browser",
    "load",
    "security",
    "infra",
    "integration",
    "local",
)
TOOLS = re.compile(r"Skipped: (.*(?:was not found|there is no chromium).*)|Skipped: (.*is missing)")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.import_plugin("tests.emulators")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _position(item.path.relative_to(TESTS).parts[0]))


def _position(folder: str) -> int:
    return SLOWEST_FOLDERS.index(folder) if folder in SLOWEST_FOLDERS else len(SLOWEST_FOLDERS)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("emulators") is None:
        return
    try:
        command(PUBSUB), command(FIRESTORE)
    except Missing:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip("; ".join(_missing()))


def _missing() -> list[str]:
    """All that the emulators lack, not only the first of it."""
    found = [] if shutil.which("java") else ["java was not found: apt-get install default-jre-headless"]
    try:
        platform = sdk_root() / "platform"
    except Missing as missing:
        return [*found, str(missing)]
    for emulator in (PUBSUB, FIRESTORE):
        if not list(platform.glob(emulator.jar)):
            found.append(f"the {emulator.name} emulator was not found: gcloud components install {emulator.component}")
    return found


@pytest.fixture(autouse=True)
def own_process() -> Iterator[None]:
    """What a test leaves behind in this process, the next one must not find.

    An entry point that starts here sets up our log, and a command of the local stack fills in the environment.
    """
    log, environ = logging.getLogger("shared"), dict(os.environ)
    handlers, level, propagate = list(log.handlers), log.level, log.propagate
    yield
    log.handlers[:], log.propagate = handlers, propagate
    log.setLevel(level)
    for name in os.environ.keys() - environ.keys():
        del os.environ[name]
    os.environ.update(environ)


@pytest.fixture
def compose() -> Iterator[Callable[..., None]]:
    """Gives the composition root another environment, as often as a test likes: see `composed`."""
    with ExitStack() as stack:
        yield lambda environ, **instead: stack.enter_context(composed(environ, **instead))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    yield
    stats = terminalreporter.stats
    for report in [*stats.get("passed", []), *stats.get("failed", [])]:
        for name, value in report.user_properties:
            if name == TABLE and report.when == "call":
                terminalreporter.write_line(f"\n{value}")
    if line := skipped([str(report.longrepr[2]) for report in stats.get("skipped", [])]):
        terminalreporter.write_line(line)


def skipped(reasons: list[str]) -> str:
    """One line on the tests that a missing tool has cost, "" if there are none."""
    found = [m[1] or m[2] for reason in reasons if (m := TOOLS.fullmatch(reason))]
    ways = list(dict.fromkeys(way for reason in found for way in reason.split("; ")))
    return f"{len(found)} tests were skipped for want of a tool: {'; '.join(ways)}" if found else ""
