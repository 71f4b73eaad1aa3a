"""Each provider's receipts through the entry point: signed as the provider signs, read on the raw bytes."""

from datetime import datetime
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

import functions_framework
import pytest
from werkzeug.test import Client

from shared import request_body
from shared.adapters.providers.common import sns
from shared.adapters.providers.sms import twilio
from shared.domain.errors import RetryLater
from shared.domain.model import ChannelName, Kind, NoticeRecord, NoticeState, Suppression, Transition
from shared.domain.receipts import ReceiptRequest
from tests import signed_receipts as signed
from tests.contract import test_channels as providers
from tests.contract.channel_kit import NOTICE, NOW, ReceiptKit
from tests.fakes import PHONES, FakeBus, FakeLedger
from tests.unit.adapters.providers.test_receipt_signatures import KITS, off_by_one
from tests.unit.lifecycle import test_opt_out as opt_outs

MAIN = Path(__file__).parents[2] / "functions" / "receipts" / "main.py"
PROOFS = {
    "TWILIO_AUTH_TOKEN": "t0ken",
    "VONAGE_SIGNATURE_SECRET": "s1gning",
    "SENDGRID_WEBHOOK_PUBLIC_KEY": signed.sendgrid_public_key(),
    "MAILGUN_SIGNING_KEY": "s1gning",
    "POSTMARK_WEBHOOK_TOKEN": signed.HOOK,
    "SES_TOPIC_ARN": signed.TOPIC,
    "AWS_SMS_TOPIC_ARN": signed.TOPIC,
    "EMAIL_FROM": "relay@example.com",
    "RECEIPTS_BASE_URL": providers.RECEIPTS,
    "GOOGLE_CLOUD_PROJECT": "p",
    "ADDRESS_SECRET": "key" * 11,
}
SMS = ("twilio", "vonage", "aws")


class Backend:
    def __init__(self) -> None:
        self.documents, self.messages = FakeLedger(), FakeBus()

    def ledger(self) -> FakeLedger:
        return self.documents

    def bus(self) -> FakeBus:
        return self.messages


def record(provider: str) -> NoticeRecord:
    return NoticeRecord(
        request_id="r1",
        signer="s1",
        kind=Kind.INVITATION,
        channel=ChannelName.SMS,
        round=1,
        state=NoticeState.UNKNOWN,
        provider=provider,
        fallback="f" * 64,
        history=(Transition(at=NOW, state=NoticeState.UNKNOWN),),
    )


@pytest.fixture(params=KITS, ids=KITS)
def kit(request: Any) -> tuple[str, ReceiptKit]:
    return request.param.split()[0], KITS[request.param]


@pytest.fixture
def backend(kit: tuple[str, ReceiptKit], compose: Any) -> Backend:
    provider, _ = kit
    environ = {**PROOFS, ("SMS_PROVIDER" if provider in SMS else "EMAIL_PROVIDER"): provider}
    backend = Backend()
    compose(environ, _local=backend, _time=lambda: NOW)
    backend.documents.put(NOTICE, record(provider), None)
    return backend


def post(sent: ReceiptRequest, body: bytes | None = None) -> Any:
    """As Cloud Run passes it on: the function's name is gone from the path."""
    client = Client(functions_framework.create_app("receipts", str(MAIN)))
    path = sent.url.removeprefix(providers.RECEIPTS)
    return client.post(path, data=sent.body if body is None else body, headers=list(sent.headers.items()))


def test_a_genuine_receipt_settles_its_notice(kit: tuple[str, ReceiptKit], backend: Backend) -> None:
    answer = post(kit[1].request("delivered"))
    assert (answer.status_code, answer.json) == (200, {"settled": 1})
    assert backend.documents.all(NoticeRecord)[NOTICE].state is NoticeState.DELIVERED


def test_an_undelivered_message_sends_for_the_other_channel(kit: tuple[str, ReceiptKit], backend: Backend) -> None:
    assert post(kit[1].request("undelivered")).status_code == 200
    [message] = backend.messages.topics["signer-notices"]
    assert message.attributes["channel"] == "email"
    assert NOTICE.encode() in message.data


