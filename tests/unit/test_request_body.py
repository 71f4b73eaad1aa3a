"""How much of a body is read, and what is asked for before any of it is."""

from pathlib import Path
from typing import Any

import flask
import functions_framework
import pytest
from werkzeug.test import Client, EnvironBuilder

from shared import bootstrap, request_body
from shared.adapters.providers.common import rules
from shared.domain.receipts import InvalidSignature, ReceiptRequest
from shared.handlers.receipts import Receipts
from shared.request_body import LARGE, PLACES, BodyRefused
from shared.setting_types import Values
from tests.fakes import FakeLedger
from tests.unit.adapters.providers.test_receipt_signatures import KITS

MAIN = Path(__file__).parents[2] / "functions" / "receipts" / "main.py"


def posted(size: int) -> flask.Request:
    return flask.Request(EnvironBuilder(method="POST", data=b"x" * size).get_environ())


@pytest.fixture
def crowded() -> Any:
    """Every place is taken."""
    for _ in range(PLACES):
        assert request_body._places.acquire(blocking=False)
    yield
    for _ in range(PLACES):
        request_body._places.release()


@pytest.mark.parametrize(("size", "status"), [(0, 0), (LARGE, 0), (200_000, 0), (200_001, 413)])
def test_no_more_than_the_limit_is_read(size: int, status: int) -> None:
    assert refusal(size) == status


@pytest.mark.parametrize(("size", "status"), [(LARGE, 0), (LARGE + 1, 429), (200_001, 413)])
def test_with_no_place_left_only_small_bodies_are_read(crowded: None, size: int, status: int) -> None:
    assert refusal(size) == status


def refusal(size: int) -> int:
    try:
        assert len(request_body.read(posted(size), 200_000)) == size
    except BodyRefused as e:
        return e.status
    return 0


UNREAD = {"twilio": 65_536, "vonage": 65_536, "mailgun": 65_536, "postmark": 262_144, "sendgrid": 1_048_576}
UNREAD |= {"ses": 65_536, "aws": 65_536}
IN_THE_BODY = ("vonage", "mailgun")


@pytest.mark.parametrize(("name", "most"), UNREAD.items())
def test_each_provider_says_how_much_of_it_is_read_and_which_header_must_be_there(name: str, most: int) -> None:
    kit = next(kit for known, kit in KITS.items() if known.split()[0] == name)
    receipts = Receipts(FakeLedger(), {name: kit.reader()}, None, None, None, None)  # type: ignore[arg-type]
    assert receipts.limit(name, kit.request("delivered").headers) == most
    if name not in IN_THE_BODY:
        with pytest.raises(InvalidSignature):
            receipts.limit(name, {})


HOSTILE = {
    "nested": b'{"signature":' + b"[" * 20_000,
    "nested list": b"[" * 20_000,
    "many fields": b"a=&" * 20_000,
    "not text": b"\xff\xfe",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("kit", KITS.values(), ids=KITS.keys())
def test_a_malformed_body_is_only_ever_refused(kit: Any, body: bytes) -> None:
    """Whatever header comes with it, and whatever header does not."""
    genuine = kit.request("delivered")
    bare = {k: v for k, v in genuine.headers.items() if k != "Authorization"}
    for headers in (genuine.headers, bare):
        try:
            read = kit.reader().receipts(ReceiptRequest(genuine.url, headers, body), kit_time())
        except InvalidSignature:
            continue
        raise AssertionError(read)


def test_a_form_of_more_fields_than_any_receipt_has_is_not_taken_apart() -> None:
    assert len(rules.form(b"&".join([b"a=1"] * rules.MAX_FIELDS))) == rules.MAX_FIELDS
    with pytest.raises(InvalidSignature):
        rules.form(b"&".join([b"a=1"] * (rules.MAX_FIELDS + 1)))


def kit_time() -> Any:
    from tests.contract.channel_kit import NOW

    return NOW


def test_of_an_unsigned_receipt_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    from shared.adapters.providers.sms import twilio

    verifier = twilio.ReceiptVerifier(Values({"TWILIO_AUTH_TOKEN": "t0ken"}))
    handler = Receipts(FakeLedger(), {"twilio": verifier}, None, None, None, None)  # type: ignore[arg-type]
    monkeypatch.setattr(bootstrap, "receipts", lambda: handler)
    monkeypatch.setattr(request_body, "read", lambda *_: pytest.fail("it was read"))
    client = Client(functions_framework.create_app("receipts", str(MAIN)))
    assert client.post("/twilio", data=b"a=1").status_code == 401
