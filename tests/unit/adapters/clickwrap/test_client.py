"""The call to the vendor's API, against a server on loopback with all kinds of wrong answers."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from shared.adapters.clickwrap.client import ClickwrapClient
from shared.adapters.clickwrap.fields import FIELDS
from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.model import Status
from shared.ports import NotFound

WHOLE = {
    "status": "sent",
    "signers": [{"id": "a", "signer": {"email": "a@x.org"}, "request_url": "https://sign.test/a"}],
}


class Vendor(ThreadingHTTPServer):
    """`answers`: path -> (status, headers, body). `hang`: take the call and say nothing until it is set."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.seen: list[tuple[str, str | None]] = []
        self.hang: threading.Event | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def says(self, path: str, document: Any = b"", status: int = 200, **headers: str) -> None:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.answers[path] = (status, headers, body)


class Handler(BaseHTTPRequestHandler):
    server: Vendor

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers.get("Authorization")))
        if self.server.hang:
            self.server.hang.wait(5)
        status, headers, body = self.server.answers.get(self.path, (404, {}, b"{}"))
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    server = Vendor()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    if server.hang:
        server.hang.set()
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
def api(vendor: Vendor) -> ClickwrapClient:
    return ClickwrapClient(vendor.url, "hush", FIELDS, rate=6_000)


def test_a_whole_answer_is_read_under_the_id_that_was_asked_for(vendor, api):
    vendor.says("/requests/r1", {"id": "other", **WHOLE})
    found = api.fetch("r1")
    assert (found.id, found.status, found.signers[0].email) == ("r1", Status.OPEN, "a@x.org")
    assert vendor.seen == [("/requests/r1", "Bearer hush")]


def test_an_answer_about_another_request_is_refused_once_one_has_named_the_request_asked_for(vendor, api, caplog):
    """It would send this request's messages to the signers of another."""
    vendor.says("/requests/r1", {"_id": "x", "id": "R1", **WHOLE})
    vendor.says("/requests/r2", {"id": "r1", **WHOLE})
    vendor.says("/requests/r3", WHOLE)
    api.fetch("r1")
    with pytest.raises(RetryLater, match="another request"):
        api.fetch("r2")
    assert [r.json["alert"] for r in caplog.records] == ["api_other_request"]
    assert api.fetch("r3").id == "r3"


def test_answers_whose_ids_always_differ_are_believed_and_alert_once(vendor, api, caplog):
    """The vendor does not say what a request's ids are in an answer."""
    for number, request in enumerate(("r1", "r2", "r3")):
        vendor.says(f"/requests/{request}", {"id": number, **WHOLE})
        assert api.fetch(request).id == request
    assert [r.json["alert"] for r in caplog.records] == ["api_other_request"]


def test_an_answer_wrapped_in_data_is_unwrapped(vendor, api):
    vendor.says("/requests/r1", {"data": WHOLE})
    assert len(api.fetch("r1").signers) == 1


def test_404_is_not_found(api):
    with pytest.raises(NotFound):
        api.fetch("r1")


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_waits_a_quarter_of_an_hour_and_alerts_without_showing_it(vendor, api, status, caplog):
    vendor.says("/requests/r1", status=status)
    with pytest.raises(RetryLater, match="CLICKWRAP_API_TOKEN") as e:
        api.fetch("r1")
    assert e.value.after == 900
    assert "hush" not in caplog.text + str(e.value)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("header", "after"),
    [
        ({"Retry_After": "7"}, 7),
        ({"Retry_After": "0"}, 0),
        ({"Retry_After": "99999"}, 3600),
        ({"Retry_After": "Fri, 01 Jan 2100 00:00:00 GMT"}, 3600),
        ({"Retry_After": "Thu, 01 Jan 2026 00:00:00 GMT"}, 0),
        ({"X_RateLimit_Reset": "4102444800"}, 3600),
        ({"Retry_After": "7", "X_RateLimit_Reset": "4102444800"}, 7),
    ],
)
def test_429_and_503_wait_as_long_as_the_vendor_says_up_to_an_hour(vendor, api, status, header, after):
    vendor.says("/requests/r1", status=status, **header)
    with pytest.raises(RetryLater) as e:
        api.fetch("r1")
    assert e.value.after == after


