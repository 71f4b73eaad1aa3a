"""The settings choose the adapter of each port; a wrong one stops the start with its name."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from shared import bootstrap
from shared.adapters.gcp.monitoring import MonitoredFlows
from shared.adapters.providers import registry
from shared.adapters.providers.email import smtp
from shared.adapters.providers.sms import twilio
from shared.adapters.shorteners.links import OwnLinks
from shared.adapters.shorteners.none import NoShortener
from shared.adapters.signing.kms import KmsKey
from shared.adapters.signing.local_file import FileKey
from shared.domain.model import ChannelName
from shared.setting_types import SettingError
from shared.settings import Settings

ROOT = Path(__file__).parents[2]
ACCOUNT = {"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "t", "TWILIO_FROM": "+15005550006"}
TWILIO = {"SMS_PROVIDER": "twilio", **ACCOUNT}
SMTP = {"EMAIL_PROVIDER": "smtp", "SMTP_URL": "smtp://127.0.0.1:25", "EMAIL_FROM": "relay@example.com"}
CLOUD = {
    "GOOGLE_CLOUD_PROJECT": "p",
    "LOCATION": "l",
    "CLICKWRAP_WEBHOOK_TOKENS": "a-secret-of-thirty-two-characters",
    "CLICKWRAP_API_TOKEN": "secret",
    "REMIND_URL": "https://remind.example",
    "RESOLVE_URL": "https://resolve.example",
    "LINKS_BASE_URL": "https://l.example",
    "ADDRESS_SECRET": "a-secret-of-thirty-two-characters",
    "LINKS_SECRET": "a-secret-of-thirty-two-characters",
    "TASKS_SERVICE_ACCOUNT": "relay-tasks@p.iam.gserviceaccount.com",
}
FUNCTIONS = ("receive", "resolve", "deliver", "remind", "reconcile", "links", "receipts", "console")


@pytest.fixture
def given(compose: Any) -> Callable[..., None]:
    """Sets the whole environment of the composition root."""
    return lambda **environ: compose(environ)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_function_is_composed_for_the_cloud_without_a_call(given: Any, function: str) -> None:
    given(**CLOUD, **TWILIO, **SMTP)
    assert getattr(bootstrap, function)() is getattr(bootstrap, function)()


@pytest.mark.parametrize(
    ("function", "variable"),
    [
        ("receive", "CLICKWRAP_WEBHOOK_TOKENS"),
        ("receive", "GOOGLE_CLOUD_PROJECT"),
        ("resolve", "CLICKWRAP_API_TOKEN"),
        ("resolve", "REMIND_URL"),
        ("remind", "LOCATION"),
        ("remind", "TASKS_SERVICE_ACCOUNT"),
        ("deliver", "LINKS_SECRET"),
        ("deliver", "ADDRESS_SECRET"),
        ("console", "ADDRESS_SECRET"),
        ("deliver", "LINKS_BASE_URL"),
        ("deliver", "TWILIO_AUTH_TOKEN"),
        ("deliver", "SMTP_URL"),
        ("deliver", "EMAIL_FROM"),
    ],
)
def test_what_is_missing_is_named(given: Any, function: str, variable: str) -> None:
    given(**{k: v for k, v in {**CLOUD, **TWILIO, **SMTP}.items() if k != variable})
    with pytest.raises(SettingError, match=variable):
        getattr(bootstrap, function)()


@pytest.mark.parametrize(
    ("function", "variable", "value"),
    [
        ("receive", "CLICKWRAP_WEBHOOK_TOKENS", "a-secret-of-thirty-two-characters,old"),
        ("deliver", "LINKS_SECRET", "short"),
        ("deliver", "ADDRESS_SECRET", "short"),
        ("receipts", "ADDRESS_SECRET", "short"),
        ("console", "ADDRESS_SECRET", "short"),
        ("receipts", "POSTMARK_WEBHOOK_TOKEN", "short"),
    ],
)
def test_a_short_secret_of_our_own_stops_what_is_deployed(given: Any, function: str, variable: str, value: str) -> None:
    given(**{**CLOUD, "EMAIL_PROVIDER": "postmark", "EMAIL_FROM": "r@example.com", "POSTMARK_SERVER_TOKEN": "t"})
    getattr(bootstrap, function)()  # that it lacks a token of Postmark's stops nothing
    given(**{**CLOUD, "EMAIL_PROVIDER": "postmark", "EMAIL_FROM": "r@example.com", variable: value})
    with pytest.raises(SettingError, match=f"{variable} must have 32 characters"):
        getattr(bootstrap, function)()


def test_the_chosen_providers_stand_behind_their_channels(given: Any) -> None:
    given(**CLOUD, **TWILIO, **SMTP)
    channels = bootstrap.channels()
    assert isinstance(channels[ChannelName.SMS], twilio.Sender)
    assert isinstance(channels[ChannelName.EMAIL], smtp.Sender)


def test_without_a_provider_there_is_no_channel(given: Any) -> None:
    given(**CLOUD)
    assert bootstrap.channels() == {}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("SMTP_URL", "imap://x"),
        ("EMAIL_FROM", "nobody"),
        ("SMS_PROVIDER", "outbox"),
        ("BACKEND", "embedded"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(given: Any, setting: str, value: str) -> None:
    given(**{**CLOUD, **TWILIO, **SMTP, setting: value})
    with pytest.raises(SettingError, match=setting.split("_")[0]):
        bootstrap.deliver()


def test_the_outbox_has_no_receipts_in_the_cloud(given: Any) -> None:
    given(**CLOUD, SMS_PROVIDER="outbox")
    with pytest.raises(SettingError, match="outbox is for local use only"):
        bootstrap.receipts()


def test_with_an_emulator_missing_nothing_turns_to_google_itself(given: Any) -> None:
    emulators = {f"{name}_EMULATOR_HOST": "127.0.0.1:1" for name in ("PUBSUB", "FIRESTORE", "CLOUD_TASKS")}
    given(**CLOUD, **emulators, BACKEND="emulators")
    assert isinstance(bootstrap.backend(), bootstrap.GoogleBackend)
    for missing in emulators:
        given(**CLOUD, **{name: host for name, host in emulators.items() if name != missing}, BACKEND="emulators")
        with pytest.raises(SettingError, match=f"^{missing} is not set$"):
            bootstrap.backend()


def test_what_waits_in_pub_sub_is_measured_in_the_cloud_and_not_beside_an_emulator(given: Any) -> None:
    given(**CLOUD)
    assert isinstance(bootstrap.backend().flows(), MonitoredFlows)
    given(**CLOUD, PUBSUB_EMULATOR_HOST="127.0.0.1:1")
    assert bootstrap.backend().flows() is None


@pytest.mark.parametrize(
    ("key", "kind"), [("projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1", KmsKey), ("", FileKey)]
)
def test_the_key_of_the_evidence_is_in_the_cloud_or_in_a_file(given: Any, tmp_path: Path, key: str, kind: type) -> None:
    given(**CLOUD, EVIDENCE_KEY=key or str(tmp_path / "key.pem"))
    signed_with = vars(bootstrap.evidence())["_key"]
    assert isinstance(signed_with, kind)


def test_evidence_without_a_key_is_refused(given: Any) -> None:
    given(**CLOUD)
    with pytest.raises(SettingError, match=r"^EVIDENCE_KEY is not set$"):
        bootstrap.evidence()


APPLICATION = {"MICROSOFT_TENANT_ID": "t", "MICROSOFT_CLIENT_ID": "a", "MICROSOFT_CLIENT_SECRET": "s"}
PROVIDERS = [
    ("sms", "vonage", {"VONAGE_API_KEY": "k", "VONAGE_API_SECRET": "s", "VONAGE_FROM": "Relay"}),
    ("sms", "twilio", ACCOUNT),
    ("email", "smtp", {"SMTP_URL": "smtp://127.0.0.1:25", "EMAIL_FROM": "relay@example.com"}),
    ("email", "sendgrid", {"SENDGRID_API_KEY": "k", "EMAIL_FROM": "relay@example.com"}),
    ("email", "microsoft", {**APPLICATION, "EMAIL_FROM": "relay@example.com"}),
    ("email", "mailgun", {"MAILGUN_API_KEY": "k", "MAILGUN_DOMAIN": "m.example", "EMAIL_FROM": "relay@example.com"}),
    ("email", "postmark", {"POSTMARK_SERVER_TOKEN": "t", "EMAIL_FROM": "relay@example.com"}),
    (
        "email",
        "ses",
        {
            "SES_REGION": "us-east-1",
            "SES_ACCESS_KEY_ID": "k",
            "SES_SECRET_ACCESS_KEY": "s",
            "EMAIL_FROM": "relay@example.com",
        },
    ),
    (
        "sms",
        "aws",
        {
            "AWS_SMS_REGION": "us-east-1",
            "AWS_SMS_ACCESS_KEY_ID": "k",
            "AWS_SMS_SECRET_ACCESS_KEY": "s",
            "AWS_SMS_FROM": "Relay",
        },
    ),
]


@pytest.mark.parametrize(("channel", "name", "needed"), PROVIDERS, ids=[f"{c}-{n}" for c, n, _ in PROVIDERS])
def test_each_provider_is_served_by_settings_alone_and_names_what_is_missing(
    given: Any, channel: str, name: str, needed: dict[str, str]
) -> None:
    chosen = {**CLOUD, f"{channel.upper()}_PROVIDER": name}
    given(**chosen, **needed)
    assert bootstrap.channels()[ChannelName(channel)].name == name
    for variable in needed:
        given(**chosen, **{k: v for k, v in needed.items() if k != variable})
        with pytest.raises(SettingError, match=variable):
            bootstrap.channels()


class Recording(dict[str, str]):
    """Remembers which names it was asked for."""

    def __init__(self, given: dict[str, str]) -> None:
        super().__init__(given)
        self.asked: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)


@pytest.mark.parametrize(("channel", "name", "needed"), PROVIDERS, ids=[f"{c}-{n}" for c, n, _ in PROVIDERS])
def test_a_provider_reads_what_it_declares_for_that_part_and_nothing_else(
    channel: str, name: str, needed: dict[str, str]
) -> None:
    spec, environ = registry.spec(ChannelName(channel), name), Recording(needed)
    registry.sender(ChannelName(channel), name, Settings(environ), bootstrap.clock)
    assert environ.asked == {setting.name for setting in spec.sending}
    environ.asked.clear()
    registry.receipt_verifier(ChannelName(channel), name, Settings(environ))
    assert environ.asked == {setting.name for setting in spec.receipts}


@pytest.mark.parametrize(("name", "variable"), [("bitly", "BITLY_TOKEN"), ("rebrandly", "REBRANDLY_API_KEY")])
def test_each_shortener_names_what_is_missing(given: Any, name: str, variable: str) -> None:
    given(**CLOUD, SHORTENER=name)
    with pytest.raises(SettingError, match=variable):
        bootstrap.shortener()
    given(**CLOUD, **{"SHORTENER": name, variable: "secret"})
    assert bootstrap.shortener() is not None


@pytest.mark.parametrize(
    ("chosen", "warned"),
    [
        ({"SHORTENER": "bitly"}, "BITLY_DOMAIN"),
        ({"SHORTENER": "bitly", "BITLY_DOMAIN": "bit.ly"}, "BITLY_DOMAIN"),
        ({"SHORTENER": "rebrandly"}, "REBRANDLY_DOMAIN"),
        ({"SMS_PROVIDER": "twilio"}, "RECEIPTS_BASE_URL"),
        ({"SHORTENER": "bitly", "BITLY_DOMAIN": "go.example"}, ""),
        ({}, ""),
    ],
)
def test_what_would_be_better_otherwise_is_warned_of_by_name(chosen: dict[str, str], warned: str) -> None:
    found = Settings(chosen).warnings()
    assert len(found) == bool(warned)
    assert warned in "".join(found)


def test_receipts_need_what_proves_them_and_no_key_to_send_with(given: Any) -> None:
    needed = {"SMS_PROVIDER": "twilio", "EMAIL_PROVIDER": "sendgrid"}
    proofs = {"TWILIO_AUTH_TOKEN": "t", "SENDGRID_WEBHOOK_PUBLIC_KEY": "k"}
    given(**CLOUD, **needed, **proofs)
    assert set(bootstrap.receivers()) == {"twilio", "sendgrid"}
    given(**CLOUD, **needed)
    with pytest.raises(SettingError, match="TWILIO_AUTH_TOKEN"):
        bootstrap.receivers()


def test_receipts_of_a_provider_that_was_left_are_taken_while_it_is_named(given: Any) -> None:
    proofs = {"TWILIO_AUTH_TOKEN": "t", "VONAGE_SIGNATURE_SECRET": "s"}
    given(**CLOUD, **proofs, SMS_PROVIDER="vonage")
    assert set(bootstrap.receivers()) == {"vonage"}
    given(**CLOUD, **proofs, SMS_PROVIDER="vonage", FORMER_PROVIDERS="twilio, smtp")
    assert set(bootstrap.receivers()) == {"vonage", "twilio"}
    given(**CLOUD, SMS_PROVIDER="vonage", FORMER_PROVIDERS="twilo")
    with pytest.raises(SettingError, match=r"FORMER_PROVIDERS 'twilo' must be .*twilio"):
        bootstrap.receivers()


def test_the_shortener_is_chosen_by_its_name(given: Any) -> None:
    given(**CLOUD)
    assert isinstance(bootstrap.shortener(), OwnLinks)
    given(**CLOUD, SHORTENER="none")
    assert isinstance(bootstrap.shortener(), NoShortener)


IMPORTED = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("main", "functions/deliver/main.py")
spec.loader.exec_module(importlib.util.module_from_spec(spec))
ours = ("shared.adapters.providers.", "shared.adapters.shorteners.")
print(*sorted(m.removeprefix("shared.adapters.") for m in sys.modules if m.startswith(ours)))
"""


def test_an_instance_imports_the_adapters_it_uses_and_no_other() -> None:
    environ = {**CLOUD, **TWILIO, "EMAIL_PROVIDER": "postmark", "POSTMARK_SERVER_TOKEN": "t"}
    environ |= {"EMAIL_FROM": "relay@example.com", "DELIVER_URL": "https://deliver.example", "CALLERS": "a@example.com"}
    environ |= {"PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", IMPORTED]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True, timeout=60)
    found = {name for name in done.stdout.split() if ".common" not in name}
    assert found - {"providers.email", "providers.sms", "providers.registry", "shorteners.registry"} == {
        "providers.email.postmark",
        "providers.sms.twilio",
        "shorteners.links",
    }


def test_the_requests_of_a_pass_are_rechecked_side_by_side() -> None:
    together = Barrier(4)
    met = []
    bootstrap._side_by_side(4, lambda request: met.append((request, together.wait(10))), map(str, range(8)))
    assert sorted(request for request, _ in met) == list("01234567")
