"""Debian's chromium under Playwright."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright


class NoBrowser(Exception):
    """Says what to install."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Raises NoBrowser."""
    path = shutil.which("chromium")
    if path is None:
        raise NoBrowser("there is no chromium: apt-get install chromium")
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []  # chromium's own sandbox refuses root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()
