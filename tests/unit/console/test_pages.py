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

from shared.console import bulk
from shared.console.app import Console, create_console
from shared.console.chart import ROW, SHIFTS
from shared.console.configuration import configuration, warnings
from shared.console.exports import written
from shared.console.masking import Shown, masked
from shared.console.words import SHORT
from shared.domain import backlog
from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.model import (
    ApiSigner,
    ChannelName,
    EventType,
    Kind,
    NoticeRecord,
    NoticeState,
    Outage,
    RelayStatus,
    Request,
    Role,
    Signer,
    SignerState,
    Status,
    Suppression,
    Transition,
)
from shared.domain.planner import notice_for
from shared.domain.policy import Policy, address_key
from shared.domain.recheck import stub
from shared.domain.verdict import Reach
from shared.ports import Flow
from shared.services import dead_letters, operator_actions, operator_queries
from shared.services.erasure import Erasure
from shared.services.operator_actions import OperatorActions
from shared.services.operator_lists import PAGE
from shared.services.operator_queries import LATEST, SIGNERS, OperatorQueries
from shared.services.queued import Queued
from shared.services.relay_status import update_status
from shared.services.resource_names import ResourceNames
from tests.fakes import PHONES, World, answer, seen
from tests.unit.services.test_dead_letters import Office

SENT, SIGNED, *_ = EventType
PERSONAL = ("Eric", "Smith", "+13175550101", "13175550101", "eric@example.com", "Ann")


def eric(*, name: str = "Eric Smith", **fields: Any) -> ApiSigner:
    return replace(seen("a", email="eric@example.com", **fields), name=name)


