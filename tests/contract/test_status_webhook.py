"""The customer's endpoint: what is posted is verified with the library that receivers of Standard Webhooks use."""

import base64
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from shared.adapters import status_webhook
from shared.adapters.status_webhook import StatusWebhook
from shared.domain.errors import PermanentFailure, RetryLater
from shared.settings.own_systems import STATUS_WEBHOOK_SECRETS

KEYS = [base64.b64encode(letter * 32).decode() for letter in (b"a", b"b", b"c")]
OVER = threading.Event()
BODY = b'{"specversion":"1.0","id":"r1.7"}'


class Endpoint(BaseHTTPRequestHandler):
    status = 200
    drips = False  # answers a byte at a time, and never to the end
    got: list[tuple[dict[str, str], bytes]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((dict(self.headers), body))
        for octet in b"HTTP/1.1 200 OK and so on" if self.drips else b"":
            with suppress(OSError):
                self.wfile.write(bytes([octet]))
            OVER.wait(0.2)
        self.send_response(self.status)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    Endpoint.status, Endpoint.got, Endpoint.drips = 200, [], False
    OVER.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server.server_port
    OVER.set()
    server.shutdown()
    server.server_close()


def posted(port: int, keys: str = KEYS[0], host: str = "127.0.0.1") -> None:
    StatusWebhook(f"http://{host}:{port}/status", STATUS_WEBHOOK_SECRETS.parse(keys), lambda: datetime.now(UTC)).post(
        "r1.7", BODY
    )


def test_a_receiver_can_verify_what_is_posted_and_nothing_else(port):
    posted(port)
    headers, body = Endpoint.got[0]
    assert (headers["webhook-id"], headers["Content-Type"]) == ("r1.7", "application/cloudevents+json")
    assert Webhook(KEYS[0]).verify(body, headers)["id"] == "r1.7"
    with pytest.raises(WebhookVerificationError):
        Webhook(KEYS[0]).verify(body.replace(b"7", b"8"), headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(KEYS[2]).verify(body, headers)


def test_during_a_rotation_both_secrets_sign(port):
    posted(port, f"whsec_{KEYS[0]}, whsec_{KEYS[1]}")
    for key in KEYS[:2]:
        Webhook(key).verify(Endpoint.got[0][1], Endpoint.got[0][0])


@pytest.mark.parametrize(
    ("status", "error", "reason"),
    [
        (302, RetryLater, "must not redirect"),
        (307, RetryLater, "must not redirect"),
        (400, RetryLater, "400"),
        (401, RetryLater, "401"),
        (429, RetryLater, "429"),
        (500, RetryLater, "500"),
        (502, RetryLater, "502"),
        (410, PermanentFailure, "STATUS_WEBHOOK_URL"),
    ],
)
def test_anything_but_2xx_is_tried_again_except_410_and_no_redirect_is_followed(port, status, error, reason):
    Endpoint.status = status
    with pytest.raises(error, match=reason):
        posted(port)
    assert len(Endpoint.got) == 1


def test_an_endpoint_that_answers_slowly_is_left_after_the_deadline_and_posted_to_again(port, monkeypatch):
    monkeypatch.setattr(status_webhook, "DEADLINE", 0.5)
    Endpoint.drips, began = True, time.monotonic()
    with pytest.raises(RetryLater):
        posted(port)
    assert time.monotonic() - began < 3


def test_a_name_that_leads_to_a_private_address_gets_nothing(port, monkeypatch):
    real = socket.getaddrinfo

    def rebound(host: str, *given: Any, **named: Any) -> Any:
        return real("127.0.0.1" if host == "status.example" else host, *given, **named)

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    with pytest.raises(RetryLater, match="not public"):
        posted(port, host="status.example")
    assert Endpoint.got == []


@pytest.mark.parametrize("value", ["", "short", "not base64!", ",".join(KEYS), base64.b64encode(b"x" * 65).decode()])
def test_a_secret_of_another_form_is_refused(value):
    with pytest.raises(ValueError):
        STATUS_WEBHOOK_SECRETS.parse(value)
