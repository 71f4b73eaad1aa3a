"""Which relay the operator's commands read, and with which settings."""

import json
import os

import pytest
from google.api_core.exceptions import PermissionDenied, ServiceUnavailable

from infra.ops import probe
from infra.ops.relay import relay_ports
from infra.ops.shell import Stop
from shared.adapters.gcp.calls import reaching
from shared.domain.errors import RetryLater
from shared.settings import Settings
from tests.infra.tools import Tools


def outputs(**environment: str) -> str:
    return json.dumps({"environment": {"value": environment}})


@pytest.fixture
def environ(here: Tools, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of this test alone."""
    own = dict(os.environ)
    monkeypatch.setattr(os, "environ", own)
    return own


def test_in_the_cloud_a_command_has_the_settings_of_the_deployed_functions(
    here: Tools, environ: dict[str, str]
) -> None:
    here.relay_env("SMS_PROVIDER=twilio\nREMINDER_DAYS=2,4\nSTATUS_WEBHOOK_URL=https://acme.example/status\n")
    here.answer("output -json", out=outputs(FIRESTORE_DATABASE="relay-restored"))
    environ |= {"BACKEND": "gcp"}
    with relay_ports():
        assert environ["FIRESTORE_DATABASE"] == "relay-restored"
        assert environ["STATUS_WEBHOOK_URL"] == "https://acme.example/status"
        assert Settings(environ).project == "demo-project"
        policy = Settings(environ).policy()
    assert policy.reminder_days == (2, 4)
    assert policy.available == {"sms"}


def test_the_command_line_counts_before_them_but_not_for_the_project(here: Tools, environ: dict[str, str]) -> None:
    here.answer("output -json", out=outputs(FIRESTORE_DATABASE="lost"))
    environ |= {"BACKEND": "gcp", "FIRESTORE_DATABASE": "relay-restored", "GOOGLE_CLOUD_PROJECT": "of-the-shell"}
    with relay_ports():
        assert environ["FIRESTORE_DATABASE"] == "relay-restored"
        assert environ["GOOGLE_CLOUD_PROJECT"] == "demo-project"


@pytest.mark.parametrize("module", ["why", "status", "evidence", "replay"])
def test_a_command_that_reads_stops_at_the_state_of_another_project(tools: Tools, module: str) -> None:
    tools.answer("output -json", out=outputs(GOOGLE_CLOUD_PROJECT="prod"))
    done = tools.run(module, BACKEND="gcp", REQUEST="r1")
    assert done.returncode == 1
    assert "Terraform's state is of prod, not of demo-project" in done.stderr
    assert not done.stdout  # which may be piped to another program


@pytest.mark.parametrize("module", ["why", "status", "forget", "replay"])
def test_a_missing_login_leads_to_the_command_that_makes_it(tools: Tools, module: str) -> None:
    done = tools.run(module, BACKEND="gcp", REQUEST="r1", GOOGLE_APPLICATION_CREDENTIALS="/none.json")
    assert done.returncode == 1
    assert done.stderr.endswith("DefaultCredentialsError: run `gcloud auth application-default login`\n")


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        (PermissionDenied("no"), "Firestore: PermissionDenied: your login lacks a right: see docs/permissions.md"),
        (ServiceUnavailable("no"), "Firestore: ServiceUnavailable"),
    ],
)
def test_a_missing_right_leads_to_the_table_of_rights(
    here: Tools, environ: dict[str, str], cause: Exception, told: str
) -> None:
    environ |= {"BACKEND": "gcp"}
    with pytest.raises((Stop, RetryLater)) as raised, relay_ports(), reaching("Firestore"):
        raise cause
    assert str(raised.value) == told


def test_without_a_project_the_environment_alone_counts(here: Tools, environ: dict[str, str]) -> None:
    del environ["PROJECT"]
    environ |= {"BACKEND": "gcp", "GOOGLE_CLOUD_PROJECT": "elsewhere"}
    with relay_ports():
        assert Settings(environ).project == "elsewhere"
    assert not here.asked()


def test_probe_reads_along_the_paths_of_relay_env(here: Tools, environ: dict[str, str]) -> None:
    here.relay_env('CLICKWRAP_FIELDS=\'{"title": ["name"]}\'\nLOG_LEVEL=DEBUG\n')
    environ |= {"LOG_LEVEL": "WARNING"}
    probe.with_relay_env()
    assert (environ["CLICKWRAP_FIELDS"], environ["LOG_LEVEL"]) == ('{"title": ["name"]}', "WARNING")
    assert environ["GOOGLE_CLOUD_PROJECT"] == "demo-project"
    assert not here.asked()