def made(world: World, office: Office | None = None, queued: Queued | None = None, **fields: Any) -> FlaskClient:
    desk = (office or Office()).desk
    console = Console(
        inspect=OperatorQueries(world.ledger, world.policy, world.clock, queued),
        operate=OperatorActions(world.ledger, world.publisher, world.policy, world.clock),
        dead_letters=desk,
        erasure=Erasure(world.ledger, desk, world.clock),
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


def confirm(client: FlaskClient, path: str, **fields: str) -> Any:
    """Opens a confirmation, and posts it with its hidden fields."""
    return client.post(path, data=hidden(client.get(path).text) | fields)


def hidden(page: str) -> dict[str, str]:
    """A page's hidden fields."""
    return dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', page))


def put_failed(
    world: World, key: str, reason: str, state: NoticeState = NoticeState.FAILED, signed: bool = False, **fields: Any
) -> None:
    """A request of one signer, whose invitation by SMS ended like this."""
    signer = Signer(
        number=1,
        name="Eric Smith",
        mobile=PHONES["a"],
        channels=(ChannelName.SMS,),
        request_url="https://sign.test/a",
        state=SignerState.SIGNED if signed else SignerState.INVITED,
        invited_at=world.now,
    )
    request = Request(id=key, title="Lease", signers={"k": signer}, changed_at=world.now, **fields)
    notice = notice_for(request, "k", Kind.INVITATION, ChannelName.SMS)
    record = NoticeRecord(
        request_id=key,
        signer="k",
        kind=Kind.INVITATION,
        channel=ChannelName.SMS,
        round=1,
        state=state,
        reason=reason,
        history=(Transition(at=world.now, state=state, why=reason),),
        changed_at=world.now,
    )
    for at, item in ((key, request), (notice.notice, record)):
        world.ledger.documents[type(item), at] = (item, 1)


PACE = " at the pace of the last ten minutes."
SOON = ", done at about 3 Mar 2026, 01:{}:00 UTC" + PACE  # two messages have left


def put_planned(world: World, count: int) -> None:
    """Messages that wait to be tried again."""
    record = next(iter(world.ledger.all(NoticeRecord).values()))
    planned = replace(record, request_id="gone", state=NoticeState.PLANNED, changed_at=world.now)
    world.ledger.documents |= {(NoticeRecord, f"planned {n}"): (planned, 1) for n in range(count)}


def waiting(world: World, flows: dict[str, Flow]) -> FlaskClient:
    return made(world, queued=Queued(Mock(flows=Mock(return_value=flows))))


def told(client: FlaskClient) -> list[str]:
    """What the first page says of what waits."""
    page = re.sub(r"</?time[^>]*>", "", client.get("/").text)
    return re.findall(r'<p class="note">(.* wait to be .*)</p>', page)


def search(client: FlaskClient, text: str) -> Any:
    """The page that a search leads to."""
    return client.get(press(client, "/search", q=text).location)


def failed(world: World) -> str:
    return next(k for k, r in world.ledger.all(NoticeRecord).items() if r.state is NoticeState.FAILED)


class TestRequests:
    def test_are_listed_with_state_and_count(self, client):
        page = client.get("/requests").text
        assert "Lease" in page
        assert "0 of 2" in page
        assert re.search(r'status=open">open <span class="count">1<', page)
        assert "Lease" not in client.get("/requests?status=complete").text

    def test_show_how_many_of_their_signers_were_not_reached(self, world):
        world.says(replace(eric(), email=""), seen("b"))
        world.sms.outcomes = [PermanentFailure("landline")] * 2
        world.api.truth["r2"] = replace(world.api.truth["r1"], id="r2")
        world.resolve.event(replace(world.event(SENT), request="r2"))
        world.pump()
        row = made(world).get("/requests").text.partition("<code>r2</code>")[2].partition("</tr>")[0]
        assert re.search(r'2 <span class="badge not-reached"[^>]*>not reached<', row)

    def test_are_paged_newest_first(self, world):
        for n in range(PAGE + 3):
            world.api.truth[f"q{n:02}"] = world.api.truth["r1"]
            world.now += timedelta(minutes=1)
            world.resolve.event(replace(world.event(SENT), request=f"q{n:02}"))
        client = made(world)
        first = client.get("/requests").text
        assert first.index("<code>q27") < first.index("<code>q26")
        assert "<code>q02" not in first  # a form's token may hold any three letters
        older = re.search(r'href="(/requests\?[^"]*after=[^"]*)"', first)
        assert older
        second = client.get(html.unescape(older[1])).text
        assert "<code>q02" in second
        assert "<code>q27" not in second
        assert ">Older<" not in second

    @pytest.mark.parametrize(
        "typed",
        [
            "eric",
            "Eri",
            "smith ERIC",
            "+1 317 555 0101",
            "(317) 555-0101",
            "0101",
            "eric@example.com",
            "example",
            "leas",
        ],
    )
    def test_are_found_by_a_name_a_number_or_an_address(self, client, typed):
        assert "/requests/r1" in search(client, typed).text

    def test_are_found_by_the_ids_that_their_page_shows(self, world, client):
        notice, record = next((k, r) for k, r in world.ledger.all(NoticeRecord).items() if r.provider_id)
        for typed in (notice, notice[:12], record.provider_id):
            assert "/requests/r1" in search(client, typed).text, typed

    def test_are_found_by_how_their_id_begins(self, world, client):
        world.ledger.put("5f90ab37", replace(world.request(), id="5f90ab37"), None)
        assert "/requests/5f90ab37" in search(client, "5f90").text

    def test_searched_for_are_found_again_by_back_and_by_a_bookmark_without_a_name_in_the_address(self, client, caplog):
        with caplog.at_level(logging.DEBUG):
            first, second = (press(client, "/search", q=text).location for text in ("eric smith", "nobody"))
        assert "/requests/r1" in client.get(first).text
        assert "No requests for" in client.get(second).text
        assert press(client, "/search", q="eric smith").location == first
        assert not [word for word in ("eric", "smith") if word in (first + caplog.text).lower()]

    def test_searched_for_in_another_browser_are_not_shown(self, world, client):
        address = press(client, "/search", q="eric").location
        page = made(world).get(address).text
        assert "type it again" in page
        assert "/requests/r1" not in page
        assert "type it again" in made(world).get(address, headers={"Cookie": "searches=%%%"}).text

    def test_are_found_only_by_all_words_together(self, client):
        page = search(client, "eric nobody").text
        assert "/requests/r1" not in page
        assert "No requests for" in page

    def test_that_share_a_word_are_paged_too(self, world):
        for n in range(PAGE + 2):
            world.api.truth[f"q{n:02}"] = world.api.truth["r1"]
            world.resolve.event(replace(world.event(SENT), request=f"q{n:02}"))
            world.now += timedelta(minutes=1)
        client = made(world)
        first = search(client, "lease smith").text
        after = re.search(r'href="(/search[^"]*after=[^"]*)"', first)
        assert after
        assert "<code>q26" in first
        assert "<code>q01" not in first
        second = client.get(html.unescape(after[1])).text
        assert "<code>q01" in second
        assert "<code>q26" not in second

    def test_not_found_say_from_how_many_characters_on_a_word_is_found(self, client):
        assert "Words, or how they begin from three characters on, in any order." in search(client, "le").text

    def test_of_no_word_at_all_are_none(self, client):
        assert "No requests for" in search(client, " . ").text

    def test_an_id_leads_straight_to_its_request(self, client):
        assert press(client, "/search", q=" r1 ").location == "/requests/r1"

    def test_of_a_state_or_a_page_that_does_not_exist_are_a_400(self, client):
        for path in (
            "/requests?status=x",
            "/requests?after=x",
            "/requests?after=2026-01-01~x",
            "/messages?state=x",
            "/messages?since=monday",
            "/requests/r1?page=0",
            "/requests/r1?reach=x",
            "/messages.csv?state=x",
            "/resend?state=delivered",
        ):
            assert client.get(path).status_code == 400


class TestRequest:
    def test_answers_why_eric_got_no_text(self, client):
        page = client.get("/requests/r1").text
        assert "Invitation by SMS: failed because: <bdi>the number +1•••01 is a landline</bdi>" in page
        assert "Invitation by e-mail: taken by email" in page
        assert "Reminder of day 3 due" in page

    def test_shows_the_mail_to_the_sender_without_a_button_to_repeat_it(self):
        world = World(Policy(tell_sender=True, channels="sms"))
        world.says(eric(), created_at=world.now, sender_email="ann@example.com")
        world.sms.outcomes = [PermanentFailure("landline")]
        world.hear(SENT)
        world.advance(timedelta(minutes=1))
        page = html.unescape(made(world).get("/requests/r1").text)
        assert "Mail to the sender about signers not reached by e-mail: taken by email" in page
        assert "Not again: the sender's mails are not sent once more" in page
        assert "to <bdi>the sender</bdi>" in page
        assert not any(word in page for word in PERSONAL)

    def test_hides_personal_data_until_asked_and_logs_who_asked(self, client, caplog):
        page = client.get("/requests/r1").text
        assert not [word for word in PERSONAL if word in page]
        with caplog.at_level(logging.INFO, "shared"):
            shown = press(client, "/requests/r1/unmask").text
        assert "Eric Smith" in shown
        assert "+13175550101" in shown
        assert [r.json for r in caplog.records if "personal" in r.message] == [{"request": "r1", "who": "local"}]
        assert "Eric" not in client.get("/requests/r1").text

    def test_says_of_each_reminder_ahead_whether_it_can_arrive(self):
        world = World()
        world.says(seen("a", mobile="12345"), seen("b"))
        world.hear(SENT)
        ahead = made(world).get("/requests/r1").text.partition('id="coming"')[2].partition("</section>")[0]
        because = re.findall(r"Reminder of day 3 due</td>.*?<td><bdi>([^<]*)</bdi></td>\s*</tr>", ahead, re.DOTALL)
        assert because == ["cannot arrive: there is no address to send it to", ""]

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
        assert "It cannot be done: already signed." in answer.text

    def test_pressed_twice_it_is_done_once_and_the_second_answer_leads_back(self, world, client):
        path = f"/requests/r1/resend/{failed(world)}"
        fields = hidden(client.get(path).text) | {"why": "pressed twice"}
        before = len(world.sent())
        first, second = (client.post(path, data=fields) for _ in range(2))
        world.pump()
        assert (first.status_code, second.status_code, len(world.sent()) - before) == (303, 409, 1)
        assert "It cannot be done: it was sent once more already." in second.text
        assert 'href="/requests/r1">Back' in second.text

    def test_a_message_that_had_no_address_is_not_sent_once_more(self):
        world = World()
        world.says(seen("a", mobile="12345"))
        world.hear(SENT)
        client, none = made(world), failed(world)
        assert "Not again: there was no address to send it to" in client.get("/requests/r1").text
        page = client.get("/resend?state=failed").text
        assert "1 × not sent: there was no address to send it to." in page
        assert "It cannot be done: none of these can be sent" in page
        assert press(client, f"/requests/r1/resend/{none}", why="x").status_code == 409

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

    @pytest.mark.parametrize(("act", "stopped"), [("stop", False), ("resume", True)])
    def test_reminders_of_an_ended_request_are_neither_stopped_nor_resumed(self, world, client, act, stopped):
        ended = replace(world.request(), status=Status.COMPLETE, reminders_stopped=stopped)
        world.ledger.put("r1", ended, world.ledger.get(Request, "r1").version)
        assert f"/requests/r1/{act}" not in client.get("/requests/r1").text
        assert "It cannot be done: the request is complete." in client.get(f"/requests/r1/{act}").text
        assert press(client, f"/requests/r1/{act}", why="x").status_code == 409

    def test_of_a_request_whose_data_was_deleted_nothing_is_offered(self, world):
        client = made(world, evidence=lambda key: b"")
        press(client, "/requests/r1/forget", why="ticket 7")
        page = client.get("/requests/r1").text
        assert not [act for act in ("stop", "resume", "read", "forget", "unmask") if f"/requests/r1/{act}" in page]
        for act in ("stop", "resume", "read"):
            assert "It cannot be done: its personal data was deleted." in client.get(f"/requests/r1/{act}").text

    def test_one_reminder_is_spoken_of_as_one(self):
        world = World(Policy(reminder_days=(3,)))
        world.says(seen("a"))
        world.hear(SENT)
        assert (
            "One reminder ahead is called off, and no new ones are planned."
            in made(world).get("/requests/r1/stop").text
        )

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

    def test_the_data_of_a_request_is_deleted_once_confirmed(self, world, client, caplog):
        assert "This cannot be undone" in client.get("/requests/r1/forget").text
        assert not world.request().forgotten
        with caplog.at_level(logging.INFO, "shared"):
            press(client, "/requests/r1/forget", why="ticket 7")
        assert [r.json["why"] for r in caplog.records if "forgotten" in r.message] == ["ticket 7"]
        assert replace(world.request(), next_at=None) == stub(world.request())
        page = client.get("/requests/r1?done=forget").text
        assert "only this stub is left" in page
        assert "/requests/r1/forget" not in page

    def test_the_page_says_where_there_were_too_many_dead_letters(self, client, monkeypatch):
        monkeypatch.setattr(dead_letters, "EVERY", 0)
        there = press(client, "/requests/r1/forget", why="ticket 7").headers["Location"]
        assert "too many dead letters" in client.get(there).text

    def test_evidence_is_one_click_of_an_operator_and_who_took_it_is_logged(self, world, caplog):
        with caplog.at_level(logging.INFO, "shared"):
            taken = press(made(world, evidence=lambda key: f"<p>{key}".encode()), "/requests/r1/evidence")
        assert taken.data == b"<p>r1"
        assert taken.headers["Content-Disposition"] == "attachment; filename=evidence-r1.html"
        assert caplog.records[-1].json == {"request": "r1", "who": "local"}
        assert press(made(world, evidence=lambda key: None), "/requests/r1/evidence").status_code == 404

    def test_without_a_key_there_is_no_evidence(self, world, client):
        assert "/requests/r1/evidence" not in client.get("/requests/r1").text
        assert "/requests/r1/evidence" in made(world, evidence=lambda key: b"").get("/requests/r1").text
        assert press(client, "/requests/r1/evidence").status_code == 404

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

    def test_of_an_event_from_which_nothing_follows_promise_only_to_read(self):
        office = Office()
        office.hear(SENT)
        office.dead_event(SIGNED)
        said = "reads the request again, and sends what is due; so far nothing"
        assert f"{said}." in made(office, office).get("/dead-letters/replay").text

    def test_replayed_alone_leave_the_others_unjudged(self):
        office = Office()
        office.dead_event()
        office.dead_event(SIGNED)
        client = made(office, office)
        page = client.get(press(client, "/dead-letters/replay?id=1", why="x").location).text
        assert "Replayed. What cannot be read stays here, and what fails again comes back." in page

    def test_can_be_dropped_one_by_one(self):
        office = Office()
        client = made(office, office)
        office.dead_event(data=b"not json")
        office.dead_event()
        press(client, "/dead-letters/drop?id=1", why="a test of ours")
        assert [one.key for one in office.letters.letters] == ["2"]
        assert "there are none" in client.get("/dead-letters/drop").text
        assert "Dropped." in client.get("/dead-letters?done=drop").text
        press(client, "/dead-letters/drop", why="of none in particular")
        assert len(office.letters.letters) == 1

    def test_lead_by_their_trace_to_the_log(self):
        office = Office()
        office.dead_event()
        office.letters.letters = [replace(office.letters.letters[0], trace=32 * "a")]
        assert f"trace <code>{32 * 'a'}</code>" in made(office, office).get("/dead-letters").text
        page = made(office, office, local=False, environ={"GOOGLE_CLOUD_PROJECT": "acme"}).get("/dead-letters").text
        assert f"query;query=trace%3D%22projects%2Facme%2Ftraces%2F{32 * 'a'}%22?project=acme" in page

    @pytest.mark.parametrize("act", ["replay", "drop"])
    def test_are_logged_with_their_ids_the_person_and_the_reason(self, caplog, act):
        office = Office()
        office.dead_event()
        with caplog.at_level(logging.INFO, "shared"):
            press(made(office, office), f"/dead-letters/{act}?id=1", why="a test of ours")
        [logged] = [r.json for r in caplog.records if "operator: dead letters" in r.message]
        assert logged == {"letters": ["1: request_sent of request r1"], "who": "local", "why": "a test of ours"}


class TestGuard:
    def test_a_form_without_its_token_or_with_another_does_nothing(self, world, client):
        client.get("/")
        for fields in ({}, {"token": ""}, {"token": "x" * 43}, {"token": "é" * 43}):
            assert client.post("/requests/r1/stop", data={"why": "x", **fields}).status_code == 403
        assert not world.request().reminders_stopped

    @pytest.mark.parametrize(
        "headers",
        [
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": "https://evil.example"},
            {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
            {"Origin": "http://localhost:9000"},
            {"Origin": "null"},
        ],
    )
    def test_a_form_of_another_site_does_nothing(self, world, client, headers):
        token = re.search(r'name="token" value="([\w-]+)"', client.get("/").text)
        assert token
        fields = {"token": token[1], "why": "x"}
        assert client.post("/requests/r1/stop", data=fields, headers=headers).status_code == 403
        here = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
        assert client.post("/requests/r1/stop", data=fields, headers=here).status_code == 303

    def test_every_page_forbids_foreign_scripts_frames_and_caches(self, client):
        for path in ("/", "/requests/r1", "/health", "/style.css", "/nope"):
            headers = client.get(path).headers
            assert "default-src 'none'" in headers["Content-Security-Policy"]
            assert "unsafe" not in headers["Content-Security-Policy"]
            assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
            assert headers["Cache-Control"] == "no-store"
        assert "SameSite=Strict" in client.get("/health").headers.get("Set-Cookie", "SameSite=Strict")

    def test_no_page_needs_an_inline_style_or_script(self, client):
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
            assert not re.search(r"<style|\sstyle=|\son\w+=", page)
            assert re.findall(r"<script[^>]*>", page) in ([], ['<script src="/live.js" defer>'])

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
        outage = Outage(since=world.now, last=world.now, until=world.now, failures=9)
        told = RelayStatus(circuits={"sms twilio": outage}, reconciled_at=world.now, rechecked=7, postponed=1)
        update_status(world.ledger, lambda known: replace(told, answers=known.answers))
        page = made(world).get("/health").text
        assert "7 rechecked, 1 must wait" in page
        assert '<dt>twilio (SMS)</dt><dd class="bad">fails since' in page
        assert "every message is tried" in page  # no next try in the past

    def test_in_the_cloud_leads_to_what_google_knows(self, world):
        page = made(world, local=False, environ={"GOOGLE_CLOUD_PROJECT": "acme"}).get("/health").text
        assert "console.cloud.google.com/cloudtasks?project=acme" in page
        assert "Sandbox" not in page


def test_a_mail_of_the_day_is_listed_though_it_is_of_no_request(world, client):
    sent = next(r for r in world.records() if r.state is NoticeState.ACCEPTED)
    world.ledger.put("d" * 64, replace(sent, request_id="d" * 64, signer="", kind=Kind.COPY_DAILY), None)
    page = client.get("/messages?state=accepted").text
    assert "Mail of the day to the sender" in page
    assert f'href="/requests/{"d" * 64}"' not in page


def test_messages_are_listed_by_state_with_their_reason(client):
    page = client.get("/messages").text
    assert "the number +1•••01 is a landline" in page
    assert "/requests/r1" in page
    assert "None." in client.get("/messages?state=unknown").text


def test_settings_show_no_secret_and_nothing_that_is_not_ours():
    shown = configuration(
        {
            "CLICKWRAP_API_TOKEN": "s3cret",
            "SMTP_URL": "smtp://u:s3cret@x",
            "MICROSOFT_CLIENT_SECRET": "s3cret",
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
    people = Request(id="r", sender="Jo  de  Vries", signers={"a": Signer(number=1, name="Ann\u00a0Lee")})
    shown = Shown(people, personal=False)
    assert shown.text("Jo de Vries and Ann  Lee") == "J. d. V. and A. L."
    assert shown.text("LEASE OF ANN LEE; Ann Lees contract") == "LEASE OF A. L.; A. L.s contract"
    assert masked("notice 13175550101 of day 3") == "notice 13175550101 of day 3"


def test_a_short_name_is_not_masked_within_another_word():
    people = Request(id="r", signers={"a": Signer(number=1, name="Q"), "b": Signer(number=2, name="Li")})
    text = Shown(people, personal=False).text("Hello Q, Li has signed.\nQuestions? Links?")
    assert text == "Hello Q., L. has signed.\nQuestions? Links?"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("+1 317 123 1234", "+1•••34"),
        ("+1 (317) 123-1234", "+1•••34"),
        ("call 317-123-1234 now", "call 31•••34 now"),
        ("(317) 123-1234", "(3•••34"),
        ("1-317-123-1234", "1-•••34"),
        ("06.12.34.56.78", "06•••78"),
        ("0171/1234567", "01•••67"),
        *[
            (text, text)
            for text in ("2026-11-26 06:52", "on 12.10.2026", "HTTP 400 (21211)", "550 5.7.30", "SM1234567-1234")
        ],
    ],
)
def test_a_number_is_masked_however_it_is_spaced(given, shown):
    assert masked(given) == shown


def test_a_signers_name_in_a_title_is_masked_on_every_page(world):
    world.api.truth["r1"] = replace(world.api.truth["r1"], title="Contract of Eric Smith, +1 317 555 0101")
    world.hear(SENT, key="again")
    client = made(world)
    for path in ("/", "/requests", "/requests/r1", "/messages?state=accepted", "/requests.csv", "/attention.csv"):
        page = client.get(path)
        assert (page.status_code, "Eric" in page.text, "0101" in page.text) == (200, False, False), path
    assert "Contract of E. S., +1•••01" in client.get("/requests/r1").text
    assert "Contract of Eric Smith, +1 317 555 0101" in press(client, "/requests/r1/unmask").text


def sentences(page: str) -> list[str]:
    """The verdicts of a page, in their order."""
    found = re.findall(r'<p class="verdict [^>]*><bdi>(.*?)</bdi></p>', page)
    return [html.unescape(text) for text in found]


def test_the_first_thing_on_a_request_is_the_verdict_on_each_signer(world, client):
    page = client.get("/requests/r1").text
    assert sentences(page) == [
        "Sent, not confirmed: email took the invitation by e-mail and has not said that it arrived.",
        "Sent, not confirmed: sms took the invitation by SMS and has not said that it arrived.",
    ]
    assert page.index('class="verdict') < page.index("Still to come")


def test_a_number_that_is_none_is_shown_as_it_was_given_and_found():
    world = World()
    world.says(seen("a", mobile="12345"), seen("b"))
    world.hear(SENT, key="again")
    client = made(world)
    page = client.get("/requests/r1").text
    assert sentences(page)[0] == "Not reached: the number '12345' is not a phone number."
    assert "Correct it in Clickwrap; it is noticed within" in page
    assert "/requests/r1" in search(client, "12345").text


def test_a_number_that_lacks_a_digit_is_masked():
    world = World()
    world.says(seen("a", mobile="+1 317 555 01"), seen("b"))
    world.hear(SENT, key="again")
    page = made(world).get("/requests/r1").text
    assert sentences(page)[0] == "Not reached: the number '+1•••01' is not a phone number."
    assert "555" not in page


def blocked(world: World) -> str:
    key = address_key(ChannelName.SMS, PHONES["a"], world.policy)
    reason = "twilio: the recipient has opted out (STOP) (21610)"
    world.ledger.put(key, Suppression(channel=ChannelName.SMS, reason=reason, since=world.now), None)
    return key


class TestBlocked:
    def test_is_said_with_the_signer_and_nothing_is_offered_that_cannot_succeed(self, world):
        key = blocked(world)
        page = made(world).get("/requests/r1").text
        assert "The number of <bdi>1. E. S.</bdi> is blocked" in page
        assert f"/requests/r1/resend/{failed(world)}" not in page
        assert "Not again: the address is blocked" in page
        assert f'name="address" value="{key}"><input type="hidden" name="request" value="r1"' in page

    def test_that_was_cleared_meanwhile_is_called_nobodys_no_more(self, world):
        key, client = blocked(world), made(world)
        asked = {"address": key, "request": "r1"}
        press(client, "/suppressions/clear", **asked, why="they texted START")
        page = press(client, "/suppressions/clear", **asked).text
        assert "It cannot be done: it is cleared already." in page
        assert "nobody" not in page
        assert "tried again" not in page

    @pytest.mark.parametrize(("channel", "named"), [(ChannelName.SMS, "by SMS"), (ChannelName.EMAIL, "by e-mail")])
    def test_only_of_a_number_clearing_speaks_of_texts(self, world, channel, named):
        world.ledger.put("k", Suppression(channel=channel, reason="bounced", since=world.now), None)
        page = press(made(world), "/suppressions/clear", address="k").text
        assert f"Messages {named} to this address are tried again" in page
        assert ("until they text START" in page) is (channel is ChannelName.SMS)

    def test_clearing_says_whose_it_is_and_warns_of_stop(self, world):
        key, client = blocked(world), made(world)
        asked = {"address": key, "request": "r1"}
        page = press(client, "/suppressions/clear", **asked).text
        assert "It is the address of 1. E. S. (+1•••01 or e•••@example.com)" in page
        assert "until they text START" in page
        answer = press(client, "/suppressions/clear", **asked, why="they texted START")
        assert answer.location == "/requests/r1?done=clear"
        page = client.get(answer.location).text
        assert f"Operator: a blocked address cleared ({key[:12]})" in page
        assert "local: they texted START" in page


class TestHome:
    def test_groups_by_cause_what_was_not_reached(self, world):
        world.says(replace(eric(), email=""), seen("b"))
        world.api.truth["r2"] = replace(world.api.truth["r1"], id="r2")
        world.sms.outcomes = [PermanentFailure("the number is a landline"), PermanentFailure("opted out")]
        world.resolve.event(replace(world.event(SENT), request="r2"))
        world.pump()
        page = made(world).get("/").text
        assert re.search(r'Address unusable <span class="count">1<', page)
        assert re.search(r'Opted out <span class="count">1<', page)
        assert "/requests/r2" in page
        assert "/requests/r1" not in page  # reached by e-mail

    def test_is_shown_though_the_dead_letters_cannot_be_read(self, world, monkeypatch):
        office = Office()
        monkeypatch.setattr(office.desk, "held", Mock(side_effect=RetryLater("Pub/Sub cannot be reached")))
        answer = made(world, office).get("/")
        assert answer.status_code == 200
        assert "dead letter" not in answer.text.split("<main")[1]

    def test_and_its_csv_and_the_list_call_a_dead_letter_by_its_name_like_the_page_of_the_request(self):
        office = Office()
        office.says(seen("a"))
        office.resolve.event(office.event(SENT))
        office.dead_notices()
        client = made(office, office)
        said = "Not reached: the invitation by SMS was given up and is a dead letter."
        assert sentences(client.get("/requests/r1").text) == [said]
        home = client.get("/").text
        assert re.search(r'Dead letter <span class="count">1<', home)
        assert said in home
        assert said in client.get("/attention.csv").text
        assert "not reached" in client.get("/requests").text

    def test_tells_how_many_events_wait_and_until_when(self, world):
        client = waiting(world, {"resolve": Flow(52_000, 8_000)})
        assert told(client) == ["52,000 events wait to be handled, done at about 2 Mar 2026, 16:06:00 UTC" + PACE]

    def test_tells_of_one_number_of_messages_those_of_both_channels_or_those_to_be_tried_again(self, world):
        flows = {"deliver-sms": Flow(70, 3), "deliver-email": Flow(50)}
        put_planned(world, 119)
        assert told(waiting(world, flows)) == ["120 messages wait to be sent" + SOON.format("01")]
        put_planned(world, 130)
        assert told(waiting(world, flows)) == ["130 messages wait to be sent" + SOON.format("51")]
        assert told(made(world)) == ["130 messages wait to be sent" + SOON.format("51")]

    def test_tells_of_each_where_both_wait(self, world):
        flows = {"resolve": Flow(250_000), "deliver-sms": Flow(130_000)}
        told_of = ["250,000 events wait to be handled.", "130,000 messages wait to be sent"]
        assert [line[: len(of)] for line, of in zip(told(waiting(world, flows)), told_of, strict=True)] == told_of

    def test_says_where_more_may_wait_to_be_tried_again_than_were_counted(self, world, monkeypatch):
        monkeypatch.setattr(backlog, "MOST", 110)
        put_planned(world, 120)
        assert told(made(world)) == ["110+ messages wait to be sent."]

    def test_tells_of_no_few(self, world):
        flows = {"resolve": Flow(99, 1), "deliver-sms": Flow(50, 1), "deliver-email": Flow(49, 1)}
        assert told(waiting(world, flows)) == []

    def test_knows_the_subscriptions_by_their_prefix(self, world):
        flows = Mock(flows=Mock(return_value={"test-resolve": Flow(100)}))
        names = ResourceNames(events_topic="test-clickwrap-events")
        assert told(made(world, queued=Queued(flows, names.prefix))) == ["100 events wait to be handled."]
        assert list(flows.flows.call_args.args[0]) == ["test-resolve", "test-deliver-sms", "test-deliver-email"]

    def test_is_shown_without_what_cannot_be_measured_and_the_log_is_told_once(self, world, caplog):
        flows = Mock(flows=Mock(side_effect=RetryLater("Cloud Monitoring answered 403")))
        put_planned(world, 130)
        client = made(world, queued=Queued(flows))
        for _ in range(3):
            assert told(client) == ["130 messages wait to be sent" + SOON.format("51")]
        said = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
        assert said == ["what waits in Pub/Sub is not known: Cloud Monitoring answered 403"]

    def test_foresees_no_time_while_a_provider_is_down(self, world):
        outage = Outage(since=world.now, last=world.now, until=world.now + timedelta(minutes=9), failures=9)
        update_status(world.ledger, lambda known: replace(known, circuits={"sms sms": outage}))
        put_planned(world, 130)
        assert told(made(world)) == ["130 messages wait to be sent."]

    @pytest.mark.parametrize(
        ("failures", "hours", "down"), [(4, 0, False), (5, 0, True), (5, 1, True), (5, 2, False), (900, 25, False)]
    )
    def test_calls_neither_a_few_failures_nor_those_long_past_an_outage(self, world, failures, hours, down):
        outage = Outage(since=world.now, last=world.now, until=world.now, failures=failures)
        update_status(world.ledger, lambda known: replace(known, circuits={"sms sms": outage}))
        world.now += timedelta(hours=hours)
        client = made(world)
        assert ("has failed since" in client.get("/").text) is down
        assert ("fails since" in client.get("/health").text) is down

    def test_tells_of_an_outage_and_of_who_waits_for_it(self, world):
        world.says(seen("c"))
        world.api.truth["r2"] = replace(world.api.truth["r1"], id="r2")
        outage = Outage(since=world.now, last=world.now, until=world.now + timedelta(minutes=9), failures=9)
        update_status(world.ledger, lambda known: replace(known, circuits={"sms sms": outage}))
        world.sms.always = RetryLater("503")
        world.resolve.event(replace(world.event(SENT), request="r2"))
        page = made(world).get("/").text
        assert "sms (SMS) has failed since" in page
        assert "the next try is" in page
        assert re.search(r'Provider down <span class="count">1<', page)

    def test_tells_of_a_signer_who_was_reached_and_can_be_reminded_no_more(self):
        world = World()
        world.says(seen("a"))
        world.hear(SENT)
        blocked(world)
        page = made(world).get("/").text
        assert re.search(r'No reminder can arrive <span class="count">1<', page)
        assert "No reminder can arrive: the address is blocked: twilio: the recipient has opted out" in page

    def test_tells_of_every_one_of_many_signers_who_texted_stop(self):
        world = World()
        numbers = [f"+1317555{n:04}" for n in range(30)]
        world.says(*(replace(seen(f"s{n}"), mobile=number) for n, number in enumerate(numbers)))
        world.hear(SENT)
        for record in world.ledger.all(NoticeRecord).values():
            stop = Suppression(channel=ChannelName.SMS, reason="the recipient has opted out", since=world.now)
            world.ledger.put(record.address, stop, None)
        page = made(world).get("/").text
        assert re.search(r'No reminder can arrive <span class="count">30<', page)

    def test_shows_a_rare_cause_behind_many_newer_failures_and_says_that_there_are_more(self):
        world = World()
        put_failed(world, "old", "the signer has opted out")
        for n in range(LATEST + 10):
            world.now += timedelta(minutes=1)
            put_failed(world, f"q{n}", "the account is suspended")
        page = made(world).get("/").text
        assert re.search(r'Opted out <span class="count">1<', page)
        assert re.search(rf'Refused <span class="count">{LATEST}\+<', page)
        assert f"The CSV has {LATEST - 10} more, and there may be older ones." in page

    def test_leaves_out_what_was_suppressed_as_not_due_any_more(self):
        world = World()
        put_failed(world, "one", "the account is suspended")
        put_failed(world, "two", "the address is not to be used: opted out", state=NoticeState.SUPPRESSED)
        for n in range(LATEST + 10):
            world.now += timedelta(minutes=1)
            put_failed(world, f"q{n}", "already signed", state=NoticeState.SUPPRESSED, signed=True)
        page = made(world).get("/").text
        assert re.search(r'Refused <span class="count">1<', page)
        assert re.search(r'Opted out <span class="count">1<', page)

    def test_tells_what_to_do_once_for_a_cause_or_for_each_where_the_times_differ(self):
        world = World()
        for n, minutes in enumerate((8, 1)):
            put_failed(world, f"q{n}", "the number is a landline", next_at=world.now + timedelta(minutes=minutes))
        page = made(world).get("/").text
        assert 'class="advice"' not in page
        assert re.findall(r"it is noticed within (\w+) minute", page) == ["8", "a"]
        put_failed(world, "q0", "the number is a landline", next_at=world.now + timedelta(minutes=1))
        page = made(world).get("/").text
        assert '<p class="advice">Correct it in Clickwrap; it is noticed within a minute.</p>' in page
        assert page.count("it is noticed") == 1

    def test_tells_how_many_messages_wait_and_until_when(self, world):
        record = next(iter(world.ledger.all(NoticeRecord).values()))
        for state, count in ((NoticeState.PLANNED, 300), (NoticeState.ACCEPTED, 60), (NoticeState.DELIVERED, 38)):
            for n in range(count):
                changed = replace(record, state=state, changed_at=world.now - timedelta(minutes=9))
                world.ledger.put(f"{state}{n}", changed, None)
        done_at = world.now + timedelta(minutes=31)  # two of the world's own have left too: 100 in ten minutes
        page = made(world).get("/").text
        assert "300 messages wait to be sent, done at about <time" in page
        assert done_at.isoformat(timespec="minutes")[:16] in page
        world.now += timedelta(minutes=11)
        assert "300 messages wait to be sent.</p>" in made(world).get("/").text

    def test_of_a_quiet_day_says_so(self):
        assert "No signer needs attention: as far as is known, each was reached" in made(World()).get("/").text


class TestLists:
    def test_are_narrowed_by_day_channel_provider_and_cause(self, world, client):
        here, day = "the number +1•••01 is a landline", world.now.date()
        for query, there in {
            f"since={day}&until={day}": True,
            "until=2020-01-01": False,
            "until=9999-12-31": True,
            "since=2030-01-01": False,
            "channel=sms": True,
            "channel=SMS": True,
            "channel=email": False,
            "site=acme": False,
            "provider=sms": True,
            "provider=SMS": True,
            "provider=twilio": False,
            "cause=address+unusable": True,
            "cause=Address+Unusable": True,
            "cause=filtered": False,
        }.items():
            assert (here in client.get(f"/messages?state=failed&{query}").text) is there, query
        assert "/requests/r1" in client.get(f"/requests?since={day}").text
        assert "/requests/r1" not in client.get("/requests?until=2020-01-01").text
        world.ledger.put("of-a-site", replace(world.request(), id="of-a-site", site="acme"), None)
        of_site = client.get("/requests?site=ACME").text
        assert ("/requests/of-a-site" in of_site, "/requests/r1" in of_site) == (True, False)

    def test_of_messages_are_narrowed_by_the_site_of_their_request(self):
        world = World()
        for site in ("acme", "globex"):
            put_failed(world, f"of-{site}", "the account is suspended", site=site)
        client = made(world)
        for path in ("/messages?site=Acme", "/messages.csv?site=acme"):
            assert ("of-acme" in client.get(path).text, "of-globex" in client.get(path).text) == (True, False)
        assert "site=Acme" in client.get("/messages?site=Acme").text  # the links to CSV, resend and other states
        assert "Send 1 message once more" in client.get("/resend?state=failed&site=acme").text

    def test_of_messages_offer_the_providers_and_causes_that_there_are(self, world):
        page = made(world, environ={"SMS_PROVIDER": "twilio", "FORMER_PROVIDERS": "vonage, mailgun"}).get(
            "/messages?provider=SMS&cause=Refused"
        )
        chosen = re.findall(r"<option selected>(.*?)</option>", page.text)
        assert chosen == ["sms", "refused"]
        provider = page.text.partition('name="provider"')[2].partition("</select>")[0]
        assert re.findall(r"<option[^>]*>(.*?)</option>", provider) == [
            "all",
            "mailgun",
            "none",
            "sms",
            "twilio",
            "vonage",
        ]

    def test_of_messages_name_the_signer_and_the_request(self, client):
        page = client.get("/messages").text
        assert "Invitation by SMS" in page
        assert "<bdi>1. E. S.</bdi>" in page
        assert "<bdi>Lease</bdi>" in page

    @pytest.mark.parametrize(
        ("path", "has"),
        [
            ("requests.csv", "r1,Lease,open,0,2"),
            ("messages.csv?state=failed", "Invitation by SMS,failed,the number +1•••01 is a landline"),
            ("suppressions.csv", "sms,twilio: the recipient has opted out"),
            ("attention.csv", "cause,request,title"),
            ("days.csv", "2026-03-02,email,1,0,0"),
            ("dead-letters.csv", "1,request_sent of request r1,2026-03-02"),
        ],
    )
    def test_come_as_csv_masked(self, world, path, has):
        blocked(world)
        office = Office()
        office.dead_event()
        answer = made(world, office).get(f"/{path}")
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert answer.data.startswith(b"\xef\xbb\xbf"), "by which Excel knows that it is UTF-8"
        assert has in answer.text
        assert not [word for word in PERSONAL if word in answer.text]

    def test_count_the_same_signatures_on_the_page_and_as_csv(self, world):
        copied = replace(seen("c"), role=Role.RECIPIENT)
        world.says(eric(signed=True), seen("b"), copied)
        world.hear(SIGNED, "a")
        key = world.signer("b")
        gone = replace(world.request().signers[key], state=SignerState.REMOVED)
        some = replace(world.request(), signers={**world.request().signers, key: gone})
        world.ledger.put("r1", some, world.ledger.get(Request, "r1").version)
        client = made(world)
        assert "1 of 1" in client.get("/requests").text
        assert "r1,Lease,open,1,1," in client.get("/requests.csv").text

    def test_of_a_search_come_as_csv_and_of_another_browser_are_empty(self, world, client):
        link = re.search(r'href="(/search.csv\?n=[^"]*)"', search(client, "eric").text)
        assert link
        assert "r1,Lease,open,0,2" in client.get(link[1]).text
        assert "r1" not in made(world).get(link[1]).text

    def test_of_days_mark_the_one_of_which_only_a_part_was_counted(self, monkeypatch):
        monkeypatch.setattr(operator_queries, "COUNTED", 3)
        world = World()
        for n, hours in enumerate((0, 24, 1, 22, 1)):  # one, then two of the next day, then two of the one after
            world.now += timedelta(hours=hours)
            put_failed(world, f"q{n}", "the account is suspended")
        client = made(world)
        assert re.findall(r'<th scope="row">(.*?)</th>', client.get("/days").text) == ["2026-03-04", "2026-03-03*"]
        assert "2026-03-03,sms,0,0,1,0.0,0,yes" in client.get("/days.csv").text
        assert "A part of the day" in client.get("/days").text
        monkeypatch.setattr(operator_queries, "COUNTED", 6)
        assert "*" not in "".join(re.findall(r'<th scope="row">(.*?)</th>', made(world).get("/days").text))

    def test_that_do_not_exist_are_a_404(self, client):
        assert client.get("/secrets.csv").status_code == 404

    def test_hold_no_cell_that_a_spreadsheet_would_run(self):
        assert written(["a"], [["=1+1"], ["@x"], [None]]).split() == ["a", "'=1+1", "'@x", '""']

    def test_of_days_have_a_chart_and_a_table(self, client):
        page = client.get("/days").text
        assert 'class="bar-sent"' in page
        assert '<th scope="row">2026-03-02</th><td>email</td><td data-label="Sent">1</td>' in page
        assert "No message yet" in made(World()).get("/days").text


class TestBulk:
    @pytest.fixture
    def outage(self) -> World:
        """Three requests whose texts the provider refused; one was signed since."""
        world = World()
        for n in (1, 2, 3):
            world.api.truth[f"q{n}"] = replace(answer(seen("a")), id=f"q{n}")
            world.sms.outcomes = [PermanentFailure("the account is suspended")]
            world.resolve.event(replace(world.event(SENT), request=f"q{n}"))
            world.pump()
        world.api.truth["q3"] = replace(answer(seen("a", signed=True), seen("b")), id="q3")
        world.resolve.event(replace(world.event(SIGNED, "a"), request="q3"))
        world.pump()  # b of q3 is invited
        world.sms.sent.clear()
        world.now += timedelta(minutes=1)
        return world

    def test_first_counts_and_sends_nothing(self, outage):
        page = made(outage).get("/resend?state=failed&cause=refused").text
        assert "Send 2 messages once more" in page
        assert "2 × Invitation by SMS: will be sent once more, with the request as it stands then." in page
        assert "1 × not sent: already signed." in page
        assert outage.sent() == []

    def test_then_sends_each_once_and_records_it_with_its_request(self, outage):
        client, path = made(outage), "/resend?state=failed&cause=refused"
        page = confirm(client, path, why="the account was paid").text
        assert "2 messages sent once more" in page
        assert "2 × Invitation by SMS: on its way, recorded with its request." in page
        outage.pump()
        assert len(outage.sent()) == 2
        assert "local: the account was paid" in client.get("/requests/q1").text
        assert "It cannot be done" in client.get(path).text
        confirm(client, path, why="again")
        outage.pump()
        assert len(outage.sent()) == 2

    def test_goes_on_after_its_first_batch_until_all_are_sent(self, monkeypatch):
        monkeypatch.setattr(bulk, "AT_ONCE", 3)
        monkeypatch.setattr(operator_actions, "TOGETHER", 2)
        world = World()
        for n in range(7):
            world.api.truth[f"q{n}"] = replace(answer(seen("a")), id=f"q{n}")
            world.sms.outcomes = [PermanentFailure("the account is suspended")]
            world.resolve.event(replace(world.event(SENT), request=f"q{n}"))
            world.pump()
            world.now += timedelta(minutes=1)
        client, path = made(world), "/resend?state=failed"
        for batch, all_sent in ((3, 3), (3, 6), (1, 7)):
            assert f"Send {batch} message" in client.get(path).text
            confirm(client, path, why="the account was paid")
            world.pump()
            assert len(world.sent()) == all_sent
        assert "It cannot be done: none of these can be sent" in client.get(path).text

    def test_sends_what_was_counted_and_nothing_that_failed_since(self, outage):
        client, path = made(outage), "/resend?state=failed"
        counted = hidden(client.get(path).text)
        outage.api.truth["q9"] = replace(answer(seen("a")), id="q9")
        outage.sms.outcomes = [PermanentFailure("the account is suspended")]
        outage.resolve.event(replace(outage.event(SENT), request="q9"))
        outage.pump()
        outage.sms.sent.clear()
        client.post(path, data={**counted, "why": "the account was paid"})
        outage.pump()
        assert len(outage.sent()) == 2
        assert outage.ledger.all(Request)["q9"].resends == ()

    def test_says_what_became_unsendable_after_the_count(self, outage):
        client, path = made(outage), "/resend?state=failed"
        counted = hidden(client.get(path).text)
        outage.api.truth["q1"] = replace(answer(seen("a", signed=True), seen("b")), id="q1")
        outage.resolve.event(replace(outage.event(SIGNED, "a", key="late"), request="q1"))
        page = client.post(path, data={**counted, "why": "the account was paid"}).text
        assert "1 message sent once more" in page
        assert "1 × not sent: already signed." in page

    def test_without_a_reason_counts_again(self, outage):
        answer = confirm(made(outage), "/resend?state=failed", why=" ")
        assert answer.status_code == 400
        assert "Send 2 messages once more" in answer.text
        assert answer.text.count("<button>Send them once more</button>") == 1

    def test_of_nothing_is_refused(self, outage):
        assert press(made(outage), "/resend?state=failed", why="x").status_code == 409

    @pytest.mark.parametrize(("state", "warned"), [("unknown", True), ("failed", False)])
    def test_warns_of_doubles_where_the_answer_was_lost(self, outage, state, warned):
        for key, record in outage.ledger.all(NoticeRecord).items():
            version = outage.ledger.get(NoticeRecord, key).version
            outage.ledger.put(key, replace(record, state=NoticeState(state)), version)
        client, key = made(outage), next(iter(outage.ledger.all(NoticeRecord)))
        for path in (f"/resend?state={state}", f"/requests/q1/resend/{key}"):
            assert ("gets it twice" in client.get(path).text) is warned


class TestRoles:
    def client(self, world: World, email: str) -> FlaskClient:
        fields = {"operators": frozenset({"ops@example.com"}), "evidence": str.encode}
        client = made(world, local=False, **fields)
        client.environ_base["HTTP_AUTHORIZATION"] = bearer({"email": email})
        return client

    def test_a_reader_sees_all_and_changes_nothing(self, world):
        client = self.client(world, "reader@example.com")
        page = client.get("/requests/r1").text
        assert "You may read, not act." in page
        assert not [act for act in ("/stop", "/read", "/resend/", "/evidence") if f"/requests/r1{act}" in page]
        for path in ("/requests/r1/stop", "/requests/r1/read", "/requests/r1/evidence", "/resend?state=failed"):
            assert press(client, path, why="x").status_code == 403
        assert world.request().notes == ()

    def test_an_operator_acts(self, world):
        client = self.client(world, "Ops@example.com")
        assert press(client, "/requests/r1/stop", why="x").status_code == 303


LIVE = {
    "/": {"now", "attention"},
    "/requests": {"list"},
    "/messages": {"list"},
    "/days": {"figures"},
    "/suppressions": {"list"},
    "/dead-letters": {"list"},
    "/health": {"now", "health"},
    "/requests/r1": {"heading", "verdicts", "notes", "chart", "coming", "sofar", "sent"},
}


@pytest.mark.parametrize("path", LIVE)
def test_what_changes_is_marked_for_the_script(world, client, path):
    empty = made(World()).get(path if path != "/requests/r1" else "/").text
    assert set(re.findall(r'id="([^"]*)" data-live', client.get(path).text)) == LIVE[path]
    assert path == "/requests/r1" or set(re.findall(r'id="([^"]*)" data-live', empty)) == LIVE[path]


def test_a_page_of_dead_letters_in_the_cloud_does_not_lease_them_again_and_again(world):
    assert "data-live" not in made(world, local=False).get("/dead-letters").text


def test_the_api_is_read_at_once_when_asked(world, client):
    assert "within a minute" in client.get("/requests/r1/read").text
    assert press(client, "/requests/r1/read", why="it was corrected").location == "/requests/r1?done=read"
    assert world.request().next_at == world.now
    assert "Operator: the API is read again" in client.get("/requests/r1").text


def test_each_try_of_a_message_is_told_with_its_outcome_and_how_long_it_took(world):
    world.says(seen("c"))
    world.api.truth["r2"] = replace(world.api.truth["r1"], id="r2")
    world.sms.outcomes = [RetryLater("refused", after=60)]
    send = world.sms.send
    world.http_status = 503

    def slow(message):
        world.now += timedelta(milliseconds=412) * bool(world.http_status)
        return send(message)

    world.sms.send = slow
    world.resolve.event(replace(world.event(SENT), request="r2"))
    world.pump()
    world.http_status = 0
    world.advance(timedelta(hours=1))
    client = made(world, local=False, environ={"GOOGLE_CLOUD_PROJECT": "acme"})
    page = client.get("/requests/r2").text
    assert re.search(r"Handed over <time[^>]*>[^<]*</time>: planned, HTTP 503 after 0.41 s \(refused\)", page)
    assert re.search(r"Handed over <time[^>]*>[^<]*</time>: accepted after 0.00 s", page)
    assert page.count("refused; HTTP 503 after 412 ms") == 1  # among what happened
    assert "console.cloud.google.com/logs/query;query=jsonPayload.notice" in page
    assert "console.cloud.google.com/logs/query;query=jsonPayload.request%3D%22r2%22?project=acme" in page


def test_webhooks_are_told_by_their_type(client):
    assert "Webhook request_sent handled" in client.get("/requests/r1").text


def test_every_state_has_a_sentence(client):
    page = client.get("/words").text
    for state in (*Status, *NoticeState, *SignerState, *Reach):
        assert SHORT[state.value]
        assert html.escape(SHORT[state.value], quote=False).split("'")[0] in html.unescape(page)


def test_a_request_of_many_signers_is_shown_by_pages_and_by_verdict(world):
    world.says(*(seen(f"s{n}", mobile=f"+1317555{n:04}" if n else "12345") for n in range(60)))
    world.hear(SENT, key="again")
    client = made(world)
    first = client.get("/requests/r1").text
    assert len(sentences(first)) == SIGNERS
    assert "page=2" in first
    alone = client.get("/requests/r1?reach=not+reached").text
    assert sentences(alone) == ["Not reached: the number '12345' is not a phone number."]
    assert len(first) < 200_000


def test_the_script_is_served_and_the_chart_keeps_each_mark_in_its_row(client):
    assert client.get("/live.js").mimetype == "text/javascript"
    assert max(abs(shift) for shift in SHIFTS) + 6 < ROW / 2
