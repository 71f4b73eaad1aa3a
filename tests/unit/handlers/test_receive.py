"""Which webhooks are accepted, ignored and refused."""

import json
from types import SimpleNamespace

import flask
import msgspec
import pytest

from shared import bootstrap
from shared.adapters.clickwrap.webhook import HEADER, ClickwrapWebhook
from shared.domain.model import Event, EventType
from shared.entrypoint import reply
from shared.handlers.receive import MAX_BODY, Receive
from shared.ports import WebhookRejected
from tests.fakes import START, FakeBus

GOOD = {"event_type": "request_signed", "id": "e1", "request": "r1", "signer": "s1", "description": "Jo signed Lease"}


def receiver(bus: FakeBus | None = None, tokens=("secret",), **allowed) -> Receive:
    return Receive(ClickwrapWebhook(tokens, **allowed), bus or FakeBus(), "events", lambda: START)


def body(**changed) -> bytes:
    return json.dumps({k: v for k, v in {**GOOD, **changed}.items() if v is not ...}).encode()


def accepted(**changed) -> Event:
    bus = FakeBus()
    assert receiver(bus).accept(body(**changed)) == "accepted"
    (message,) = bus.topics["events"]
    assert message.attributes["type"] == msgspec.json.decode(message.data)["type"]
    return msgspec.json.decode(message.data, type=Event)


GOOD_BODY = body()


class TestToken:
    @pytest.mark.parametrize(
        "attack",
        [
            None,
            "",
            " ",
            "secret ",
            " secret",
            "Secret",
            "secre",
            "secrett",
            "secret,other",
            "*",
            "säcret",
            "\u2603",
            "\x00",
        ],
    )
    def test_anything_but_a_token_is_401(self, attack):
        with pytest.raises(WebhookRejected, match="Pactsafe-Webhook-Token") as e:
            receiver().authenticate({} if attack is None else {HEADER: attack})
        assert e.value.status == 401

    @pytest.mark.parametrize("token", ["old", "new"])
    def test_both_are_taken_during_a_rotation(self, token):
        receiver(tokens=("old", "new")).authenticate({HEADER: token})

    def test_a_letter_beyond_latin_1_is_no_question_mark(self):
        with pytest.raises(WebhookRejected):
            receiver(tokens=("a?b",)).authenticate({HEADER: "a\u2603b"})

    def test_a_token_beyond_ascii_is_taken_as_its_octets(self):
        receiver(tokens=("säcret",)).authenticate({HEADER: "säcret".encode().decode("latin-1")})

    def test_a_door_without_a_token_cannot_be_built(self):
        with pytest.raises(ValueError, match="token"):
            receiver(tokens=())

    def test_the_reason_does_not_tell_the_token(self):
        with pytest.raises(WebhookRejected) as e:
            receiver().authenticate({HEADER: "guess"})
        assert "secret" not in str(e.value)
        assert "guess" not in str(e.value)


