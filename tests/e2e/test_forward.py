"""Each change of status and each message's end reach the customer's endpoint, signed, though it is down in between."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from tests.e2e.stack import ERIC, ERICS, JANE, JANES, Running, until

SECRET = base64.b64encode(b"k" * 32).decode()


class Endpoint(BaseHTTPRequestHandler):
    refusals = 3  # calls that are refused first
    events: dict[str, dict] = {}  # of requests, by id, as a consumer keeps them
    notices: dict[str, str] = {}  # the kind of each, by its id

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Endpoint.refusals -= 1
        if Endpoint.refusals < 0:
            event = Webhook(SECRET).verify(body, dict(self.headers))
            if event["type"].startswith("clickwrap.request."):
                self.events[event["id"]] = event
            else:
                self.notices[event["data"]["notice"]] = event["data"]["kind"]
        self.send_response(503 if Endpoint.refusals >= 0 else 204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("backend", ["embedded", pytest.param("emulators", marks=pytest.mark.emulators)])
def test_every_change_arrives_and_the_sequence_orders_them(tmp_path: Path, backend: str) -> None:
    Endpoint.refusals, Endpoint.events, Endpoint.notices = 3, {}, {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/status"
    settings = {"STATUS_WEBHOOK_URL": url, "STATUS_WEBHOOK_SECRETS": SECRET, "SECONDS_PER_DAY": "60"}
    stack = Running(tmp_path, backend, **settings)
    try:
        stack.send(ERIC, JANE)
        for number, person in enumerate((ERICS, JANES), 1):
            until(lambda person=person: stack.texts(person), "the invitation")
            until(lambda number=number: len(Endpoint.events) == number, "the change before")
            stack.sign(person)
        until(lambda: len(Endpoint.events) == 3, "the last change")
        kinds = ["completion"] * 2 + ["invitation"] * 2 + ["progress"]
        until(lambda: sorted(Endpoint.notices.values()) == kinds, "what became of each message")
    finally:
        stack.stop()
        server.shutdown()
        server.server_close()
    changes = sorted(
        (e["data"]["sequence"], e["data"]["status"], e["data"]["signatures"]) for e in Endpoint.events.values()
    )
    assert changes == [(1, "open", 0), (2, "open", 1), (3, "complete", 2)], json.dumps(Endpoint.events, indent=1)
