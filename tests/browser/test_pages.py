"""Each page of the local stack on its own: what axe says of it, and what it does without JavaScript."""

from playwright.sync_api import Browser, Page, expect

from tests.browser.axe import axe, fits, tab_to
from tests.browser.conftest import Errors, context_of
from tests.e2e.stack import ERIC, ERICS, JANE, JANES, Running, until


def test_the_sandbox_is_accessible(page: Page, stack: Running) -> None:
    request = stack.send(ERIC, JANE)
    page.goto("/sandbox/")
    axe(page)
    page.goto(f"/sandbox/requests/{request}")
    expect(page.get_by_role("row", name="request_sent")).to_contain_text("delivered")
    axe(page)


def test_the_signing_page_is_accessible_before_and_after(page: Page, stack: Running) -> None:
    request = stack.send(ERIC, JANE)
    page.goto(f"/sandbox/requests/{request}")
    page.get_by_role("link", name="Signing page of Eric Smith").click()
    axe(page)
    page.get_by_role("button", name="Agree & sign").click()
    expect(page.get_by_role("status")).to_contain_text("One more signature is needed.")
    axe(page)


def test_the_outbox_is_accessible_empty_and_filled(page: Page, stack: Running) -> None:
    stack.call("POST", "/outbox/clear", {})
    page.goto("/outbox/")
    axe(page)
    stack.send(ERIC, JANE)
    until(lambda: stack.messages(ERICS) and stack.messages(JANES), "both are invited")
    expect(page.get_by_role("region", name=f"Messages to {ERICS}")).to_contain_text("Please review & sign")
    expect(page.get_by_role("link", name="Employment Agreement")).to_be_visible()
    axe(page)


def test_a_dead_link_says_so_accessibly(page: Page, stack: Running, errors: Errors) -> None:
    answer = page.goto("/l/nobody-ever-made-this-one")
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_role("contentinfo")).to_contain_text("Ironclad Clickwrap")
    axe(page)
    assert "404" in errors.pop()


def test_without_javascript_a_link_refreshes_and_another_keeps_refreshing(browser: Browser, stack: Running) -> None:
    context = context_of(browser, stack, java_script_enabled=False)
    page = context.new_page()
    page.goto("/outbox/")
    page.get_by_role("link", name="Keep refreshing").click()
    expect(page.locator("meta[http-equiv=refresh]")).to_have_count(1)
    page.get_by_role("link", name="Refresh", exact=True).click()
    expect(page.locator("meta[http-equiv=refresh]")).to_have_count(0)
    context.close()


def test_the_keyboard_alone_creates_a_request(page: Page) -> None:
    page.goto("/sandbox/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_label("Title"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Employment Agreement")


def test_a_part_that_is_renewed_keeps_the_focus(page: Page, stack: Running) -> None:
    request = stack.send(ERIC, JANE)
    page.goto(f"/sandbox/requests/{request}")
    page.get_by_role("button", name="Expire").focus()
    stack.act(request, "pause")
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    expect(page.get_by_role("button", name="Expire")).to_be_focused()


def test_nothing_is_cut_off_on_a_phone(page: Page, stack: Running) -> None:
    request = stack.send(ERIC, JANE)
    for path in ("/sandbox/", f"/sandbox/requests/{request}", "/outbox/"):
        page.goto(path)
        fits(page, 360)
    axe(page)


def test_a_long_name_is_read_by_words_on_the_phones_signing_page(page: Page, stack: Running) -> None:
    long = {"name": "Maximiliane Hohenzollern-Sigmaringen", "email": "m@example.com", "send_to": {"email": True}}
    request = stack.send(ERIC, long)
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"/sandbox/requests/{request}")
    page.get_by_role("link", name="Signing page of Eric Smith").click()
    box = page.get_by_text("Maximiliane").bounding_box()
    assert box
    assert box["width"] > 150