def test_429_with_a_date_waits_until_then(vendor, api):
    vendor.says("/requests/r1", status=429, Retry_After=format_datetime(datetime.now(UTC) + timedelta(minutes=5)))
    with pytest.raises(RetryLater) as e:
        api.fetch("r1")
    assert 290 <= e.value.after <= 300


@pytest.mark.parametrize("header", [{"Retry_After": "soon"}, {"X_RateLimit_Reset": "12"}, {}])
def test_429_that_does_not_say_waits_a_minute(vendor, api, header):
    vendor.says("/requests/r1", status=429, **header)
    with pytest.raises(RetryLater) as e:
        api.fetch("r1")
    assert e.value.after == 60


@pytest.mark.parametrize("status", [500, 502, 503, 504, 400, 418, 204])
def test_any_other_status_is_no_answer(vendor, api, status):
    vendor.says("/requests/r1", status=status)
    with pytest.raises(RetryLater, match=str(status)) as e:
        api.fetch("r1")
    assert e.value.after is None


def test_a_redirect_is_not_followed_since_it_would_carry_the_token_away(vendor, api):
    vendor.says("/requests/r1", status=302, Location=f"{vendor.url}/elsewhere")
    with pytest.raises(RetryLater, match="302"):
        api.fetch("r1")
    assert [path for path, _ in vendor.seen] == ["/requests/r1"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"<html>", b"\xff\xfe", b'{"a": "\xff"}', b"[" * 100_000, b"null", b"[]", b'"text"'],
    ids=range(9),
)
def test_garbage_is_no_answer(vendor, api, body):
    vendor.says("/requests/r1", body)
    with pytest.raises(RetryLater):
        api.fetch("r1")


def test_a_truncated_answer_is_no_answer(vendor, api):
    body = json.dumps(WHOLE).encode()
    vendor.says("/requests/r1", body[:-20], Content_Length=str(len(body)))
    with pytest.raises(RetryLater, match="could not be reached"):
        api.fetch("r1")


def test_silence_ends_at_the_deadline(vendor):
    vendor.hang = threading.Event()
    with pytest.raises(RetryLater, match="could not be reached"):
        ClickwrapClient(vendor.url, "hush", FIELDS, rate=6_000, deadline=0.2).fetch("r1")


def test_a_429_holds_every_call_of_the_instance_until_its_wait_is_over(vendor, api):
    vendor.says("/requests/r1", status=429, Retry_After="30")
    vendor.says("/requests/r2", WHOLE)
    with pytest.raises(RetryLater):
        api.fetch("r1")
    with pytest.raises(RetryLater, match="429") as e:
        api.fetch("r2")
    assert 29 < e.value.after <= 30
    assert [path for path, _ in vendor.seen] == ["/requests/r1"]


def test_an_answer_of_several_million_bytes_is_read_whole(vendor, api):
    vendor.says("/requests/r1", {**WHOLE, "history": ["x" * 1000] * 5000})
    assert len(api.fetch("r1").signers) == 1


def test_nobody_there_is_waited_for(vendor):
    vendor.server_close()
    with pytest.raises(RetryLater, match="ConnectionError"):
        ClickwrapClient(vendor.url, "hush", FIELDS, rate=6_000).fetch("r1")


@pytest.mark.parametrize("row", ["ACME/42", {"signer": "ACME/42"}, {"signer": "ACME/42", "request_url": "u"}])
def test_a_signer_given_as_a_bare_id_is_asked_for(vendor, api, row):
    vendor.says("/requests/r1", {"signers": [row]})
    vendor.says("/signers/id:ACME%2F42", {"data": {"email": "a@x.org", "mobile_number": "317-123-1234"}})
    (signer,) = api.fetch("r1").signers
    assert (signer.ids, signer.email, signer.mobile) == (("ACME/42", "a@x.org"), "a@x.org", "317-123-1234")


