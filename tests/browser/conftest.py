"""The local stack under a real browser: Debian's chromium, driven by Playwright. In CI a missing browser fails."""

import os
from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe as Engine
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from tests.browser.chromium import NoBrowser, chromium
from tests.e2e.stack import Running

WAIT = 30_000  # milliseconds for whatever a page is waited for: beside other tests a page is slow
expect.set_options(timeout=WAIT)
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]

Axe = Callable[[Page], None]
Errors = list[str]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    try:
        with chromium() as browser:
            yield browser
    except NoBrowser as missing:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`make run` on the embedded default, one for a module: its time only goes forward, its requests stay."""
    running = Running(tmp_path_factory.mktemp("stack"), "embedded")
    yield running
    running.stop()


@pytest.fixture
def errors() -> Errors:
    """What the browser complained of. A test that wants a complaint takes it out."""
    return []


@pytest.fixture
def page(browser: Browser, stack: Running, errors: Errors) -> Iterator[Page]:
    """A page of a fresh browser; goto("/sandbox/") goes to the stack. Fails the test if an error is left over."""
    context = browser.new_context(base_url=stack.base, reduced_motion="reduce")
    context.set_default_timeout(WAIT)
    context.on("page", lambda opened: _listen(opened, errors))
    yield context.new_page()
    context.close()
    assert errors == []


def _listen(page: Page, errors: Errors) -> None:
    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            errors.append(f"{message.text} ({message.location.get('url', '')})")

    page.on("console", heard)
    page.on("pageerror", lambda error: errors.append(str(error)))


@pytest.fixture
def axe() -> Axe:
    """axe(page) fails on any violation of WCAG 2.2 AA, whatever its impact, in light and in dark."""

    def check(page: Page) -> None:
        page.wait_for_load_state("load")  # without its style sheet a page's links are too small to touch
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            found = Engine().run(page, options={"runOnly": {"type": "tag", "values": TAGS}}).response["violations"]
            assert not found, f"{page.url}, {scheme}:\n" + "\n".join(map(_told, found))

    return check


def _told(violation: dict[str, object]) -> str:
    nodes = violation["nodes"]
    assert isinstance(nodes, list)
    return f"{violation['id']}: {violation['help']}: {[n['html'] for n in nodes[:3]]}"
