"""Whether a page can be used by everyone: what axe says of it, whether it fits a width, and what Tab reaches."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page

SCRIPT = Axe().axe_script
TAGS = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
MOST_STOPS = 60  # controls on a page before the one that is sought
# Those of them whose answer depends on colours and places, and not on the markup alone.
LOOKS = {
    "type": "rule",
    "values": ["color-contrast", "link-in-text-block", "scrollable-region-focusable", "target-size"],
}


def tab_to(page: Page, control: Locator) -> None:
    """Presses Tab until the control has the focus. Fails if it cannot be reached, as focus() would not."""
    for _ in range(MOST_STOPS):
        if control.evaluate("it => it === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach {control} on {page.url}")


def axe(page: Page, *widths: int) -> None:
    """Fails on any violation of WCAG 2.2 AA, whatever its impact, in light and in dark, at these widths or as it is."""
    page.evaluate(SCRIPT)
    rules = TAGS  # once; in other colours and at other widths only some of them can answer otherwise
    for width in widths or (0,):
        fits(page, *filter(None, [width]))
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            _run(page, rules, scheme)
            rules = LOOKS


def fits(page: Page, *widths: int) -> None:
    """Fails if at one of the widths, in CSS pixels, something is cut off."""
    page.wait_for_load_state("load")  # without its style sheet a page is wider, and its links too small to touch
    for width in widths:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width, f"{page.url} at {width} pixels"


def _run(page: Page, rules: dict[str, Any], scheme: str) -> None:
    options = {"runOnly": rules, "resultTypes": ["violations"]}
    found = page.evaluate("options => axe.run(options).then(found => found.violations)", options)
    assert not found, f"{page.url}, {scheme}, {page.viewport_size}:\n" + "\n".join(map(_told, found))


def _told(violation: dict[str, Any]) -> str:
    return f"{violation['id']}: {violation['help']}: {[node['html'] for node in violation['nodes'][:3]]}"
