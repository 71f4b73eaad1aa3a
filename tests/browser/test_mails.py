"""The built-in e-mails and the page of a dead link in a browser: on a narrow screen, in light and in dark."""

from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from playwright.sync_api import Browser, Page

from shared.domain.brands import Brand
from shared.domain.model import ChannelName, Kind
from shared.text.pages import link_page
from shared.text.render import Texts
from tests.browser.axe import axe
from tests.texts import LANGUAGES, SEED, written

NARROW = 320  # CSS pixels: the narrowest telephone in use
LONG = "Employment-and-confidentiality-agreement-" * 4


@pytest.fixture(scope="module")
def narrow(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


@pytest.mark.parametrize(
    "fault",
    [
        '<input type="text">',
        "<style>@media (prefers-color-scheme: dark) { p { color: #ddd } }</style>",
        "<style>@media (max-width: 320px) { p { color: #ddd } }</style>",
        '<p style="width: 400px; background: gold">wide</p>',
    ],
    ids=["markup", "dark", "narrow", "wide"],
)
def test_a_fault_is_found_whatever_the_colours_and_the_width(narrow: Page, fault: str) -> None:
    page = f'<html lang="en"><title>A page</title><main><h1>It</h1><p>Some text</p>{fault}</main></html>'
    narrow.set_content(page.replace(fault, ""))
    axe(narrow, 1280, NARROW)
    narrow.set_content(page)
    with pytest.raises(AssertionError):
        axe(narrow, 1280, NARROW)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", Kind)
def test_an_email_fits_a_narrow_screen_and_can_be_read_in_light_and_dark(
    narrow: Page, kind: Kind, language: str
) -> None:
    narrow.set_content(written(kind, ChannelName.EMAIL, language, replace(SEED, title=LONG)).html)
    axe(narrow, NARROW)


@pytest.mark.parametrize(("scheme", "background"), [("light", "rgb(243, 244, 246)"), ("dark", "rgb(17, 24, 39)")])
def test_an_email_has_a_dark_form(narrow: Page, scheme: str, background: str) -> None:
    narrow.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    narrow.set_content(written(Kind.INVITATION, ChannelName.EMAIL, "en").html)
    assert narrow.evaluate("getComputedStyle(document.body).backgroundColor") == background


def test_the_page_of_a_dead_link_fits_and_can_be_read(narrow: Page) -> None:
    narrow.set_content(link_page("expired", Brand(name="Acme", contact="legal@acme.example"), Texts(), "de"))
    axe(narrow, NARROW)
