"""The local stack under a real browser: Debian's chromium, driven by Playwright. In CI a missing browser fails."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from tests.browser.chromium import NoBrowser, chromium
from tests.e2e.stack import Running

WAIT = 30_000  # milliseconds for whatever a page is waited for: beside other tests a page is slow
expect.set_options(timeout=WAIT)
SIZE = {"width": 1280, "height": 720}

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


def context_of(browser: Browser, stack: Running, **options: Any) -> BrowserContext:
    """Of a browser as new, in which goto("/sandbox/") goes to the stack."""
    context = browser.new_context(base_url=stack.base, reduced_motion="reduce", **options)
    context.set_default_timeout(WAIT)
    return context


@pytest.fixture(scope="module")
def context(browser: Browser, stack: Running) -> Iterator[BrowserContext]:
    """One page for a module's tests: to open one takes longer than most of them."""
    context = context_of(browser, stack)
    context.new_page()
    yield context
    context.close()


@pytest.fixture(scope="module")
def heard(context: BrowserContext) -> Errors:
    found: Errors = []

    def listen(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            found.append(f"{message.text} ({message.location.get('url', '')})")

    context.on("console", listen)
    context.on("weberror", lambda error: found.append(str(error.error)))
    return found


@pytest.fixture
def errors(heard: Errors) -> Errors:
    """What the browser complained of. A test that wants a complaint takes it out."""
    heard.clear()
    return heard


@pytest.fixture
def page(context: BrowserContext, errors: Errors) -> Iterator[Page]:
    """The module's page, as if it were new. Fails the test if an error is left over."""
    page, *others = context.pages
    for other in others:
        other.close()
    context.clear_cookies()
    page.set_viewport_size(SIZE)  # type: ignore[arg-type]
    page.emulate_media(media="screen", color_scheme="light")
    yield page
    assert errors == []