def test_a_forged_receipt_gets_401_and_changes_nothing(kit: tuple[str, ReceiptKit], backend: Backend) -> None:
    sent = kit[1].request("delivered")
    forged = ReceiptRequest(sent.url, {k: off_by_one(v, 5) for k, v in sent.headers.items()}, sent.body)
    body = sent.body.replace(b"signature", b"signatory").replace(b"sig=", b"sag=")
    assert post(forged, body).status_code == 401
    assert backend.documents.all(NoticeRecord)[NOTICE].state is NoticeState.UNKNOWN


@pytest.mark.parametrize(
    ("kit", "sent", "answer"),
    [
        ("twilio", opt_outs.by_twilio("STOP", NOW), "<Response></Response>"),
        ("vonage jwt", opt_outs.by_vonage("STOP", NOW), '{"settled":0}\n'),
        ("aws", opt_outs.by_aws("STOP", NOW), '{"settled":0}\n'),
    ],
    indirect=["kit"],
)
def test_a_signers_stop_blocks_their_number_and_no_log_names_it(
    kit: tuple[str, ReceiptKit], backend: Backend, sent: ReceiptRequest, answer: str, capfd: pytest.CaptureFixture[str]
) -> None:
    told = post(sent)
    assert (told.status_code, told.text) == (200, answer)
    [blocked] = backend.documents.all(Suppression).values()
    assert blocked.reason == "the signer texted STOP"
    logged = capfd.readouterr().err
    assert '"keyword": "STOP"' in logged
    assert PHONES["a"].removeprefix("+") not in logged


@pytest.mark.parametrize("kit", ["ses"], indirect=True)
def test_a_subscription_of_amazons_is_confirmed_and_comes_again_where_that_fails(
    kit: tuple[str, ReceiptKit], backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = signed.sns(
        f"{providers.RECEIPTS}/ses", "confirm", NOW, Type="SubscriptionConfirmation", Token="t", SubscribeURL=""
    )
    asked: list[str] = []
    monkeypatch.setattr(sns, "fetched", lambda url, now: asked.append(url))
    answer = post(sent)
    assert (answer.status_code, answer.json) == (200, {"settled": 0})
    assert [url.partition("?")[0] for url in asked] == ["https://sns.us-east-1.amazonaws.com/"]

    def unreachable(url: str, now: datetime) -> bytes:
        raise RetryLater("Amazon SNS could not be reached")

    monkeypatch.setattr(sns, "fetched", unreachable)
    assert post(sent).status_code == 503


@pytest.mark.parametrize("kit", ["twilio"], indirect=True)
def test_a_fault_of_ours_is_no_404_which_the_provider_would_not_repeat(
    kit: tuple[str, ReceiptKit], backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(*_: object) -> None:
        raise KeyError("status")

    monkeypatch.setattr(twilio.ReceiptVerifier, "receipts", faulty)
    assert post(kit[1].request("delivered")).status_code == 500


def test_another_path_gets_404(kit: tuple[str, ReceiptKit], backend: Backend) -> None:
    assert post(ReceiptRequest(f"{providers.RECEIPTS}/nobody", {}, b"{}")).status_code == 404


def test_a_ledger_out_of_reach_gets_503_so_that_the_provider_repeats(
    kit: tuple[str, ReceiptKit], backend: Backend
) -> None:
    backend.documents.races = 99
    assert post(kit[1].request("delivered")).status_code == 503


@pytest.mark.parametrize("kit", ["sendgrid"], indirect=True)
def test_a_large_body_beside_many_others_gets_429_and_when_to_come_again(
    kit: tuple[str, ReceiptKit], backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_body, "_places", BoundedSemaphore(1))
    with request_body._place():
        answer = post(kit[1].request("delivered"), b"x" * 100_000)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "10")


def test_a_body_without_end_gets_413(kit: tuple[str, ReceiptKit], backend: Backend) -> None:
    assert post(kit[1].request("delivered"), b"x" * 5_000_000).status_code == 413
