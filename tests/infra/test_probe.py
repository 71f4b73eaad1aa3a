"""`make probe`: what it prints for a request that cannot be read, and for one that can."""

from types import SimpleNamespace
from typing import Any

import pytest

from infra.ops import probe
from shared import bootstrap
from shared.adapters.clickwrap.client import ClickwrapClient
from shared.adapters.clickwrap.fields import FIELDS
from shared.domain.errors import RetryLater
from shared.domain.model import AccountAnswers, RelayStatus
from shared.ports import NotFound
from shared.services.relay_status import RELAY
from tests.fakes import FakeLedger


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> ClickwrapClient:
    client = ClickwrapClient("https://api.test", "token", FIELDS, 60.0)
    monkeypatch.setattr(bootstrap, "clickwrap_api", lambda: client)
    ledger = FakeLedger()
    ledger.put(RELAY, RelayStatus(answers=AccountAnswers(read=30, status=1.0)), None)
    monkeypatch.setattr(bootstrap, "backend", lambda: SimpleNamespace(ledger=lambda: ledger))
    return client


def answers(api: ClickwrapClient, monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    def document(request: str) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(api, "document", document)


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (NotFound(), "probe: the API knows no request 'nope' (404)\n"),
        (RetryLater("the API cannot be reached"), "probe: the API cannot be reached\n"),
    ],
)
def test_a_request_that_cannot_be_read_is_an_error_with_its_reason(
    api: ClickwrapClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: Any, line: str
) -> None:
    answers(api, monkeypatch, answer)
    assert probe.main("nope") == 1
    assert capsys.readouterr().err == line


def test_without_a_request_it_names_the_variable(capsys: pytest.CaptureFixture[str]) -> None:
    assert probe.main("") == 1
    assert capsys.readouterr().err == "probe: set REQUEST to a request's id\n"


def test_a_missing_field_is_listed_with_what_is_lost_without_it(
    api: ClickwrapClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers(api, monkeypatch, {"id": "r", "status": "sent", "signers": [{"signer": {"name": "Ann"}}]})
    assert probe.main("r") == 0
    told = capsys.readouterr().out
    assert "signing URL: nobody can be invited" in told
    assert "a lost Complete or Expired webhook" not in told
    assert "usually the status, never who has signed" in told


def test_what_a_template_may_use_on_this_account_is_shown(
    api: ClickwrapClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    signer = {"signer": {"name": "Ann", "locale": "de", "additional_attributes": {"company": "Acme"}}}
    answers(api, monkeypatch, {"id": "r", "render_data": {"message": "Please hurry"}, "signers": [signer]})
    assert probe.main("r") == 0
    told = {line.split()[0]: line.split()[1] for line in capsys.readouterr().out.splitlines() if "metadata" in line}
    assert told["metadata.message"] == "render_data.message"
    assert told["signer.metadata.company"] == "signer.additional_attributes.company"
    assert told["metadata.company"] == "-"


def test_what_no_field_reads_is_named_without_its_value(
    api: ClickwrapClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A customer who does not know the keys of their custom data cannot set a path to them."""
    attributes = {"team": "secret", "company": "secret", "empty": None, "ann@example.com": "secret"}
    signers = [{"id": 1, "signer": {"name": "secret"}}, {"signer": {"additional_attributes": attributes}}]
    custom = {"deal": "secret", "tags": ["secret", "secret"], "parts": [{"price": 1}, {"price": 2}], "none": {}}
    answers(api, monkeypatch, {"id": "r", "name": "secret", "custom_data": custom, "signers": signers})
    assert probe.main("r") == 0
    told = capsys.readouterr().out
    listed = told.partition("that no field reads, by name:\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split() for line in listed] == [
        ["request", "custom_data.deal"],
        ["request", "custom_data.parts.*.price"],
        ["request", "custom_data.tags.*"],
        ["signer", "signer.additional_attributes.empty"],
        ["signer", "signer.additional_attributes.team"],
    ]
    assert "secret" not in told
    assert "ann@example.com" not in told


def test_where_every_value_is_read_nothing_is_listed(
    api: ClickwrapClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers(api, monkeypatch, {"id": "r", "signers": ["a", "b"]})
    assert probe.main("r") == 0
    assert "that no field reads, by name:\n  nothing\n" in capsys.readouterr().out
