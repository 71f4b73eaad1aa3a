"""The console's pages: what they show, what they hide, what a button does, and who may press it."""

import base64
import html
import json
import logging
import re
from datetime import timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from flask.testing import FlaskClient
from msgspec.structs import replace

from shared.console.app import Console, create_console
from shared.console.configuration import configuration, warnings
from shared.console.masking import masked
from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.model import (
    ApiSigner,
    ChannelName,
    EventType,
    NoticeRecord,
    NoticeState,
    Outage,
    RelayStatus,
    Request,
    Status,
    Suppression,
)
from shared.domain.policy import Policy, address_key
from shared.domain.recheck import stub
from shared.services.erasure import Erasure
from shared.services.operator_actions import OperatorActions
from shared.services.operator_queries import PAGE, OperatorQueries
from shared.services.relay_status import RELAY
from tests.fakes import PHONES, World, seen
from tests.unit.services.test_dead_letters import Office

SENT, SIGNED, *_ = EventType
PERSONAL = ("Eric", "Smith", "+13175550101", "13175550101", "eric@example.com", "Ann")


def eric(*, name: str = "Eric Smith", **fields: Any) -> ApiSigner:
    return replace(seen("a", email="eric@example.com", **fields), name=name)


def made(world: World, office: Office | None = None, **fields: Any) -> FlaskClient:
    desk = (office or Office()).desk
    console = Console(
        inspect=OperatorQueries(world.ledger, world.policy, world.clock),
        operate=OperatorActions(world.ledger, world.publisher, world.policy, world.clock),
        dead_letters=desk,
        erasure=Erasure(world.ledger, desk),
        clock=world.clock,
        day=timedelta(days=1),
        **{"local": True, "environ": {}, **fields},
    )
    return create_console(console).test_client()


@pytest.fixture
def world() -> World:
    """Eric's text was refused, the e-mail was accepted."""
    world = World()
    world.says(eric(), seen("b"), created_at=world.now)
    world.sms.outcomes = [PermanentFailure("the number +13175550101 is a landline")]
    world.hear(SENT)
    return world


@pytest.fixture
def client(world: World) -> FlaskClient:
    return made(world)


def press(client: FlaskClient, path: str, **fields: str) -> Any:
    """Opens a page for its token, then posts to the path."""
    token = re.search(r'name="token" value="([\w-]+)"', client.get("/").text)
    assert token
    return client.post(path, data={"token": token[1], **fields})


def failed(world: World) -> str:
    return next(k for k, r in world.ledger.all(NoticeRecord).items() if r.state is NoticeState.FAILED)


class TestRequests:
    def test_are_listed_with_state_and_count(self, client):
        page = client.get("/").text
        assert "Lease" in page
        assert "0 of 2" in page
        assert re.search(r'status=open">open <span class="count">1<', page)
        assert "Lease" not in client.get("/?status=complete").text

    def test_are_paged_newest_first(self, world):
        for n in range(PAGE + 3):
            world.api.truth[f"q{n:02}"] = world.api.truth["r1"]
            world.now += timedelta(minutes=1)
            world.resolve.event(replace(world.event(SENT), request=f"q{n:02}"))
        client = made(world)
        first = client.get("/").text
        assert first.index("q27") < first.index("q26")
        assert "q02" not in first
        older = re.search(r'href="(/\?[^"]*after=[^"]*)"', first)
        assert older
        second = client.get(html.unescape(older[1])).text
        assert "q02" in second
        assert "q27" not in second
        assert "Older" not in second

    @pytest.mark.parametrize("typed", ["eric", "smith ERIC", "+1 317 555 0101", "(317) 555-0101", "eric@example.com"])
    def test_are_found_by_a_name_a_number_or_an_address(self, client, typed):
        assert "/requests/r1" in press(client, "/search", q=typed).text

    def test_are_found_only_by_all_words_together(self, client):
        page = press(client, "/search", q="eric nobody").text
        assert "/requests/r1" not in page
        assert "No requests for" in page

    def test_that_share_a_word_are_paged_too(self, world):
        for n in range(PAGE + 2):
            world.api.truth[f"q{n:02}"] = world.api.truth["r1"]
            world.resolve.event(replace(world.event(SENT), request=f"q{n:02}"))
            world.now += timedelta(minutes=1)
        client = made(world)
        first = press(client, "/search", q="lease smith").text
        after = re.search(r'name="after" value="([^"]+)"', first)
        assert after
        assert "q26" in first
        assert "q01" not in first
        second = press(client, "/search", q="lease smith", after=html.unescape(after[1])).text
        assert "q01" in second
        assert "q26" not in second

    def test_of_no_word_at_all_are_none(self, client):
        assert "No requests for" in press(client, "/search", q=" . ").text

    def test_an_id_leads_straight_to_its_request(self, client):
        assert press(client, "/search", q=" r1 ").location == "/requests/r1"

    def test_of_a_state_or_a_page_that_does_not_exist_are_a_400(self, client):
        for path in ("/?status=x", "/?after=x", "/?after=2026-01-01~x", "/messages?state=x"):
            assert client.get(path).status_code == 400