class TestBodies:
    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"null",
            b"[]",
            b'"text"',
            b"{",
            b"{}",
            b'{"event_type": null}',
            b'{"event_type": 5}',
            b"\xff\xfe",
            b'{"event_type": "\xff"}',
            b"[" * 100_000,
            b'{"event_type": "request_sent", "x": ' + b"[" * 100_000,
            b'{"event_type": "request_sent", "id": {"a": 1}, "request": "r1"}',
            b'{"event_type": "request_sent", "id": 1.5, "request": "r1"}',
            b'{"event_type": "request_sent", "id": true, "request": "r1"}',
            b'{"event_type": "request_sent", "id": "1", "request": ["r1"]}',
            b'{"event_type": "request_sent", "request": "r1", "id": ' + b"9" * 5000 + b"}",
            b"event_type=request_sent",
        ],
        ids=range(18),
    )
    def test_what_is_no_webhook_is_400_with_a_reason(self, raw):
        bus = FakeBus()
        with pytest.raises(WebhookRejected) as e:
            receiver(bus).accept(raw)
        assert e.value.status == 400
        assert str(e.value)
        assert bus.pending == []

    @pytest.mark.parametrize("kind", ["contract_published", "", "REQUEST_SENT", "request_sent "])
    def test_other_events_are_ignored(self, kind):
        assert receiver().accept(body(event_type=kind)) == "ignored"

    @pytest.mark.parametrize(
        ("name", "kind"), [*((t.value, t) for t in EventType), ("request_completed", EventType.COMPLETE)]
    )
    def test_the_five_event_types_are_taken(self, name, kind):
        assert accepted(event_type=name).type is kind

    def test_unknown_keys_and_deep_ones_are_no_matter(self):
        assert accepted(data={"a": [{"b": None}]}, description={"not": "text"}).event == "e1"

    def test_what_is_published_holds_ids_and_our_own_clock_only(self):
        event = accepted(email="jo@x.org", created_time="1999-01-01")
        assert msgspec.to_builtins(event) | {"received_at": START} == {
            "v": 1,
            "event": "e1",
            "type": "request_signed",
            "request": "r1",
            "signer": "s1",
            "title_hint": "",
            "received_at": START,
        }


class TestIds:
    @pytest.mark.parametrize("request_id", ["r1", "a" * 128, "A-b_9", 12345])
    def test_a_strict_request_is_taken(self, request_id):
        assert accepted(request=request_id).request == str(request_id)

    @pytest.mark.parametrize(
        "request_id", ["", None, ..., "a" * 129, "a/b", "..", "a b", "é", "r1\n", "r1?x", "%2e", -5.5]
    )
    def test_any_other_request_is_400(self, request_id):
        with pytest.raises(WebhookRejected) as e:
            receiver().accept(body(request=request_id))
        assert e.value.status == 400

    @pytest.mark.parametrize("signer", ["jo@x.org", "ACME/42", "José 7", 7, "x" * 256])
    def test_a_signers_id_may_be_any_text(self, signer):
        assert accepted(signer=signer).signer == str(signer)

    @pytest.mark.parametrize("signer", [None, "", ...])
    def test_a_signer_may_be_absent(self, signer):
        assert accepted(signer=signer).signer is None

    @pytest.mark.parametrize("key", ["id", "signer"])
    @pytest.mark.parametrize("text", ["x" * 257, "a\nb", "\x00", "\x7f", "\x9f"])
    def test_long_ids_and_control_characters_are_400(self, key, text):
        with pytest.raises(WebhookRejected, match=f"{key} must be 1 to 256 characters"):
            receiver().accept(body(**{key: text}))

    @pytest.mark.parametrize("value", [None, "", ...])
    def test_an_event_without_an_id_is_400(self, value):
        with pytest.raises(WebhookRejected, match="id must be"):
            receiver().accept(body(id=value))


@pytest.mark.parametrize("key", ["site", "integration"])
def test_only_the_sites_and_integrations_asked_for_are_heard(key):
    bus = FakeBus()
    picky = receiver(bus, **{f"{key}s": frozenset({"7"})})
    assert picky.accept(body(**{key: 8})) == "ignored"
    assert picky.accept(body()) == "ignored"
    assert picky.accept(body(**{key: 7})) == "accepted"
    assert picky.accept(body(**{key: "7"})) == "accepted"
    assert len(bus.topics["events"]) == 2


@pytest.mark.parametrize(
    ("kind", "sentence", "title"),
    [
        ("request_sent", "Jo sent Lease 7", "Lease 7"),
        ("request_signed", "Jo signed A signed B", "A signed B"),
        ("request_complete", "Lease has been completed", "Lease"),
        ("request_expired", "Lease has expired", "Lease"),
        ("request_sent", "something else", ""),
        ("request_sent", 5, ""),
        ("request_sent", "Jo sent " + "x" * 300, "x" * 200),
    ],
)
def test_the_title_is_read_out_of_the_vendors_sentence_where_asked_for(kind, sentence, title):
    given, bus = body(event_type=kind, description=sentence), FakeBus()
    receiver(bus, titles=True).accept(given)
    assert msgspec.json.decode(bus.topics["events"][0].data, type=Event).title_hint == title
    assert accepted(event_type=kind, description=sentence).title_hint == ""


