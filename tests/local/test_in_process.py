from collections.abc import Callable, Iterable
from typing import Any

import pytest

from local.emulation.http_push import Reply
from local.stack.in_process import in_process
from tests.stand_in import Reply as Answer
from tests.stand_in import StandIn

BASE = "http://127.0.0.1:8080"


def test_the_application_gets_the_call_as_by_http() -> None:
    got: dict[str, Any] = {}

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        got.update(environ, body=environ["wsgi.input"].read())
        start("503 Service Unavailable", [("Retry-After", "7")])
        return [b"later"]

    call = in_process(app, BASE)
    reply = call(f"{BASE}/deliver/sms?x=1", b'{"a": 1}', {"Authorization": "Bearer a.b.c"}, 1.0)
    assert reply == Reply(503, {"retry-after": "7"})
    assert (got["REQUEST_METHOD"], got["SCRIPT_NAME"], got["PATH_INFO"]) == ("POST", "", "/deliver/sms")
    assert (got["QUERY_STRING"], got["HTTP_HOST"], got["body"]) == ("x=1", "127.0.0.1:8080", b'{"a": 1}')
    assert (got["CONTENT_TYPE"], got["CONTENT_LENGTH"]) == ("application/json", "8")
    assert got["HTTP_AUTHORIZATION"] == "Bearer a.b.c"


def test_an_application_that_fails_has_not_answered(caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        raise OSError("broken")

    assert in_process(app, BASE)(f"{BASE}/resolve", b"{}", {}, 1.0) == Reply()
    assert "a call failed" in caplog.text


def test_other_addresses_are_called_by_http() -> None:
    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        raise AssertionError("another's call")

    with StandIn(Answer(204)) as elsewhere:
        reply = in_process(app, BASE)(f"{elsewhere.url}/remind", b"{}", {}, 5.0)
    assert reply.status == 204
    assert [asked.path for asked in elsewhere.asked] == ["/remind"]