class TestRequest:
    def test_answers_why_eric_got_no_text(self, client):
        page = client.get("/requests/r1").text
        assert "Invitation by SMS: failed because: the number +1•••01 is a landline" in page
        assert "Invitation by e-mail: taken by email" in page
        assert "Reminder of day 3 due" in page

    def test_hides_personal_data_until_asked_and_logs_who_asked(self, client, caplog):
        page = client.get("/requests/r1").text
        assert not [word for word in PERSONAL if word in page]
        with caplog.at_level(logging.INFO, "shared"):
            shown = press(client, "/requests/r1/unmask").text
        assert "Eric Smith" in shown
        assert "+13175550101" in shown
        assert [r.json for r in caplog.records if "personal" in r.message] == [{"request": "r1", "who": "local"}]
        assert "Eric" not in client.get("/requests/r1").text

    def test_draws_a_row_a_signer_and_tells_it_in_words(self, client):
        page = client.get("/requests/r1").text
        assert page.count('class="lane"') == 2
        assert "1. E. S.: Invitation planned, day 0.0" in page

    def test_of_which_nothing_is_known_but_its_id_is_shown(self, world, client):
        world.ledger.put("bare", Request(id="bare", forgotten=True), None)
        page = client.get("/requests/bare").text
        assert "No signer is known." in page
        assert "personal data was deleted" in page
        assert '<svg class="days"' not in page

    def test_that_is_not_there_is_a_404(self, client):
        answer = client.get("/requests/nope")
        assert answer.status_code == 404
        assert "There is no request" in answer.text

    @pytest.mark.parametrize(
        ("fault", "status"),
        [(RetryLater("Firestore: ServiceUnavailable"), 503), (PermanentFailure("a document cannot be read"), 500)],
    )
    def test_that_cannot_be_read_says_so(self, world, client, monkeypatch, fault, status):
        monkeypatch.setattr(world.ledger, "get", Mock(side_effect=fault))
        answer = client.get("/requests/r1")
        assert (answer.status_code, fault.reason in answer.text) == (status, True)


class TestActions:
    def test_a_resend_shows_what_it_will_do_and_then_does_it(self, world, client):
        path = f"/requests/r1/resend/{failed(world)}"
        page = client.get(path).text
        assert "Invitation by SMS goes to 1. E. S. (+1•••01 or e•••@example.com) once more" in page
        before = len(world.sent())
        answer = press(client, path, why="the signer has a new phone")
        assert answer.location == "/requests/r1?done=resend"
        world.pump()
        assert len(world.sent()) == before + 1
        page = client.get(answer.location).text
        assert "on its way once more" in page
        assert "local: the signer has a new phone" in page

    def test_a_resend_that_would_be_stopped_cannot_be_confirmed(self, world, client):
        world.says(eric(signed=True), seen("b"))
        world.hear(SIGNED, "a")
        page = client.get(f"/requests/r1/resend/{failed(world)}").text
        assert "It cannot be done: already signed." in page
        assert "<button>Send" not in page
        answer = press(client, f"/requests/r1/resend/{failed(world)}", why="x")
        assert answer.status_code == 409
        assert "already signed" in answer.text

    def test_a_resend_that_would_wait_says_so(self, world, client):
        world.says(seen("b"), eric(), status=Status.PAUSED)
        world.hear(SENT, key="again")
        page = client.get(f"/requests/r1/resend/{failed(world)}").text
        assert "It will wait: the request is paused." in page

    def test_reminders_are_stopped_and_resumed(self, world, client):
        assert "6 reminders ahead are called off" in client.get("/requests/r1/stop").text
        press(client, "/requests/r1/stop", why="the deal is off")
        assert world.request().reminders_stopped
        assert "stopped already" in client.get("/requests/r1/stop").text
        press(client, "/requests/r1/resume", why="the deal is on")
        assert not world.request().reminders_stopped
        assert "not stopped" in client.get("/requests/r1/resume").text

    def test_a_blocked_address_is_shown_where_it_matters_and_cleared(self, world, client):
        key = address_key(ChannelName.SMS, PHONES["a"], Policy())
        world.ledger.put(key, Suppression(channel=ChannelName.SMS, reason="landline", since=world.now), None)
        field = f'name="address" value="{key}"'
        assert field in client.get("/requests/r1").text
        assert field in client.get("/suppressions").text
        assert "It was blocked because: landline" in press(client, "/suppressions/clear", address=key).text
        press(client, "/suppressions/clear", address=key, why="it was ported")
        assert "by local: it was ported" in client.get("/suppressions").text
        assert field not in client.get("/requests/r1").text

    def test_the_key_of_an_address_is_in_no_page_address(self, world, client):
        for n in range(PAGE + 1):
            blocked = Suppression(channel=ChannelName.SMS, reason="landline", since=world.now - timedelta(hours=n))
            world.ledger.put(address_key(ChannelName.SMS, f"+1317555{n:04}", Policy()), blocked, None)
        world.ledger.put(address_key(ChannelName.SMS, PHONES["a"], Policy()), blocked, None)
        for path in ("/suppressions", "/requests/r1"):
            addresses = re.findall(r'(?:href|action)="([^"]*)"', client.get(path).text)
            assert not [a for a in addresses for key in world.ledger.all(Suppression) if key in a]
        after = re.search(r'name="after" value="([^"]*)"', client.get("/suppressions").text)
        assert "landline" in press(client, "/suppressions", after=after[1]).text

    def test_the_data_of_a_request_is_deleted_once_confirmed(self, world, client):
        assert "This cannot be undone" in client.get("/requests/r1/forget").text
        assert not world.request().forgotten
        press(client, "/requests/r1/forget", why="Eric asked for it")
        assert world.request() == stub(world.request())
        page = client.get("/requests/r1?done=forget").text
        assert "only this stub is left" in page
        assert "/requests/r1/forget" not in page

    def test_nothing_is_done_without_a_reason(self, world, client):
        answer = press(client, "/requests/r1/stop", why=" ")
        assert answer.status_code == 400
        assert "Say why" in answer.text
        assert not world.request().reminders_stopped