def test_what_could_not_be_stored_is_503_so_that_it_is_sent_again():
    bus = FakeBus()
    bus.down = True
    with pytest.raises(WebhookRejected, match="send it again") as e:
        receiver(bus).accept(body())
    assert e.value.status == 503


class TestEntryPoint:
    @pytest.fixture
    def post(self, monkeypatch):
        bus = FakeBus()
        monkeypatch.setattr(bootstrap, "receive", lambda: receiver(bus))
        from functions.receive.main import receive

        app = flask.Flask("test")

        def post(method="POST", data=GOOD_BODY, **given) -> SimpleNamespace:
            headers = {"Pactsafe-Webhook-Token": "secret", "Content-Type": "application/json", **given}
            with app.test_request_context("/", method=method, data=data, headers=headers):
                response = receive(flask.request)
            return SimpleNamespace(status=response.status_code, json=response.json, headers=response.headers, bus=bus)

        return post

    def test_a_good_webhook_is_published_and_200(self, post):
        answer = post()
        assert (answer.status, answer.json) == (200, {"status": "accepted"})
        assert len(answer.bus.pending) == 1

    @pytest.mark.parametrize(
        ("given", "status", "reason"),
        [
            ({"method": "GET"}, 405, "only POST"),
            ({"method": "PUT"}, 405, "only POST"),
            ({"Pactsafe-Webhook-Token": "wrong"}, 401, "Token"),
            ({"Content-Type": "text/plain"}, 415, "application/json"),
            ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "application/json"),
            ({"Content-Encoding": "gzip"}, 415, "plain"),
            ({"data": b"x" * (MAX_BODY + 1)}, 413, "larger than"),
            ({"data": b"x" * MAX_BODY}, 400, "not a webhook"),
            ({"data": b""}, 400, "not a webhook"),
        ],
    )
    def test_each_refusal_has_its_status_and_a_reason(self, post, given, status, reason):
        answer = post(**given)
        assert answer.status == status
        assert reason in answer.json["error"]
        assert answer.headers.get("Allow") == ("POST" if status == 405 else None)
        assert answer.bus.pending == []

    def test_a_stranger_learns_nothing_of_the_body(self, post):
        assert post(data=b"{", **{"Pactsafe-Webhook-Token": ""}).status == 401

    def test_a_charset_is_no_matter(self, post):
        assert post(**{"Content-Type": "application/json; charset=utf-8"}).status == 200


def test_a_reply_is_one_line_of_json():
    with flask.Flask("test").app_context():
        assert reply(200, {"a": 1}).get_data() == b'{"a":1}\n'


@pytest.mark.parametrize("site", ['"s1"', '{"id": "s1"}'])
def test_an_expanded_site_is_known_by_its_id(site: str) -> None:
    bus = FakeBus()
    receive = receiver(bus, sites=frozenset({"s1"}))
    body = f'{{"event_type": "request_sent", "id": "e", "request": "r1", "site": {site}}}'
    assert receive.accept(body.encode()) == "accepted"


def test_an_expanded_signer_is_nobody_and_foreign_events_may_hold_anything() -> None:
    bus = FakeBus()
    receive = receiver(bus)
    assert (
        receive.accept(b'{"event_type": "request_signed", "id": "e", "request": "r1", "signer": {"id": "a"}}')
        == "accepted"
    )
    assert b'"signer":null' in bus.topics["events"][0].data
    assert receive.accept(b'{"event_type": "activity_agreed", "request": {"id": 1}, "signer": []}') == "ignored"
