"""Each check of `make doctor`: OK, or what to do."""

import json
import re
import socket
import ssl
import urllib.error
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from email.message import Message
from types import SimpleNamespace
from typing import Any

import pytest

from infra.ops import credentials, doctor
from infra.ops.credentials import PROBES, Values, chosen
from infra.ops.doctor import SERVICES, status_of
from infra.ops.function_table import ROOT, every_secret, written
from infra.ops.report import Finding
from infra.ops.shell import Stop
from shared.callers import Callers
from tests.infra.tools import Tools
from tests.stand_in import Reply, StandIn, closed_port

BY_NAME = {probe.name: probe for probe in PROBES}


def advices(findings: Iterator[Finding]) -> list[str]:
    return [finding.advice for finding in findings]


# -- tools and project


def test_tools_are_found_with_their_versions(here: Tools) -> None:
    here.answer("terraform version", out="Terraform v1.11.4\non linux_amd64\n")
    assert advices(doctor.tools()) == ["", "", ""]
    here.answer("terraform version", out="Terraform v1.5.7\n")
    assert advices(doctor.tools())[2] == "is too old: install 1.9 or newer"


def test_terraforms_least_version_is_the_one_infra_asks_for() -> None:
    least = ".".join(map(str, doctor.TERRAFORM))
    assert f'required_version = ">= {least}"' in (ROOT / "infra" / "versions.tf").read_text()


def test_the_services_are_those_that_infra_enables() -> None:
    text = (ROOT / "infra" / "services.tf").read_text()
    assert [name for name in SERVICES if f'"{name}.googleapis.com"' not in text] == []


def test_nobody_logged_in(here: Tools) -> None:
    assert advices(doctor.login()) == ["run `gcloud auth login`"]
    here.answer("auth list", out="ann@example.com\n")
    assert advices(doctor.login()) == [""]


def test_a_project_that_is_not_active(here: Tools) -> None:
    assert advices(doctor.project()) == ["demo-project is unknown: check PROJECT"]
    here.answer("projects describe", out="ACTIVE\n")
    assert advices(doctor.project()) == [""]


def test_services_that_are_not_enabled_are_named(here: Tools) -> None:
    here.answer("services list", out="".join(f"{name}.googleapis.com\n" for name in SERVICES if name != "run"))
    assert advices(doctor.services()) == ["run `make infra`: run not enabled"]


def test_secrets_without_a_value_are_named(here: Tools) -> None:
    here.answer("versions list clickwrap-api-token", out="enabled\n")
    told = {finding.what: finding.advice for finding in doctor.secrets()}
    assert told["secret CLICKWRAP_API_TOKEN"] == ""
    assert told["secret LINKS_SECRET"] == doctor.NO_VALUE


def test_functions_that_do_not_run_are_named(here: Tools) -> None:
    here.answer("functions list", out="receive\tACTIVE\nlinks\tFAILED\n")
    told = {finding.what: finding.advice for finding in doctor.deployed()}
    assert told["function receive"] == ""
    assert told["function links"] == "is not running: run `make deploy FUNCTIONS=links`"


@pytest.mark.parametrize("member", ["allUsers", "allAuthenticatedUsers", "user:gone@example.com"])
def test_a_private_function_that_somebody_may_call_who_should_not_is_found(
    here: Tools, monkeypatch: pytest.MonkeyPatch, member: str
) -> None:
    monkeypatch.setattr(doctor, "reaches_code", lambda url: False)
    policy = {"bindings": [{"role": "roles/run.invoker", "members": [member]}]}
    here.relay_env("STATUS_WEBHOOK_URL=https://acme.example/status\n")
    here.answer("get-iam-policy remind", out=json.dumps(policy))
    told = {finding.what: finding.advice for finding in doctor.privacy()}
    assert set(told) == {f"{f.name} is private" for f in written() if not f.public}
    assert [what for what, advice in told.items() if advice] == ["remind is private"]
    assert member in told["remind is private"]


def test_those_who_should_call_a_private_function_are_no_finding(here: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "reaches_code", lambda url: False)
    monkeypatch.setenv("OPERATORS", "user:ann@example.com")
    ours = {"role": "roles/run.invoker", "members": ["user:ann@example.com"]}
    looks = {"role": "roles/run.viewer", "members": ["group:ops@example.com"]}
    here.answer("get-iam-policy console", out=json.dumps({"bindings": [ours, looks]}))
    assert not any(advices(doctor.privacy()))


