"""The local substitute for Clickwrap: its pages, the vendor's API with its switches, and the webhooks."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from local.sandbox.app import create_app, webhooks_of
from local.sandbox.webhooks import next_attempt

PUBLIC = "http://relay.test/sandbox"
AUTH = {"Authorization": "Bearer any"}
JSON = {"Accept": "application/json"}
ERIC = {
    "name": "Eric Smith",
    "mobile_number": "+13175550142",
    "send_to": {"mobile_number": True},
    "signer_id": "eric/1",
}
JANE = {"name": "Jane Doe", "email": "jane@example.com", "send_to": {"email": True}, "signer_id": "José 7"}
REQUEST = {"title": "Employment Agreement", "sender": "Ann Sender", "signers": [ERIC, JANE]}


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 3, 2, 12, 0, 0, 578_000, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(tmp_path: Path, clock: Clock) -> Flask:
    return create_app(tmp_path / "sandbox.db", "http://relay.test/receive", "s3cret", PUBLIC, clock)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def create(client: FlaskClient, **changes: Any) -> dict[str, Any]:
    answer = client.post("/requests", json=REQUEST | changes)
    assert answer.status_code == 201, answer.text
    return dict(answer.get_json())


def fetch(client: FlaskClient, key: str) -> dict[str, Any]:
    answer = client.get(f"/api/v1.1/requests/{key}", headers=AUTH)
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


def act(client: FlaskClient, key: str, action: str) -> TestResponse:
    return client.post(f"/requests/{key}/{action}", headers=JSON)


def links(client: FlaskClient, key: str) -> list[str]:
    """Every signer's signing page, in order, from the sender's page (the API hides those whose turn has not come)."""
    return re.findall(r'href="(/sign/[^"]+)"', client.get(f"/requests/{key}").text)


def fired(app: Flask, key: str) -> list[dict[str, Any]]:
    deliveries = app.extensions["service"].store.deliveries(key)
    return [json.loads(d.webhook.body) for d in reversed(deliveries)]


def types(app: Flask, key: str) -> list[str]:
    return [body["event_type"] for body in fired(app, key)]


# -- creating


def test_a_request_by_json_answers_201_with_its_id_and_signing_urls(client: FlaskClient) -> None:
    made = create(client)
    assert re.fullmatch(r"[0-9a-f]{24}", made["id"])
    assert [s["request_url"].startswith(f"{PUBLIC}/sign/") for s in made["signers"]] == [True, True]
    assert [s["signer_id"] for s in made["signers"]] == ["eric/1", "José 7"]


def test_the_prefilled_form_can_be_sent_as_it_is(client: FlaskClient) -> None:
    page = client.get("/").text
    form = dict(re.findall(r'<input id="([^"]+)" name="[^"]+" type="\w+" value="([^"]*)"', page))
    form |= dict.fromkeys(re.findall(r'type="checkbox" name="([^"]+)" checked', page), "on")
    answer = client.post("/requests", data=form)
    assert answer.status_code == 303
    made = client.get(answer.location, headers=JSON).get_json()
    assert made["name"] == "Employment Agreement"
    assert [s["send_to"] for s in made["signers"]] == [
        {"email": False, "mobile_number": True},
        {"email": True, "mobile_number": False},
    ]
    assert made["expires_time"] == "2026-04-01T12:00:00.578Z"


def test_the_form_grows_by_a_signer_and_keeps_what_was_typed(client: FlaskClient) -> None:
    page = client.post("/requests", data={"title": "Draft <1>", "signers-0-name": "Eric", "add": "1"}).text
    assert 'name="signers-1-name"' in page
    assert "Draft &lt;1&gt;" in page
    assert client.get("/api/v1.1/sites/1/requests", headers=AUTH).get_json()["total_count"] == 0


def test_a_bad_form_comes_back_with_every_reason_and_what_was_typed(client: FlaskClient) -> None:
    form = {"title": " ", "sender": "Ann", "signers-0-name": "Eric", "signers-0-to-email": "on", "expiry_days": "soon"}
    answer = client.post("/requests", data=form)
    assert answer.status_code == 400
    for reason in ("give the request a title", "needs an e-mail address", "send_to.email is on", "not a whole number"):
        assert reason in answer.text
    assert 'value="Eric"' in answer.text
    assert 'value="soon"' in answer.text


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"title": ""}, "title"),
        ({"title": 7}, "$.title"),
        ({"sender": " "}, "sender"),
        ({"signers": []}, "at least one person who signs"),
        ({"signers": [{"name": "Eric", "email": "e@x.org"}]}, "send_to"),
        ({"signers": [ERIC | {"phone": "1"}]}, "phone"),
        ({"signers": [ERIC | {"mobile_number": None}]}, "send_to.mobile_number is on"),
        ({"signers": [JANE | {"email": "jane"}]}, "'jane' is not an e-mail address"),
        ({"signers": [JANE, JANE]}, "each signer_id may appear once"),
        ({"expires_at": "2026-03-01T00:00:00Z"}, "must be in the future"),
        ({"expires_at": "2026-04-01T00:00:00"}, "timezone"),
        ({"expires_at": "tomorrow"}, "expires_at"),
    ],
)
def test_bad_json_is_refused_with_the_reason(client: FlaskClient, changes: dict[str, Any], reason: str) -> None:
    answer = client.post("/requests", json=REQUEST | changes)
    assert answer.status_code == 400
    assert reason in answer.get_json()["error"]["message"]


def test_a_body_that_is_not_json_is_refused_in_json(client: FlaskClient) -> None:
    answer = client.post("/requests", data="{", content_type="application/json")
    assert answer.status_code == 400
    assert "not JSON" in answer.get_json()["error"]["message"]


def test_another_sites_page_cannot_press_the_buttons(client: FlaskClient) -> None:
    answer = client.post("/requests", json=REQUEST, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403


# -- signing


def test_opening_the_signing_page_opens_the_request(client: FlaskClient) -> None:
    key = create(client)["id"]
    assert fetch(client, key)["status"] == "sent"
    page = client.get(links(client, key)[0])
    assert "Agree &amp; sign" in page.text
    assert "Employment Agreement" in page.text
    assert fetch(client, key)["status"] == "open"


def test_the_last_signature_completes_the_request(app: Flask, client: FlaskClient) -> None:
    key = create(client)["id"]
    eric, jane = links(client, key)
    page = client.post(eric, follow_redirects=True).text
    assert "Thank you, Eric Smith" in page
    assert "One more signature is needed" in page
    assert "Download" not in page
    assert types(app, key) == ["request_sent", "request_signed"]
    assert "Download" in client.post(jane, follow_redirects=True).text
    answer = fetch(client, key)
    assert answer["status"] == "complete"
    assert [s["signed"] for s in answer["signers"]] == [True, True]
    assert types(app, key) == ["request_sent", "request_signed", "request_signed", "request_complete"]


def test_a_second_click_is_no_second_signature(app: Flask, client: FlaskClient) -> None:
    key = create(client)["id"]
    for _ in range(2):
        assert client.post(links(client, key)[0]).status_code == 303
    assert types(app, key) == ["request_sent", "request_signed"]


def test_in_a_signing_order_the_second_waits_for_the_first(client: FlaskClient) -> None:
    key = create(client, ordered=True)["id"]
    eric, jane = links(client, key)
    assert [s["request_url"] is None for s in fetch(client, key)["signers"]] == [False, True]
    assert "not your turn yet" in client.get(jane).text
    refused = client.post(jane, headers=JSON)
    assert refused.status_code == 409
    assert "not your turn" in refused.get_json()["error"]["message"]
    client.post(eric)
    answer = fetch(client, key)
    assert answer["signing_order"] is True
    assert [s["order"] for s in answer["signers"]] == [1, 2]
    assert answer["signers"][1]["request_url"] == f"{PUBLIC}{jane}"


def test_an_order_of_ones_own_beats_the_position(client: FlaskClient) -> None:
    key = create(client, ordered=True, signers=[ERIC | {"order": 2}, JANE | {"order": 1}])["id"]
    assert [s["request_url"] is None for s in fetch(client, key)["signers"]] == [True, False]


def test_a_recipient_signs_nothing_and_keeps_nobody_waiting(client: FlaskClient) -> None:
    key = create(client, signers=[ERIC, JANE | {"role": "recipient"}])["id"]
    eric, jane = links(client, key)
    assert "Agree &amp; sign" not in client.get(jane).text
    assert client.post(jane).status_code == 409
    client.post(eric)
    assert fetch(client, key)["status"] == "complete"


def test_an_unknown_signing_link_is_404(client: FlaskClient) -> None:
    assert client.get("/sign/nobody").status_code == 404
    assert client.post("/sign/nobody").status_code == 404


def test_the_document_can_be_downloaded_once_complete(client: FlaskClient) -> None:
    key = create(client)["id"]
    assert client.get(f"/download/{key}").status_code == 409
    assert fetch(client, key)["download_url"] is None
    for link in links(client, key):
        client.post(link)
    assert fetch(client, key)["download_url"] == f"{PUBLIC}/download/{key}"
    document = client.get(f"/download/{key}")
    assert document.mimetype == "text/plain"
    assert "Eric Smith: signed 2026-03-02" in document.text


# -- the sender's actions


def test_nobody_signs_while_paused(client: FlaskClient) -> None:
    key = create(client)["id"]
    eric = links(client, key)[0]
    assert act(client, key, "pause").get_json()["status"] == "paused"
    assert "paused" in client.get(eric).text
    assert client.post(eric).status_code == 409
    act(client, key, "resume")
    assert client.post(eric).status_code == 303


def test_a_revision_makes_everybody_sign_again_and_is_sent_again(app: Flask, client: FlaskClient) -> None:
    key = create(client, ordered=True)["id"]
    eric = links(client, key)[0]
    client.post(eric)
    act(client, key, "pause")
    answer = act(client, key, "revise").get_json()
    assert answer["status"] == "open"
    assert [s["signed"] for s in answer["signers"]] == [False, False]
    assert [s["request_url"] is None for s in answer["signers"]] == [False, True]
    assert types(app, key) == ["request_sent", "request_signed", "request_sent"]
    assert client.post(eric).status_code == 303


def test_expiring_ends_it_and_says_so(app: Flask, client: FlaskClient) -> None:
    key = create(client)["id"]
    assert act(client, key, "expire").get_json()["status"] == "expired"
    assert "has expired" in client.get(links(client, key)[0]).text
    assert client.post(links(client, key)[0]).status_code == 409
    assert types(app, key) == ["request_sent", "request_expired"]


def test_a_request_expires_by_itself_and_once(app: Flask, client: FlaskClient, clock: Clock) -> None:
    key = create(client, expires_at="2026-03-03T12:00:00+00:00")["id"]
    assert fetch(client, key)["status"] == "sent"
    clock.now += timedelta(days=2)
    assert fetch(client, key)["status"] == "expired"
    fetch(client, key)
    assert types(app, key) == ["request_sent", "request_expired"]


def test_marked_as_complete_it_is_complete_without_a_signature(app: Flask, client: FlaskClient) -> None:
    key = create(client)["id"]
    answer = act(client, key, "complete").get_json()
    assert answer["status"] == "complete"
    assert [s["signed"] for s in answer["signers"]] == [False, False]
    assert types(app, key) == ["request_sent", "request_complete"]


def test_resending_fires_request_sent_under_a_new_id(app: Flask, client: FlaskClient) -> None:
    key = create(client)["id"]
    act(client, key, "resend")
    assert types(app, key) == ["request_sent", "request_sent"]
    assert len({body["id"] for body in fired(app, key)}) == 2


@pytest.mark.parametrize(
    ("before", "action"),
    [("complete", "pause"), ("complete", "revise"), ("expire", "complete"), ("pause", "resend"), ("expire", "expire")],
)
def test_what_the_state_forbids_is_refused_with_the_reason(client: FlaskClient, before: str, action: str) -> None:
    key = create(client)["id"]
    act(client, key, before)
    answer = act(client, key, action)
    assert answer.status_code == 409
    assert f"cannot {action}" in answer.get_json()["error"]["message"]
    page = client.post(f"/requests/{key}/{action}")
    assert page.status_code == 409
    assert f"cannot {action}" in page.text


def test_the_buttons_of_the_page_come_back_to_the_page(client: FlaskClient) -> None:
    key = create(client)["id"]
    answer = client.post(f"/requests/{key}/pause")
    assert (answer.status_code, answer.location) == (303, f"/requests/{key}")
    page = client.get(answer.location).text
    assert f'action="/requests/{key}/resume"' in page
    assert f'action="/requests/{key}/pause"' not in page


def test_an_unknown_action_or_request_is_404(client: FlaskClient) -> None:
    key = create(client)["id"]
    assert act(client, key, "shred").status_code == 404
    assert act(client, "f" * 24, "pause").status_code == 404
    assert client.get("/requests/unknown").status_code == 404


# -- the vendor's API


def test_the_full_answer_has_the_likely_fields(client: FlaskClient) -> None:
    answer = fetch(client, create(client)["id"])
    assert answer["created_by"] == {"name": "Ann Sender", "email": None}
    assert answer["created_time"] == "2026-03-02T12:00:00.578Z"
    assert answer["contracts"][0]["title"] == "Employment Agreement"
    signer = answer["signers"][0]
    assert signer["signer"]["additional_attributes"] == {"first_name": "Eric", "last_name": "Smith"}
    assert (signer["status"], signer["signed"], signer["role"]) == ("sent", False, "signer")


def test_the_documented_answer_has_nothing_else(client: FlaskClient) -> None:
    key = create(client)["id"]
    client.post("/settings", json={"fields": "documented"})
    answer = fetch(client, key)
    assert set(answer) == {"signers"}
    assert [set(s) for s in answer["signers"]] == [{"send_to", "signer", "request_url"}] * 2
    assert answer["signers"][0]["signer"] == {"email": None, "mobile_number": "+13175550142"}


def test_the_answer_can_come_in_an_envelope(client: FlaskClient) -> None:
    key = create(client)["id"]
    client.post("/settings", json={"envelope": "data"})
    assert fetch(client, key)["data"]["id"] == key


def test_without_a_bearer_token_the_api_answers_401(client: FlaskClient) -> None:
    key = create(client)["id"]
    for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Basic abc"}):
        assert client.get(f"/api/v1.1/requests/{key}", headers=headers).status_code == 401


def test_a_configured_token_is_the_only_good_one(client: FlaskClient) -> None:
    key = create(client)["id"]
    client.post("/settings", json={"api_token": "right"})
    assert client.get(f"/api/v1.1/requests/{key}", headers=AUTH).status_code == 401
    assert client.get(f"/api/v1.1/requests/{key}", headers={"Authorization": "Bearer right"}).status_code == 200


def test_the_api_answers_404_in_json(client: FlaskClient) -> None:
    for path in ("requests/unknown", "sites/2/requests", "nothing"):
        answer = client.get(f"/api/v1.1/{path}", headers=AUTH)
        assert answer.status_code == 404
        assert answer.get_json()["error"]["status"] == 404


def test_the_list_is_paged_as_the_vendor_documents(client: FlaskClient) -> None:
    keys = [create(client)["id"] for _ in range(3)]
    first = client.get("/api/v1.1/sites/1/requests?per_page=2", headers=AUTH).get_json()
    assert {k: first[k] for k in first if k != "data"} == {
        "page": 1,
        "per_page": 2,
        "count": 2,
        "total_count": 3,
        "has_more": True,
    }
    second = client.get("/api/v1.1/sites/1/requests?per_page=2&page=2", headers=AUTH).get_json()
    assert second["has_more"] is False
    assert [r["id"] for r in first["data"] + second["data"]] == keys[::-1]
    assert client.get("/api/v1.1/sites/1/requests?page=0", headers=AUTH).status_code == 400


def test_faults_are_used_once_each_and_in_their_order(client: FlaskClient) -> None:
    key = create(client)["id"]
    faults = [{"status": 429, "headers": {"Retry-After": "5"}}, {"status": 502, "body": "<html>"}, {"delay": 0.05}]
    assert client.post("/settings", json={"faults": faults}).status_code == 200
    path = f"/api/v1.1/requests/{key}"
    limited = client.get(path, headers=AUTH)
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "5")
    assert limited.get_json()["error"]["name"] == "RateLimitExceededError"
    broken = client.get(path, headers=AUTH)
    assert (broken.status_code, broken.text) == (502, "<html>")
    began = time.monotonic()
    assert client.get(path, headers=AUTH).get_json()["id"] == key
    assert time.monotonic() - began >= 0.05
    assert client.post("/settings", json={}).get_json()["faults"] == []


def test_the_settings_form_saves_every_switch(client: FlaskClient) -> None:
    form = {"envelope": "data", "fields": "documented", "webhooks": "lost", "api_token": "t"}
    assert client.post("/settings", data=form | {"faults": '[{"status": 500}]'}).status_code == 303
    assert client.post("/settings", json={}).get_json() == form | {"faults": [{"status": 500}]}


@pytest.mark.parametrize(
    "changes", [{"envelope": "box"}, {"nonsense": 1}, {"faults": [{"status": 99}]}, {"faults": [{"delay": -1}]}, []]
)
def test_bad_settings_are_refused_and_change_nothing(client: FlaskClient, changes: Any) -> None:
    before = client.post("/settings", json={}).get_json()
    answer = client.post("/settings", json=changes)
    assert answer.status_code == 400
    assert answer.get_json()["error"]["message"].startswith("settings: ")
    assert client.post("/settings", json={}).get_json() == before


def test_bad_faults_in_the_form_come_back_as_typed(client: FlaskClient) -> None:
    answer = client.post("/settings", data={"envelope": "data", "faults": "[oops"})
    assert answer.status_code == 400
    assert "faults: not JSON" in answer.text
    assert "[oops</textarea>" in answer.text


# -- pages


def test_pages_carry_a_strict_policy_and_leak_no_link(client: FlaskClient) -> None:
    page = client.get("/")
    assert page.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert re.findall(r"<script[^>]*>", page.text) == ['<script src="/static/live.js" defer>']
    assert client.get("/static/style.css").status_code == client.get("/static/live.js").status_code == 200


def test_what_users_type_is_escaped(client: FlaskClient) -> None:
    key = create(client, title="<script>x</script>", signers=[ERIC | {"name": "<b>Eric</b>"}])["id"]
    for path in ("/", f"/requests/{key}", links(client, key)[0]):
        text = client.get(path).text
        assert "<script>" not in text
        assert "<b>Eric" not in text


def test_every_field_of_the_form_has_a_label(client: FlaskClient) -> None:
    page = client.get("/").text
    fields = re.findall(r'<(?:input|select|textarea) id="([^"]+)"', page)
    assert len(fields) > 8
    assert set(fields) <= set(re.findall(r'<label for="([^"]+)"', page))


def test_links_follow_the_mount(client: FlaskClient) -> None:
    key = create(client)["id"]
    page = client.get(f"/requests/{key}", environ_overrides={"SCRIPT_NAME": "/sandbox"}).text
    assert 'href="/sandbox/sign/' in page
    assert f'action="/sandbox/requests/{key}/pause"' in page
    assert 'href="/sandbox/static/style.css"' in page


def test_a_long_list_is_paged(client: FlaskClient) -> None:
    for n in range(21):
        create(client, title=f"Agreement no. {n}")
    assert "Agreement no. 0<" not in client.get("/").text
    assert "Agreement no. 0<" in client.get("/?page=2").text
    assert client.get(f"/?page={10**30}").status_code == 200


# -- webhooks


def test_webhook_bodies_have_the_documented_keys(app: Flask, client: FlaskClient, clock: Clock) -> None:
    key = create(client, signers=[ERIC])["id"]
    client.post(links(client, key)[0])
    common = {"deliverable", "type", "integration", "sent_to", "event_type", "description", "site", "request"}
    common |= {"created_time", "updated_time", "id"}
    sent, signed, complete = fired(app, key)
    assert set(sent) == common | {"user"}
    assert set(signed) == common | {"signer"}
    assert set(complete) == common
    assert signed["signer"] == "eric/1"
    assert [sent["description"], signed["description"], complete["description"]] == [
        "Ann Sender sent Employment Agreement",
        "Eric Smith signed Employment Agreement",
        "Employment Agreement has been completed",
    ]
    assert sent["created_time"] == "2026-03-02T12:00:00.578Z"
    assert (sent["deliverable"], sent["type"], sent["sent_to"]) == (True, "webhook", "http://relay.test/receive")


def test_lost_webhooks_are_not_even_tried(app: Flask, client: FlaskClient) -> None:
    client.post("/settings", json={"webhooks": "lost"})
    assert types(app, create(client)["id"]) == []


class ReceiptVerifier:
    """A webhook receiver that answers with the statuses it is given, then 200."""

    def __init__(self, statuses: list[int]) -> None:
        self.statuses, self.got = statuses, list[tuple[dict[str, str], dict[str, Any]]]()
        receiver, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    receiver.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
                    status = receiver.statuses.pop(0) if receiver.statuses else 200
                self.send_response(status)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/receive"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[ReceiptVerifier]:
    made = ReceiptVerifier([])
    yield made
    made.close()


def real_clock() -> datetime:
    return datetime.now(UTC)


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.01)


@pytest.fixture
def live(tmp_path: Path, receiver: ReceiptVerifier) -> Iterator[Flask]:
    """A sandbox whose webhooks are delivered, a hundred times faster than real."""
    made = create_app(tmp_path / "sandbox.db", receiver.url, "s3cret", PUBLIC, real_clock, speed=100.0)
    webhooks_of(made).start()
    yield made
    webhooks_of(made).stop()


def states(app: Flask, key: str) -> list[str]:
    return [d.state for d in app.extensions["service"].store.deliveries(key)]


def test_a_webhook_carries_the_secret_and_json(live: Flask, receiver: ReceiptVerifier) -> None:
    key = create(live.test_client())["id"]
    until(lambda: states(live, key) == ["delivered"])
    headers, body = receiver.got[0]
    assert headers["pactsafe-webhook-token"] == "s3cret"
    assert headers["content-type"] == headers["accept"] == "application/json"
    assert (body["event_type"], body["request"]) == ("request_sent", key)


def test_a_refused_webhook_comes_again_under_the_same_id(live: Flask, receiver: ReceiptVerifier) -> None:
    receiver.statuses = [503, 302, 401]
    key = create(live.test_client())["id"]
    until(lambda: states(live, key) == ["delivered"])
    assert len(receiver.got) == 4
    assert len({json.dumps(body) for _, body in receiver.got}) == 1
    page = live.test_client().get(f"/requests/{key}").text
    assert [f"{status} <span" in page for status in (503, 302, 401, 200)] == [True] * 4


def test_one_click_of_the_last_signer_fires_both_at_once(live: Flask, receiver: ReceiptVerifier) -> None:
    client = live.test_client()
    key = create(client, signers=[ERIC])["id"]
    client.post(links(client, key)[0])
    until(lambda: states(live, key) == ["delivered"] * 3)
    got = {body["event_type"] for _, body in receiver.got}
    assert got == {"request_sent", "request_signed", "request_complete"}


def test_an_expiry_fires_without_anybody_looking(live: Flask, receiver: ReceiptVerifier) -> None:
    soon = real_clock() + timedelta(seconds=0.3)
    create(live.test_client(), expires_at=soon.isoformat())
    until(lambda: [body["event_type"] for _, body in receiver.got] == ["request_sent", "request_expired"])


def test_an_unreachable_receiver_is_tried_until_a_day_is_over(tmp_path: Path, receiver: ReceiptVerifier) -> None:
    receiver.close()
    app = create_app(tmp_path / "sandbox.db", receiver.url, "s3cret", PUBLIC, real_clock, speed=86_400 / 0.5)
    key = create(app.test_client())["id"]
    webhooks_of(app).start()
    until(lambda: states(app, key) == ["given up"])
    webhooks_of(app).stop()
    attempts = app.extensions["service"].store.deliveries(key)[0].attempts
    assert len(attempts) > 1
    assert {a.outcome for a in attempts} == {"ConnectionError"}


def test_the_waits_double_up_to_a_minute(clock: Clock) -> None:
    waits = [next_attempt(clock.now, tries, clock.now, speed=1.0) for tries in (0, 1, 2, 5, 6, 500)]
    assert [(at - clock.now).total_seconds() for at in waits if at] == [1, 2, 4, 32, 60, 60]
    assert next_attempt(clock.now - timedelta(days=1), 9, clock.now, speed=1.0) is None


def test_a_restart_goes_on_with_what_was_under_way(tmp_path: Path, receiver: ReceiptVerifier) -> None:
    args = (tmp_path / "sandbox.db", receiver.url, "s3cret", PUBLIC, real_clock)
    key = create(create_app(*args).test_client())["id"]  # its webhooks never started
    second = create_app(*args)
    webhooks_of(second).start()
    until(lambda: states(second, key) == ["delivered"])
    webhooks_of(second).stop()


KILLED = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from local.sandbox.app import create_app
client = create_app(Path(sys.argv[1]), "http://127.0.0.1:9/", "t", "http://x", lambda: datetime.now(UTC)).test_client()
signers = [{"name": "Eric", "email": "e@x.org", "send_to": {"email": True}}]
while True:
    print(client.post("/requests", json={"title": "T", "signers": signers}).get_json()["id"], flush=True)
"""


def test_a_kill_9_loses_no_request_and_no_webhook(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "sandbox.db"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    keys = [process.stdout.readline().strip() for _ in range(20)]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    app = create_app(path, "http://relay.test/receive", "s3cret", PUBLIC, clock)
    assert all(types(app, key) == ["request_sent"] for key in keys)


def test_two_last_signers_at_once_complete_it_once(tmp_path: Path, clock: Clock) -> None:
    app = create_app(tmp_path / "sandbox.db", "http://relay.test/receive", "s3cret", PUBLIC, clock)
    key = create(app.test_client())["id"]
    pages = links(app.test_client(), key)
    threads = [threading.Thread(target=app.test_client().post, args=(page,)) for page in pages * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(types(app, key)) == ["request_complete", "request_sent", "request_signed", "request_signed"]
