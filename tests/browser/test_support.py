"""The test of support: twelve prepared cases, and the first sentence of each page must be the verdict."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from werkzeug.serving import make_server

from local.emulation.embedded import Embedded
from local.emulation.http_push import Pace
from shared.bootstrap import clock
from shared.console.app import Console, create_console
from shared.domain.policy import Policy
from shared.services.operator_actions import OperatorActions
from shared.services.operator_queries import OperatorQueries
from tests.browser.axe import axe, fits, tab_to
from tests.browser.cases import CASES, prepare, put_many, settings
from tests.browser.conftest import Errors, context_of
from tests.e2e.stack import Running, until

WIDTHS = (1280, 390)
MORE_WIDTHS = (640, 360)  # 1280 at a zoom of 200 %, and the narrowest phone in wide use
SIDEWAYS = "[...document.querySelectorAll('.scroll:has(table)')].some(it => it.scrollWidth > it.clientWidth)"
# Below the console, or below the one that a reader sees; " > " a control that is pressed there.
PAGES = (
    "",
    "requests",
    "messages?state=failed",
    "days",
    "suppressions",
    "dead-letters",
    "health",
    "words",
    "resend?state=failed",
    "requests/case-01",
    "requests/case-02",
    "requests/case-07",
    "requests/many",
    "requests/many?reach=not+reached&page=2",
    "requests/case-02/forget",
    "requests/case-02/stop",
    "requests/case-02/read",
    "requests/case-05 > Send once more",
    "requests/case-02 > Clear it",
    "dead-letters > Replay all",
    "dead-letters > Drop",
    "resend?state=unknown",
    "requests/nobody",
    " > Find",
    "reader/",
    "reader/requests/case-02",
    "reader/messages?state=failed",
    "reader/requests/case-02/stop",
)


@pytest.fixture(scope="module")
def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, now: datetime) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("stack"), "embedded", **settings(now))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def sentences(stack: Running, now: datetime) -> dict[str, str]:
    return prepare(stack, now)


@pytest.fixture(scope="module")
def reader(stack: Running, sentences: dict[str, str], now: datetime) -> Iterator[str]:
    """Address of a console like the one in the cloud, on the same ledger, for somebody who may only read."""
    embedded, policy = Embedded(stack.directory / "relay.db", clock, Pace(1, 1)), Policy()
    put_many(embedded, now)
    nothing: Any = SimpleNamespace(notices=set)
    console = Console(
        inspect=OperatorQueries(embedded.ledger, policy, clock),
        operate=OperatorActions(embedded.ledger, nothing, policy, clock),
        dead_letters=nothing,
        erasure=nothing,
        environ={"GOOGLE_CLOUD_PROJECT": "acme"},
        clock=clock,
        day=timedelta(days=1),
        operators=frozenset({"ops@example.com"}),
    )
    server = make_server("127.0.0.1", 0, create_console(console), threaded=True)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    embedded.stop()


@pytest.mark.parametrize("case", CASES, ids=[case.title for case in CASES])
def test_the_first_sentence_is_the_verdict(page: Page, sentences: dict[str, str], case: object) -> None:
    key: str = case.id  # type: ignore[attr-defined]
    page.goto(f"/console/requests/{key}")
    expect(page.locator(".verdict").first).to_have_text(sentences[key])
    box = page.locator(".verdict").first.bounding_box()
    assert box
    assert box["y"] < 400  # without scrolling


@pytest.mark.parametrize("path", PAGES)
def test_every_filled_page_is_accessible_and_fits(
    page: Page, sentences: dict[str, str], reader: str, errors: Errors, path: str
) -> None:
    at, _, pressed = path.partition(" > ")
    page.goto(f"{reader}{at.removeprefix('reader')}" if at.startswith("reader") else f"/console/{at}")
    if pressed == "Find":
        page.get_by_label("Find a request").fill("lease")
    if pressed:
        page.locator("a, button").filter(has_text=pressed).first.click()
    fits(page, *MORE_WIDTHS)
    axe(page, *WIDTHS)
    assert not page.evaluate(SIDEWAYS)  # on the phone
    if path in ("requests/nobody", "reader/requests/case-02/stop"):
        errors.clear()  # the browser tells of the 404 and the 403


def test_the_search_stands_beside_the_menu_and_not_below_it(page: Page, sentences: dict[str, str]) -> None:
    page.goto("/console/")
    menu, find = page.get_by_role("navigation", name="Console"), page.get_by_role("search")
    top, beside = menu.bounding_box(), find.bounding_box()
    assert top
    assert beside
    assert abs(top["y"] - beside["y"]) < 20


def test_home_leads_to_the_cause_and_the_signer(page: Page, sentences: dict[str, str]) -> None:
    page.goto("/console/")
    main = page.get_by_role("main")
    for text in (
        "smtp (e-mail) has failed since",
        "1 dead letter",
        sentences["case-12"],
        "Invalid address",
        "Opted out",
        "Disputed",
    ):
        expect(main).to_contain_text(text)
    page.get_by_role("link", name="Lease: Invalid number").click()
    expect(page.locator(".verdict").first).to_have_text(sentences["case-01"])


def test_back_after_a_search_shows_it_again(page: Page, sentences: dict[str, str]) -> None:
    page.goto("/console/")
    page.get_by_label("Find a request").fill("Smi lease")
    page.get_by_role("button", name="Find").click()
    assert "mi" not in page.url.partition("?n=")[0].removeprefix("http://127.0.0.1").replace("/console/", "")
    page.get_by_role("link", name="Lease: Expired").click()
    page.go_back()
    expect(page.get_by_role("status")).to_contain_text("requests for “Smi lease”")
    page.reload()
    expect(page.get_by_role("status")).to_contain_text("requests for “Smi lease”")


def test_a_name_from_right_to_left_does_not_scramble_its_line(page: Page, stack: Running) -> None:
    hebrew = {"name": "שרה כהן", "mobile_number": "317-555-0190", "send_to": {"mobile_number": True}}
    request = stack.send(hebrew)
    until(lambda: stack.call("GET", f"/console/requests/{request}")[0] == 200, "the request is known")
    page.goto(f"/console/requests/{request}")
    label = page.locator(".signer bdi").first.bounding_box()
    badge = page.locator(".signer .badge").first.bounding_box()
    assert label
    assert badge
    assert label["x"] + label["width"] <= badge["x"]  # the badge still follows the name


def test_printed_it_is_without_menu_and_buttons(page: Page, sentences: dict[str, str]) -> None:
    page.goto("/console/requests/case-02")
    page.emulate_media(media="print")
    expect(page.locator(".verdict").first).to_be_visible()
    expect(page.get_by_role("navigation", name="Console")).to_be_hidden()
    assert page.locator("a.button:visible, button:visible").count() == 0


def test_times_are_shown_in_the_readers_own_zone_when_asked(
    browser: Browser, stack: Running, sentences: object
) -> None:
    context = context_of(browser, stack, timezone_id="Asia/Tokyo", locale="en-GB")
    page = context.new_page()
    page.goto("/console/requests/case-02")
    utc = page.locator("main time").first.inner_text()
    assert utc.endswith("UTC")
    page.get_by_role("button", name="Show local time").click()
    assert "UTC" not in page.locator("main time").first.inner_text()
    page.reload()
    page.get_by_role("button", name="Show UTC").click()
    assert page.locator("main time").first.inner_text() == utc
    context.close()


def test_the_keyboard_alone_leads_from_the_search_to_the_verdict(page: Page, sentences: dict[str, str]) -> None:
    page.goto("/console/")
    tab_to(page, page.get_by_label("Find a request"))
    page.keyboard.type("case-08")
    page.keyboard.press("Enter")
    expect(page.locator(".verdict").first).to_have_text(sentences["case-08"])


def test_clearing_an_address_names_the_signer_and_warns_of_stop(page: Page, sentences: dict[str, str]) -> None:
    page.goto("/console/requests/case-02")
    page.get_by_role("button", name="Clear it").click()
    expect(page.get_by_role("main")).to_contain_text("It is the address of 1. E. S.")
    expect(page.get_by_role("main")).to_contain_text("until they text START")
    axe(page)
