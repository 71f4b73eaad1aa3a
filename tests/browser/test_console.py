"""The console under a browser: why Eric got no text, found by clicks, and mended by them."""

import json
import re
from datetime import UTC, datetime

from playwright.sync_api import Browser, Page, expect

from local.emulation.embedded import Embedded
from local.emulation.http_push import Pace
from shared.domain.dead_letters import dead_topic
from shared.ports import Message
from tests.browser.axe import axe, tab_to
from tests.browser.conftest import Errors, context_of
from tests.e2e.stack import ERIC, ERICS, JANE, Running, until


def invited(stack: Running) -> str:
    stack.call("POST", "/outbox/clear", {})
    request = stack.send(ERIC, JANE)
    until(lambda: stack.messages(ERICS), "Eric is invited")
    return request


def dead_letter(stack: Running, request: str) -> None:
    """A notice that was given up, as the relay would have left it."""
    notice = {
        "v": 1,
        "notice": "n",
        "request": request,
        "signer": "s",
        "kind": "invitation",
        "reminder_day": 0,
        "round": 1,
    }
    embedded = Embedded(stack.directory / "relay.db", lambda: datetime.now(UTC), Pace(1, 1))
    data = json.dumps({**notice, "channel": "sms"}).encode()
    embedded.bus.publish(dead_topic("signer-notices"), [Message(data, {"reason": "no such request"})])
    embedded.stop()


def find(page: Page, text: str) -> None:
    page.goto("/console/")
    page.get_by_label("Find a request").fill(text)
    page.get_by_role("button", name="Find").click()


def test_a_number_leads_to_the_answer(page: Page, stack: Running) -> None:
    request = invited(stack)
    find(page, "(317) 123-1234")
    page.get_by_role("row", name=request).get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Employment Agreement")
    expect(page.locator(".verdict").first).to_contain_text("outbox took the invitation by SMS")
    expect(page.get_by_role("region", name="Still to come").first).to_contain_text("Reminder of day 3 due")
    expect(page.get_by_role("img", name="What each signer was sent")).to_be_visible()


def test_personal_data_is_shown_when_asked_for_and_hidden_again(page: Page, stack: Running) -> None:
    page.goto(f"/console/requests/{invited(stack)}")
    expect(page.get_by_text("Eric Smith")).to_have_count(0)
    page.get_by_role("button", name="Show personal data").click()
    expect(page.get_by_role("region", name="Signers")).to_contain_text("Eric Smith")
    page.get_by_role("link", name="Hide personal data").click()
    expect(page.get_by_text("Eric Smith")).to_have_count(0)


def test_a_message_is_sent_once_more_after_a_confirmation(page: Page, stack: Running) -> None:
    page.goto(f"/console/requests/{invited(stack)}")
    page.get_by_role("link", name=re.compile("Send once more.*Invitation by SMS")).click()
    expect(page.get_by_role("main")).to_contain_text("Invitation by SMS goes to 1. E. S.")
    axe(page)
    page.get_by_label("Why").fill("the signer deleted it")
    page.get_by_role("button", name="Send it once more").click()
    expect(page.get_by_role("status")).to_contain_text("on its way once more")
    expect(page.get_by_role("main")).to_contain_text("local: the signer deleted it")
    until(lambda: len(stack.messages(ERICS)) == 2, "the invitation came once more")


def test_reminders_are_stopped_and_resumed(page: Page, stack: Running) -> None:
    page.goto(f"/console/requests/{invited(stack)}")
    for link, button in (("Stop reminders", "Stop the reminders"), ("Resume reminders", "Resume the reminders")):
        page.get_by_role("link", name=link).click()
        page.get_by_label("Why").fill("Ann asked for it")
        page.get_by_role("button", name=button).click()
        expect(page.get_by_role("status")).to_be_visible()
        due = page.get_by_text("Reminder of day 3 due")
        expect(due.first).to_be_visible() if link.startswith("Resume") else expect(due).to_have_count(0)


