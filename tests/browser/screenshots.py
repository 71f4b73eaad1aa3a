"""`make screenshots`: the pictures in docs/, taken from the stack itself."""

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Browser, Page

from shared.domain.model import ChannelName, Kind
from tests.browser.cases import prepare, settings
from tests.browser.chromium import chromium
from tests.e2e.stack import ERICS, JANES, ROOT, Running, until
from tests.texts import written

DOCS = ROOT / "docs"
SIZE = {"width": 1280, "height": 900}
ERIC = {"name": "Eric Smith", "mobile_number": ERICS, "send_to": {"email": False, "mobile_number": True}}
JANE = {"name": "Jane Doe", "email": JANES, "send_to": {"email": True, "mobile_number": False}}


def take(stack: Running, page: Page) -> None:
    """A story worth looking at: invitations, reminders on day 3, Eric's signature, Jane told of it."""
    request = stack.send(ERIC, JANE, sender="Ann Sender")
    until(lambda: len(stack.messages()) == 2, "both are invited")
    page.goto(f"{stack.base}/sandbox/")
    page.get_by_role("button", name="To the next reminder").click()
    until(lambda: len(stack.messages()) == 4, "both are reminded")
    stack.sign(ERICS)
    until(lambda: len(stack.messages()) == 5, "Jane hears of it")
    for name, path in {
        "sandbox": f"/sandbox/requests/{request}",
        "outbox": "/outbox/",
        "console": f"/console/requests/{request}",
    }.items():
        page.goto(stack.base + path, wait_until="networkidle")
        page.screenshot(path=DOCS / f"{name}.png")


def take_cases(stack: Running, page: Page, now: datetime) -> None:
    """The page Attention, and the verdict of each case of support."""
    sentences = prepare(stack, now)
    page.goto(f"{stack.base}/console/", wait_until="networkidle")
    page.screenshot(path=DOCS / "console" / "attention.png")
    page.set_viewport_size({"width": 900, "height": 900})
    for key in sentences:
        page.goto(f"{stack.base}/console/requests/{key}", wait_until="networkidle")
        page.locator("#verdicts").screenshot(path=DOCS / "console" / f"{key}.png")


def take_mails(browser: Browser) -> None:
    """An invitation as a computer and a telephone show it, in light and in dark."""
    html = written(Kind.INVITATION, ChannelName.EMAIL, "en").html
    for name, width, scheme in (("email", 720, "light"), ("email-narrow-dark", 360, "dark")):
        page = browser.new_page(viewport={"width": width, "height": 640}, color_scheme=scheme)
        page.set_content(html)
        page.screenshot(path=DOCS / f"{name}.png")


def main() -> None:
    now = datetime.now(UTC)
    runs: list[tuple[dict[str, str], Callable[[Running, Page], None]]] = [
        ({}, take),
        (settings(now), lambda stack, page: take_cases(stack, page, now)),
    ]
    (DOCS / "console").mkdir(exist_ok=True)
    with chromium() as browser:
        take_mails(browser)
        for environ, shots in runs:
            with tempfile.TemporaryDirectory() as directory:
                stack = Running(Path(directory), "embedded", **environ)
                try:
                    shots(stack, browser.new_page(viewport=SIZE, color_scheme="light"))
                finally:
                    stack.stop()


if __name__ == "__main__":
    main()