class TestDeadLetters:
    def test_are_listed_with_what_a_replay_would_do_and_replayed(self):
        office = Office()
        client = made(office, office)
        assert "None." in client.get("/dead-letters").text
        office.dead_event()
        assert "reads the request for the first time" in client.get("/dead-letters").text
        assert "request_sent of request r1: reads the request" in client.get("/dead-letters/replay?id=1").text
        answer = press(client, "/dead-letters/replay?id=1", why="the fault is mended")
        assert answer.location == "/dead-letters?done=replay"
        office.pump()
        assert len(office.sent()) == 2
        assert "there are none" in client.get("/dead-letters/replay").text

    def test_can_be_dropped_one_by_one(self):
        office = Office()
        client = made(office, office)
        office.dead_event(data=b"not json")
        office.dead_event()
        press(client, "/dead-letters/drop?id=1", why="a test of ours")
        assert [one.key for one in office.letters.letters] == ["2"]
        assert "there are none" in client.get("/dead-letters/drop").text


class TestGuard:
    def test_a_form_without_its_token_or_with_another_does_nothing(self, world, client):
        client.get("/")
        for fields in ({}, {"token": ""}, {"token": "x" * 43}, {"token": "é" * 43}):
            assert client.post("/requests/r1/stop", data={"why": "x", **fields}).status_code == 403
        assert not world.request().reminders_stopped

    @pytest.mark.parametrize(
        "headers",
        [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}],
    )
    def test_a_form_of_another_site_does_nothing(self, world, client, headers):
        token = re.search(r'name="token" value="([\w-]+)"', client.get("/").text)
        assert token
        fields = {"token": token[1], "why": "x"}
        assert client.post("/requests/r1/stop", data=fields, headers=headers).status_code == 403
        here = {"Origin": "http://localhost:9000"}  # the tunnel
        assert client.post("/requests/r1/stop", data=fields, headers=here).status_code == 303

    def test_every_page_forbids_scripts_frames_and_caches(self, client):
        for path in ("/", "/requests/r1", "/health", "/style.css", "/nope"):
            headers = client.get(path).headers
            assert "default-src 'none'" in headers["Content-Security-Policy"]
            assert "unsafe" not in headers["Content-Security-Policy"]
            assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
            assert headers["Cache-Control"] == "no-store"
        assert "SameSite=Strict" in client.get("/health").headers.get("Set-Cookie", "SameSite=Strict")

    def test_no_page_needs_an_inline_style_or_a_script(self, client):
        for path in (
            "/",
            "/requests/r1",
            "/messages",
            "/suppressions",
            "/health",
            "/dead-letters",
            "/requests/r1/stop",
        ):
            page = client.get(path).text
            assert not re.search(r"<script|<style|\sstyle=|\son\w+=", page)

    def test_a_name_cannot_break_out_of_its_page(self, world):
        world.says(eric(name="<script>alert(1)</script> x"), seen("b"), created_at=world.now)
        world.hear(SENT, key="again")
        assert "<script>" not in press(made(world), "/requests/r1/unmask").text


def bearer(claims: dict[str, Any]) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"Bearer e30.{payload}.SIGNATURE_REMOVED_BY_GOOGLE"