def test_a_dead_letter_is_looked_at_replayed_and_gone(page: Page, stack: Running) -> None:
    dead_letter(stack, "nobody")
    page.goto("/console/dead-letters")
    expect(page.get_by_role("row", name="of request nobody")).to_contain_text(
        "nothing: the relay holds no such request"
    )
    axe(page)
    page.get_by_role("link", name="Replay all").click()
    expect(page.get_by_role("main")).to_contain_text("invitation by sms of request nobody")
    page.get_by_label("Why").fill("to be rid of it")
    page.get_by_role("button", name="Replay").click()
    expect(page.get_by_role("status")).to_contain_text("Replayed")
    expect(page.get_by_role("main")).to_contain_text("None.")


def test_all_of_it_works_without_javascript(browser: Browser, stack: Running) -> None:
    context = context_of(browser, stack, java_script_enabled=False)
    page = context.new_page()
    invited(stack)
    find(page, "smith agreement")
    page.get_by_role("row").get_by_role("link").first.click()
    page.get_by_role("link", name="Stop reminders").click()
    page.get_by_label("Why").fill("no script")
    page.get_by_role("button", name="Stop the reminders").click()
    expect(page.get_by_role("status")).to_contain_text("The reminders are stopped.")
    context.close()


def test_a_form_on_another_site_is_refused(page: Page, stack: Running, errors: Errors) -> None:
    """127.0.0.1 and localhost are two sites."""
    request = invited(stack)
    page.goto(f"/console/requests/{request}/stop")
    token = page.locator("input[name=token]").first.get_attribute("value")
    page.goto("about:blank")
    form = f'<form method="post" action="{stack.base}/console/requests/{request}/stop">'
    page.set_content(
        f'{form}<input name="token" value="{token}"><input name="why" value="x"><button>Go</button></form>'
    )
    page.get_by_role("button", name="Go").click()
    expect(page.get_by_role("alert")).to_contain_text("sent by another site")
    assert "403" in errors.pop()


def test_a_page_renews_itself(browser: Browser, stack: Running) -> None:
    request = invited(stack)
    context = context_of(browser, stack)
    page = context.new_page()
    page.clock.install()
    page.goto(f"/console/requests/{request}")
    expect(page.locator(".verdict").first).to_contain_text("Sent, not confirmed")
    for _ in range(2):
        stack.call("POST", f"/sandbox/requests/{request}/trigger", {"event": "signed"})
    until(lambda: shown(stack, request).count("Completion by") >= 4, "both were told of the completion")
    again = page.get_by_role("link", name=re.compile("Send once more.*Invitation by SMS"))
    again.focus()
    page.clock.fast_forward(5_000)
    expect(page.locator(".verdict").first).to_contain_text("the completion by SMS")
    expect(page.get_by_role("heading", level=1)).to_contain_text("complete")
    expect(page.get_by_role("link", name="Stop reminders")).to_have_count(0)
    expect(again).to_be_focused()  # so this part waits
    page.get_by_role("link", name="Attention", exact=True).focus()
    page.clock.fast_forward(5_000)
    expect(page.get_by_role("region", name="Messages")).to_contain_text("Completion by SMS")
    context.close()


def shown(stack: Running, request: str) -> str:
    """The request's page as text, without a browser."""
    return stack.call("GET", f"/console/requests/{request}")[1].decode()


def test_a_failure_is_played_and_found_in_the_console(page: Page, stack: Running) -> None:
    page.goto("/sandbox/")
    axe(page)
    page.get_by_role("button", name="Filtered").click()
    request = page.url.rpartition("/")[2]
    until(lambda: "Not reached" in shown(stack, request), "the receipt has come")
    page.get_by_role("link", name="Console").last.click()
    expect(page.locator(".verdict").first).to_have_text("Not reached: Twilio: filtered by the carrier (30007).")
    page.get_by_role("link", name="Outbox", exact=True).last.click()
    expect(page.get_by_role("region", name="Messages to +1317555")).to_contain_text("1 segment")
    axe(page)
    page.get_by_role("region", name="Phone").get_by_role("link", name="console").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Scenario: Filtered")


def test_the_keyboard_alone_stops_the_reminders(page: Page, stack: Running) -> None:
    page.goto(f"/console/requests/{invited(stack)}")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    tab_to(page, page.get_by_role("link", name="Stop reminders"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/stop")
    tab_to(page, page.get_by_label("Why"))
    page.keyboard.type("by keyboard")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("The reminders are stopped.")
