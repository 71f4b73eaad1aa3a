"""A request's whole life, by clicks alone: the sender in the sandbox, the signers in their outboxes."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Errors
from tests.e2e.stack import Running

ERICS = "+13175550142"  # as the sandbox's form is filled in
CONTENT = "iframe"


@pytest.fixture(autouse=True)
def _empty_outbox(stack: Running) -> None:
    assert stack.call("POST", "/outbox/clear", {})[0] == 204


def create(page: Page) -> None:
    page.goto("/sandbox/")
    page.get_by_role("button", name="Create and send").click()
    expect(page.get_by_role("row", name="request_sent")).to_contain_text("delivered")


def outbox(page: Page) -> None:
    page.get_by_role("navigation", name="Local stack").get_by_role("link", name="Outbox").click()


def texts(page: Page) -> Locator:
    return page.get_by_role("region", name=f"Messages to {ERICS}").get_by_role("listitem")


def settled(page: Page, news: str) -> None:
    """Waits until the outbox shows all that will come: a page that renews itself under a click loses the click."""
    expect(page.get_by_role("status")).to_contain_text(news)


def followed(page: Page, link: Locator) -> Page:
    """What the link opens beside the outbox."""
    with page.expect_popup() as opened:
        link.click()
    return opened.value


def sign(page: Page) -> None:
    page.get_by_role("button", name="Agree & sign").click()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()


def test_from_the_invitation_to_the_completion(page: Page) -> None:
    create(page)
    outbox(page)
    settled(page, "1 SMS and 1 e-mail")
    erics = followed(page, texts(page).first.get_by_role("link", name="/l/"))
    expect(erics.get_by_role("heading", name="Employment Agreement")).to_be_visible()
    sign(erics)
    expect(erics.get_by_role("status")).to_contain_text("One more signature is needed.")

    progress = page.get_by_role("heading", name='Eric Smith has signed "Employment Agreement"')
    expect(progress).to_be_visible()  # without a reload
    expect(page.frame_locator(CONTENT).get_by_text("One more signature is needed to complete")).to_be_visible()
    page.get_by_role("link", name='Please review & sign "Employment Agreement"').click()
    janes = followed(page, page.frame_locator(CONTENT).get_by_role("link", name="Review & sign"))
    sign(janes)
    expect(janes.get_by_role("status")).to_contain_text("Everybody has signed.")

    settled(page, "2 SMS and 3 e-mails")
    expect(texts(page)).to_contain_text(["Please review & sign", "accepted by all parties"])
    done = followed(page, texts(page).last.get_by_role("link", name="/l/"))
    expect(done.get_by_role("link", name="Download")).to_be_visible()


def test_the_time_button_brings_the_reminder(page: Page) -> None:
    create(page)
    outbox(page)
    expect(texts(page)).to_contain_text(["Please review & sign"])
    expect(page.get_by_text("days ahead")).to_have_count(0)
    page.get_by_role("button", name="To the next reminder").click()
    expect(texts(page)).to_contain_text(["Please review & sign", "is waiting for your signature"])
    expect(page.get_by_text("days ahead")).to_be_visible()


def test_pause_stops_signing_and_expiry_ends_it(page: Page, errors: Errors) -> None:
    create(page)
    request = page.url
    outbox(page)
    link = texts(page).get_by_role("link", name="/l/").get_attribute("href")
    assert link
    page.goto(request)
    page.get_by_role("button", name="Pause").click()
    page.goto(link)
    expect(page.get_by_role("status")).to_contain_text("Signing is paused.")
    page.goto(request)
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("open")
    page.get_by_role("button", name="Expire").click()
    expect(page.get_by_role("row", name="request_expired")).to_contain_text("delivered")
    answer = page.goto(link)
    assert answer is not None
    assert answer.status == 410
    expect(page.get_by_role("main")).to_contain_text("expired")
    assert "410" in errors.pop()