def test_a_bare_id_that_nobody_knows_is_a_signer_of_whom_nothing_else_is_known(vendor, api):
    vendor.says("/requests/r1", {"signers": [7]})
    (signer,) = api.fetch("r1").signers
    assert (signer.ids, signer.email) == (("7",), "")


def test_too_many_signers_are_refused_before_their_ids_are_asked_for(vendor, api):
    vendor.says("/requests/r1", {"signers": list(range(1001))})
    with pytest.raises(PermanentFailure, match="1001 signers"):
        api.fetch("r1")
    assert [path for path, _ in vendor.seen] == ["/requests/r1"]


def test_more_bare_ids_than_can_be_asked_for_within_the_time_out_are_refused_at_once(vendor):
    """Each delivery would ask for the first of them again and never come to the last."""
    whole = {"id": "a", "signer": {"email": "a@x.org"}}
    for n in range(3):
        vendor.says(f"/signers/id:{n}", {"data": {}})
    slow = ClickwrapClient(vendor.url, "hush", FIELDS, rate=4)
    vendor.says("/requests/r1", {"signers": [whole, *range(4)]})
    with pytest.raises(PermanentFailure, match="4 signers as ids only; at most 3 can be asked for"):
        slow.fetch("r1")
    assert [path for path, _ in vendor.seen] == ["/requests/r1"]
    vendor.says("/requests/r1", {"signers": [whole] * 9})
    quick = ClickwrapClient(vendor.url, "hush", FIELDS, rate=4)
    assert len(quick.fetch("r1").signers) == 9


def test_an_odd_row_is_left_as_it_is(vendor, api):
    vendor.says("/requests/r1", {"signers": [None, [], {"id": "a", "signer": None}]})
    assert [s.ids for s in api.fetch("r1").signers] == [("a",)]


def test_the_budget_of_calls_is_kept_on_our_own(vendor):
    vendor.says("/requests/r1", WHOLE)
    slow = ClickwrapClient(vendor.url, "hush", FIELDS, rate=1)
    slow.fetch("r1")
    with pytest.raises(RetryLater, match="API_RATE_PER_MINUTE") as e:
        slow.fetch("r1")
    assert 0 < e.value.after <= 60
    assert len(vendor.seen) == 1


PAGES = "/sites/s%2F1/requests?per_page=100&page={}&sort=-created_time"


def test_the_list_of_a_site_is_read_page_by_page(vendor: Vendor, api: ClickwrapClient) -> None:
    vendor.says(PAGES.format(1), {"data": [{"id": "r1"}, {"id": 2}], "has_more": True})
    vendor.says(PAGES.format(2), {"data": [{"id": "r3"}], "has_more": False})
    assert api.listed("s/1", 1000) == ["r1", "2", "r3"]


def test_no_more_pages_are_read_than_asked_for(vendor: Vendor, api: ClickwrapClient) -> None:
    vendor.says(PAGES.format(1), {"data": [{"id": "r1"}], "has_more": True})
    assert api.listed("s/1", 100) == ["r1"]


@pytest.mark.parametrize("listing", [[], {}, {"data": 1}, {"data": [{"name": "x"}]}, {"data": [{"id": "../x"}]}])
def test_a_list_in_another_form_is_given_up(vendor: Vendor, api: ClickwrapClient, listing: Any) -> None:
    vendor.says(PAGES.format(1), listing)
    with pytest.raises(PermanentFailure):
        api.listed("s/1", 1000)


def test_an_api_without_the_list_is_given_up(vendor: Vendor, api: ClickwrapClient) -> None:
    with pytest.raises(PermanentFailure):
        api.listed("s/1", 1000)