class TestWho:
    def stop(self, world: World, **headers: str) -> int:
        client = made(world, local=False)
        token = re.search(r'name="token" value="([\w-]+)"', client.get("/").text)
        assert token
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        status = client.post("/requests/r1/stop", data={"token": token[1], "why": "x"}, headers=named).status_code
        return int(status)

    def test_is_the_email_of_the_token_that_cloud_run_has_checked(self, world):
        assert self.stop(world, Authorization=bearer({"email": "ops@example.com"})) == 303
        assert world.request().notes[0].who == "ops@example.com"

    def test_of_two_tokens_counts_the_one_that_was_checked(self, world):
        checked, free = bearer({"email": "ops@example.com"}), bearer({"email": "ceo@example.com"})
        assert self.stop(world, X_Serverless_Authorization=checked, Authorization=free) == 303
        assert world.request().notes[0].who == "ops@example.com"

    @pytest.mark.parametrize("given", ["", "Bearer", "Bearer a.b.c", "Bearer a.bm90IGpzb24.c", bearer({"email": 1})])
    def test_nobody_does_nothing(self, world, given):
        assert self.stop(world, **({"Authorization": given} if given else {})) == 403
        assert not world.request().reminders_stopped


class TestHealth:
    def test_shows_counts_troubles_queues_and_warnings(self, world):
        client = made(
            world,
            gauges=lambda: {"Messages to deliver": 3, "Oldest of them": world.now, "Next": None},
            warnings=["SHORTENER=bitly uses bit.ly"],
        )
        page = client.get("/health").text
        assert "1 × sms: the number +1•••01 is a landline" in page
        assert "<dt>Messages to deliver</dt><dd>3</dd>" in page
        assert "SHORTENER=bitly uses bit.ly" in page
        assert "none yet" in page

    def test_tells_of_the_last_pass_and_of_a_provider_that_is_down(self, world):
        outage = Outage(since=world.now, last=world.now, until=world.now)
        told = RelayStatus(circuits={"twilio": outage}, reconciled_at=world.now, rechecked=7, postponed=1)
        world.ledger.put(RELAY, told, None)
        page = made(world).get("/health").text
        assert "7 rechecked, 1 must wait" in page
        assert "<dt>twilio</dt><dd>fails since" in page

    def test_refreshes_itself_only_when_asked(self, client):
        assert "http-equiv" not in client.get("/health").text
        assert 'http-equiv="refresh"' in client.get("/health?live=1").text

    def test_in_the_cloud_leads_to_what_google_knows(self, world):
        page = made(world, local=False, environ={"GOOGLE_CLOUD_PROJECT": "acme"}).get("/health").text
        assert "console.cloud.google.com/cloudtasks?project=acme" in page
        assert "Sandbox" not in page


def test_messages_are_listed_by_state_with_their_reason(client):
    page = client.get("/messages").text
    assert "the number +1•••01 is a landline" in page
    assert "/requests/r1" in page
    assert "No message is unknown" in client.get("/messages?state=unknown").text


def test_settings_show_no_secret_and_nothing_that_is_not_ours():
    shown = configuration(
        {
            "CLICKWRAP_API_TOKEN": "s3cret",
            "SMTP_URL": "smtp://u:s3cret@x",
            "APPRISE_SMS_URL": "json://s3cret",
            "LINKS_SECRET": "s3cret",
            "TWILIO_AUTH_TOKEN": "s3cret",
            "MAILGUN_API_KEY": "s3cret",
            "SMS_PROVIDER": "twilio",
            "LINK_HOSTS": "sign.example",
            "PATH": "/bin",
            "AWS_PASSWORD": "s3cret",
        }
    )
    assert "s3cret" not in str(shown)
    assert shown["SMS_PROVIDER"] == "twilio"
    assert shown["LINK_HOSTS"] == "sign.example"
    assert not {"PATH", "AWS_PASSWORD"} & shown.keys()


def test_warnings_name_half_a_rotation_and_missing_providers():
    assert len(warnings({"CLICKWRAP_WEBHOOK_TOKENS": "a,b", "SMS_PROVIDER": "twilio", "EMAIL_PROVIDER": "smtp"})) == 1
    assert "nobody is written to" in warnings({})[0]
    assert warnings({"SMS_PROVIDER": "twilio"}) == ["EMAIL_PROVIDER is none: nobody is written to on that channel."]
    assert warnings({"CLICKWRAP_WEBHOOK_TOKENS": "a", "SMS_PROVIDER": "x", "EMAIL_PROVIDER": "y"}) == []


def test_masking_leaves_enough_to_tell_people_apart():
    assert masked("to +13175550101 and eric.smith@example.com") == "to +1•••01 and e•••@example.com"
    assert masked("notice 13175550101 of day 3") == "notice 13175550101 of day 3"