def test_a_private_function_whose_callers_are_not_checked_is_found(
    here: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "reaches_code", lambda url: url.endswith("/deliver"))
    opened = [finding for finding in doctor.privacy() if finding.advice]
    assert [finding.what for finding in opened] == ["deliver is private"]
    assert opened[0].advice == "answers anybody: `gcloud run services update deliver --invoker-iam-check` closes it"


def test_a_refusal_by_google_is_told_from_one_by_the_function() -> None:
    ours = Reply(403, f"<p>{Callers(('a',), '').refusal({}, 0)}</p>".encode())
    with StandIn(
        Reply(403, b"Your client does not have permission"), Reply(401), ours, Reply(405), Reply(200)
    ) as there:
        assert [doctor.reaches_code(there.url) for _ in range(5)] == [False, False, True, True, True]
    assert not doctor.reaches_code(there.url)


def test_the_webhook_url_is_there_when_it_rejects_a_get(here: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    with StandIn(Reply(405), Reply(404)) as receive:
        monkeypatch.setattr(doctor.config, "url", lambda name: receive.url)
        assert advices(doctor.webhook_url()) == [""]
        assert advices(doctor.webhook_url()) == ["answers 404: run `make deploy FUNCTIONS=receive`"]


# -- the domain of short links


def test_texts_with_googles_links_are_warned_of(here: Tools) -> None:
    here.relay_env("SMS_PROVIDER=twilio\n")
    [finding] = doctor.links()
    assert finding.advice.startswith("texts go out with links on cloudfunctions.net")
    here.relay_env("EMAIL_PROVIDER=postmark\n")
    assert list(doctor.links()) == []


@pytest.mark.parametrize(
    ("resolves", "answer", "advice"),
    [
        (False, None, "does not resolve: enter the DNS record"),
        (True, urllib.error.URLError(ssl.SSLCertVerificationError("expired")), "has no valid certificate"),
        (True, ConnectionRefusedError(), "cannot be reached"),
        (True, urllib.error.HTTPError("", 404, "", Message(), None), ""),
        (True, urllib.error.HTTPError("", 502, "", Message(), None), "answers 502, not 404"),
        (True, nullcontext(SimpleNamespace(status=200)), "answers 200, not 404"),
    ],
)
def test_a_link_domain_resolves_has_a_certificate_and_answers_404(
    here: Tools, monkeypatch: pytest.MonkeyPatch, resolves: bool, answer: Any, advice: str
) -> None:
    asked: list[str] = []

    def opened(url: str, timeout: float) -> Any:
        asked.append(url)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def lookup(host: str, port: int) -> None:
        if not resolves:
            raise socket.gaierror

    monkeypatch.setattr(doctor.socket, "getaddrinfo", lookup)
    monkeypatch.setattr(doctor.urllib.request, "urlopen", opened)
    here.relay_env("SMS_PROVIDER=twilio\nLINKS_DOMAIN=go.example.com\n")
    [finding] = doctor.links()
    assert finding.what == "link domain go.example.com"
    assert finding.advice.startswith(advice)
    assert bool(finding.advice) is bool(advice)
    assert asked == (["https://go.example.com/doctor"] if resolves else [])


def test_the_domains_of_brands_are_looked_at_too_and_a_wrong_one_is_named(
    here: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRY_RUN", "1")
    here.relay_env("""BRANDS='{"7": {"links_domain": "go.other.example"}}'\nLINKS_DOMAIN=go.example.com\n""")
    assert [f.what for f in doctor.links()] == ["link domain go.example.com", "link domain go.other.example"]
    here.relay_env("LINKS_DOMAIN=nowhere\n")
    with pytest.raises(Stop, match="LINKS_DOMAIN 'nowhere' must be a domain"):
        list(doctor.links())


def test_a_check_that_cannot_be_made_is_told_and_the_others_go_on(tools: Tools) -> None:
    tools.without("gcloud")
    done = tools.run("doctor", CLICKWRAP_API_URL="http://127.0.0.1:1")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert any(line.startswith("python") and " OK " in line for line in lines)
    assert any("gcloud is not installed: see https://" in line for line in lines)


# -- credentials


CASES = {
    "Clickwrap's API": ("/requests/doctor", {"CLICKWRAP_API_URL": "", "CLICKWRAP_API_TOKEN": "t"}, "Bearer t", 404),
    "SMS by Twilio": (
        "/2010-04-01/Accounts/AC1.json",
        {"TWILIO_API_URL": "", "TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "t"},
        "Basic QUMxOnQ=",
        200,
    ),
    "SMS by Vonage": (
        "/account/get-balance?api_key=k&api_secret=t",
        {"VONAGE_API_URL": "", "VONAGE_API_KEY": "k", "VONAGE_API_SECRET": "t"},
        "",
        200,
    ),
    "e-mail by SendGrid": ("/v3/scopes", {"SENDGRID_API_URL": "", "SENDGRID_API_KEY": "t"}, "Bearer t", 200),
    "e-mail by Mailgun": (
        "/v3/domains/example.com",
        {"MAILGUN_API_URL": "", "MAILGUN_DOMAIN": "example.com", "MAILGUN_API_KEY": "t"},
        "Basic YXBpOnQ=",
        200,
    ),
    "e-mail by Postmark": ("/server", {"POSTMARK_API_URL": "", "POSTMARK_SERVER_TOKEN": "t"}, "", 200),
    "short links by Bitly": ("/v4/user", {"BITLY_API_URL": "", "BITLY_TOKEN": "t"}, "Bearer t", 200),
    "short links by Rebrandly": ("/v1/account", {"REBRANDLY_API_URL": "", "REBRANDLY_API_KEY": "t"}, "", 200),
}


def checked(name: str, url: str) -> str:
    settings = {key: value or url for key, value in CASES[name][1].items()}
    plain = {key: value for key, value in settings.items() if key not in every_secret()}
    return BY_NAME[name].check(Values(plain, lambda secret: settings[secret]), status_of)


@pytest.mark.parametrize("name", CASES)
def test_credentials_are_tried_with_a_call_that_only_reads(name: str) -> None:
    path, _, authorization, status = CASES[name]
    with StandIn(Reply(status)) as provider:
        assert checked(name, provider.url) == ""
        (asked,) = provider.asked
    assert (asked.method, asked.path, asked.headers.get("authorization", "")) == ("GET", path, authorization)


@pytest.mark.parametrize("name", CASES)
def test_refused_credentials_are_named_but_not_shown(name: str) -> None:
    secret = next(variable for variable in CASES[name][1] if variable in every_secret())
    with StandIn(Reply(401)) as provider:
        assert (
            checked(name, provider.url)
            == f"refuses {secret} (401): run `make secrets RENEW={secret}` with the right one, then `make deploy`"
        )


@pytest.mark.parametrize("name", CASES)
def test_a_provider_that_is_down_or_not_there_says_nothing_about_credentials(name: str) -> None:
    with StandIn(Reply(500)) as provider:
        assert checked(name, provider.url) == "answers 500: see its status page"
    assert checked(name, f"http://127.0.0.1:{closed_port()}") == "cannot be reached: check its URL in the settings"


def test_credentials_follow_no_redirect_to_another_host() -> None:
    with StandIn(Reply(200)) as other, StandIn(Reply(302, headers={"Location": f"{other.url}/"})) as api:
        assert doctor.status_of(f"{api.url}/v1", {"Authorization": "Bearer token"}) == 302
        assert other.asked == []


@pytest.mark.parametrize("url", ["api.example.com/v1", "https://h:port/", "https://a b/"])
def test_a_url_that_is_none_reaches_nothing(url: str) -> None:
    assert doctor.status_of(url) == 0


def test_tokens_that_go_in_headers_of_their_own_go_there() -> None:
    with StandIn(Reply()) as provider:
        checked("e-mail by Postmark", provider.url)
        checked("short links by Rebrandly", provider.url)
        assert provider.asked[0].headers["x-postmark-server-token"] == "t"
        assert provider.asked[1].headers["apikey"] == "t"


def test_a_mailgun_domain_of_another_region_is_told_apart() -> None:
    with StandIn(Reply(404)) as provider:
        assert checked("e-mail by Mailgun", provider.url).startswith("does not know MAILGUN_DOMAIN")


@pytest.mark.parametrize(
    ("name", "prefix"), [("e-mail by Amazon SES", "SES"), ("SMS by AWS End User Messaging", "AWS_SMS")]
)
def test_amazon_is_asked_who_signs_which_needs_no_permission(name: str, prefix: str) -> None:
    asked: list[tuple[str, str]] = []

    def get(url: str, headers: Mapping[str, str]) -> int:
        asked.append((url, headers["Authorization"]))
        return 403

    plain = {f"{prefix}_REGION": "eu-west-1", f"{prefix}_ACCESS_KEY_ID": "AKID"}
    assert BY_NAME[name].check(Values(plain, lambda secret: "s"), get).startswith(f"refuses {prefix}_SECRET_ACCESS_KEY")
    [(url, proof)] = asked
    assert url == "https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15"
    assert re.match(
        r"AWS4-HMAC-SHA256 Credential=AKID/\d{8}/eu-west-1/sts/aws4_request, SignedHeaders=host;x-amz", proof
    )


def smtp_checked(url: str) -> str:
    [probe] = [p for p in chosen({"EMAIL_PROVIDER": "smtp"}) if p.name == "e-mail by SMTP"]
    return probe.check(Values({"EMAIL_FROM": "relay@example.com"}, lambda secret: url), status_of)


def test_an_smtp_server_that_is_not_there_is_named_without_the_password() -> None:
    advice = smtp_checked(f"smtp://user:hidden@127.0.0.1:{closed_port()}")
    assert advice.startswith("SMTP: the connection failed (ConnectionRefusedError); ")
    assert advice.endswith("`make secrets RENEW=SMTP_URL`, then `make deploy`")


def test_an_smtp_login_is_tried_and_nothing_is_sent() -> None:
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import AuthResult

    class Silent:
        async def handle_DATA(self, *_: object) -> str:
            raise AssertionError("a message was sent")

    def login(server: object, session: object, push_envelope: object, mechanism: str, data: object) -> AuthResult:
        return AuthResult(success=data.password == b"right", handled=False)

    server = Controller(Silent(), hostname="127.0.0.1", port=0, authenticator=login, auth_require_tls=False)
    server.port = closed_port()
    server.start()
    try:
        for password, advice in (("right", ""), ("wrong", "SMTP: it refuses the login; check")):
            said = smtp_checked(f"smtp://user:{password}@127.0.0.1:{server.port}")
            assert said.startswith(advice)
            assert bool(said) == bool(advice)
    finally:
        server.stop()


def test_an_application_at_microsoft_is_tried_by_asking_for_a_token() -> None:
    [probe] = [p for p in chosen({"EMAIL_PROVIDER": "microsoft"}) if p.name == "e-mail by Microsoft 365"]
    expired = Reply(401, {"error": "invalid_client", "error_codes": [7000222]})
    with StandIn(Reply(200, {"access_token": "t", "expires_in": 3599}), expired) as login:
        settings = {"MICROSOFT_TENANT_ID": "t", "MICROSOFT_CLIENT_ID": "a", "EMAIL_FROM": "relay@example.com"}
        values = Values({**settings, "MICROSOFT_LOGIN_URL": login.url}, lambda secret: "s3cret")
        assert probe.check(values, status_of) == ""
        assert probe.check(values, status_of).startswith("Microsoft 365: the application's secret has expired; check")


def test_our_own_links_answer_that_they_do_not_know_the_code() -> None:
    with StandIn(Reply(404), Reply(500)) as links:
        values = Values({"LINKS_BASE_URL": links.url}, lambda secret: "")
        assert credentials.own_links(values, status_of) == ""
        assert credentials.own_links(values, status_of) == "answer 500: run `make deploy FUNCTIONS=links`"


def test_only_what_the_settings_choose_is_tried() -> None:
    assert [p.name for p in chosen({"SMS_PROVIDER": "twilio", "EMAIL_PROVIDER": "outbox", "SHORTENER": "none"})] == [
        "Clickwrap's API",
        "SMS by Twilio",
    ]
    assert [p.name for p in chosen({})] == ["Clickwrap's API", "the function links"]


def test_a_setting_that_is_nowhere_is_named(here: Tools) -> None:
    here.relay_env("SMS_PROVIDER=twilio\nSHORTENER=none\nCLICKWRAP_API_URL=http://127.0.0.1:1\n")
    here.answer("versions access", out="t\n")
    told = {finding.what: finding.advice for finding in doctor.accounts()}
    assert told["SMS by Twilio"] == "cannot be checked: TWILIO_ACCOUNT_SID is not set"
