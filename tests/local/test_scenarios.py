"""Failures to play: what each does to the provider, the API and the webhooks, and the receipts that follow."""

import html
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from requests.structures import CaseInsensitiveDict

from local import trigger
from local.sandbox import outbox, receipts
from local.sandbox.app import create_app
from local.sandbox.outbox import Outbox, OutboxChannel
from local.sandbox.receipts import Post
from local.sandbox.scenarios import LATE, OUTAGE, SCENARIOS, add_scenarios
from shared.domain.errors import OutcomeUnknown, PermanentFailure, RetryLater
from shared.domain.inbound import InboundText, Keyword
from shared.domain.model import ChannelName, NoticeState
from shared.domain.receipts import InvalidSignature, Receipt, ReceiptRequest
from shared.ports import Outgoing

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
JSON = {"Accept": "application/json"}
TEXT = Outgoing(notice="n1", to="+13175550142", text="Please sign")


@pytest.fixture
def stored(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox.db")


@pytest.fixture
def app(tmp_path: Path, stored: Outbox) -> Flask:
    app = create_app(
        tmp_path / "sandbox.db", "http://relay.test/receive", "t", "http://relay.test/sandbox", lambda: NOW
    )
    add_scenarios(app, stored)
    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def channel(stored: Outbox, now: Callable[[], datetime] = lambda: NOW) -> OutboxChannel:
    return OutboxChannel(ChannelName.SMS, stored, now)


def play(client: FlaskClient, name: str) -> str:
    answer = client.post(f"/scenarios/{name}", headers=JSON)
    assert answer.status_code == 200
    return str(answer.get_json()["id"])


def waiting(app: Flask, request: str) -> list[Any]:
    """The request's webhooks, the first fired first."""
    return [d.webhook for d in app.extensions["service"].store.deliveries(request)][::-1]


def test_each_has_a_button_and_makes_a_request_that_leads_to_the_console(client: FlaskClient) -> None:
    page = client.get("/").text
    for name, scenario in SCENARIOS.items():
        assert f"/scenarios/{name}" in page
        assert scenario.text in html.unescape(page)
        request = play(client, name)
        shown = client.get(f"/requests/{request}").text
        assert f"/console/requests/{request}" in shown
        assert f"/outbox/?q={request}" in shown
    assert client.post("/scenarios/nope").status_code == 404
    assert client.post("/scenarios/landline").status_code == 303


@pytest.mark.parametrize(
    ("name", "error", "suppress"),
    [
        ("opted_out", PermanentFailure, True),
        ("landline", PermanentFailure, True),
        ("down", RetryLater, False),
        ("lost_answer", OutcomeUnknown, False),
    ],
)
def test_a_provider_that_fails_raises_what_an_adapter_would(
    stored: Outbox, name: str, error: type[Exception], suppress: bool
) -> None:
    stored.fail(TEXT.to, name)
    with pytest.raises(error) as raised:
        channel(stored).send(TEXT)
    assert getattr(raised.value, "suppress", False) is suppress
    assert len(stored.messages()) == (name == "lost_answer")  # it left all the same


def test_an_outage_ends_by_itself_and_concerns_one_channel(stored: Outbox) -> None:
    stored.fail(f"{outbox.ALL}sms", "down", NOW + OUTAGE)
    with pytest.raises(RetryLater):
        channel(stored).send(TEXT)
    OutboxChannel(ChannelName.EMAIL, stored, lambda: NOW).send(TEXT)
    channel(stored, lambda: NOW + OUTAGE).send(TEXT)


def test_all_works_again_when_asked(client: FlaskClient, stored: Outbox, app: Flask) -> None:
    for name in ("down", "api-500"):
        play(client, name)
    assert client.post("/recover", headers=JSON).status_code == 204
    assert app.extensions["service"].store.settings().faults == []
    channel(stored).send(TEXT)


DELIVERED, UNDELIVERED = (NoticeState.DELIVERED, "", False), NoticeState.UNDELIVERED


@pytest.mark.parametrize(
    ("name", "of", "expected"),
    [
        ("filtered", ChannelName.SMS, [(UNDELIVERED, "Twilio: filtered by the carrier (30007)", False)]),
        ("bounced", ChannelName.EMAIL, [(UNDELIVERED, "Mailgun: bounced (550)", True)]),
        ("delivered", ChannelName.SMS, [DELIVERED]),
        ("delivered", ChannelName.EMAIL, [DELIVERED]),
        ("stop", ChannelName.SMS, [DELIVERED, (TEXT.to, Keyword.STOP)]),
    ],
)
def test_receipts_follow_in_a_providers_form_that_only_this_outbox_can_sign(
    stored: Outbox, monkeypatch: pytest.MonkeyPatch, name: str, of: ChannelName, expected: list[Any]
) -> None:
    posts: list[Post] = []
    monkeypatch.setattr(outbox, "send_later", posts.append)
    stored.fail(TEXT.to, name)
    accepted = OutboxChannel(of, stored, lambda: NOW, "http://relay.test/receipts").send(TEXT)
    verifier = receipts.OutboxReceipts()
    told = [one for post in posts for one in verifier.receipts(_received(post), NOW)]
    assert [_said(one) for one in told] == expected
    assert {(one.notice, one.provider_id) for one in told if isinstance(one, Receipt)} == {("n1", accepted.provider_id)}
    monkeypatch.setattr(receipts, "KEY", "another")
    with pytest.raises(InvalidSignature):
        receipts.OutboxReceipts().receipts(_received(posts[0]), NOW)


def _received(post: Post) -> ReceiptRequest:
    return ReceiptRequest(post.url, CaseInsensitiveDict(post.headers), post.body)


def _said(one: Receipt | InboundText) -> tuple[object, ...]:
    return (one.state, one.reason, one.suppress) if isinstance(one, Receipt) else (one.number, one.keyword)


def test_webhooks_get_lost_come_twice_and_out_of_order(client: FlaskClient, app: Flask) -> None:
    assert waiting(app, play(client, "webhook-lost")) == []
    first, second = waiting(app, play(client, "webhook-twice"))
    assert first.body == second.body
    late = waiting(app, play(client, "webhook-late"))
    assert [w.type for w in late] == ["request_sent", "request_signed"]
    store = app.extensions["service"].store
    assert "request_sent" not in [w.type for w in store.waiting(NOW) if w.request == late[0].request]
    assert late[0].id in [w.id for w in store.waiting(NOW + LATE)]


def test_the_api_fails_and_lags(client: FlaskClient) -> None:
    for name, status in (("api-429", 429), ("api-500", 500)):
        request = play(client, name)
        answers = [client.get(f"/api/v1.1/requests/{request}", headers={"Authorization": "Bearer x"}) for _ in range(4)]
        assert [a.status_code for a in answers] == [status, status, status, 200]
    request = play(client, "api-stale")
    answers = [client.get(f"/api/v1.1/requests/{request}", headers={"Authorization": "Bearer x"}) for _ in range(4)]
    assert [a.get_json()["signers"][0]["signed"] for a in answers] == [False, False, False, True]


class TestTrigger:
    def event(self, client: FlaskClient, request: str, event: str, **more: Any) -> Any:
        return client.post(f"/requests/{request}/trigger", json={"event": event, **more})

    def test_brings_about_each_event(self, client: FlaskClient, app: Flask) -> None:
        for event, status in (("sent", "sent"), ("signed", "open"), ("complete", "complete"), ("expired", "expired")):
            request = play(client, "delivered")
            assert self.event(client, request, event).get_json()["status"] == status
            assert waiting(app, request)[-1].type == f"request_{event}"

    def test_sends_a_webhook_alone_that_the_api_denies(self, client: FlaskClient, app: Flask) -> None:
        request = play(client, "delivered")
        assert self.event(client, request, "complete", only=True).get_json()["status"] == "sent"
        assert waiting(app, request)[-1].type == "request_complete"
        self.event(client, request, "signed", only=True)
        assert "signer" in json.loads(waiting(app, request)[-1].body)

    def test_refuses_what_cannot_be(self, client: FlaskClient) -> None:
        request = play(client, "delivered")
        assert self.event(client, request, "opened").status_code == 409
        assert self.event(client, request, "expired").status_code == 200
        assert self.event(client, request, "signed").status_code == 409
        assert client.post(f"/requests/{request}/trigger", json={}).status_code == 400

    def test_by_command_line_says_what_it_lacks(self, capsys: Any) -> None:
        assert trigger.main("", "r1", False, "1") == 1
        assert trigger.main("signed", "r1", False, "1") == 1
        said = capsys.readouterr().err
        assert "set EVENT" in said
        assert "start `make run`" in said


def test_the_outbox_is_searched_and_leads_to_the_request(stored: Outbox) -> None:
    stored.add("sms", "n1", "+13175550142", "Please sign", at=NOW)
    stored.add("email", "n2", "jane@example.com", "text", "Contract", '<p><img src="x"><script></script></p>', at=NOW)
    client = outbox.create_outbox_app(stored, {"n1": "r1", "n2": "r2"}.__getitem__).test_client()
    page = client.get("/").text
    assert "/console/requests/r1" in page
    assert "/sandbox/requests/r2" in page
    assert "1 segment, 11 GSM-7" in page
    assert "It holds a script" in page
    assert "An image has no text" in page
    for text, found in (("r1", "n1"), ("0142", "n1"), ("contract", "n2"), ("n2", "n2")):
        alone = client.get(f"/?q={text}").text
        assert f'title="notice {found}"' in alone
        assert f'title="notice {"n1" if found == "n2" else "n2"}"' not in alone
