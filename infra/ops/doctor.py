"""`make doctor`: show what is missing for a running relay. It changes nothing and sends no message."""

import http.client
import json
import re
import socket
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator

from infra.ops import config, credentials, secret_manager, shell, terraform
from infra.ops.report import Check, Finding, report
from infra.ops.shell import Stop, ask
from shared.callers import UNREADABLE
from shared.setting_types import SettingError
from shared.settings import Settings

TERRAFORM = (1, 9)  # see infra/versions.tf
CLOSED = (401, 403, 404)  # how a service that is private or missing answers an anonymous GET
NO_VALUE = "has no value, or its newest is disabled: run `make secrets`"
SERVICES = (
    "artifactregistry",
    "cloudbuild",
    "cloudfunctions",
    "cloudscheduler",
    "cloudtasks",
    "firestore",
    "logging",
    "monitoring",
    "pubsub",
    "run",
    "secretmanager",
)


def tools() -> Iterator[Finding]:
    yield Finding("python", note=f"{sys.version_info.major}.{sys.version_info.minor}")
    yield Finding("gcloud", note=ask("gcloud", "version", "--format=value('Google Cloud SDK')"))
    printed = ask("terraform", "version").partition("\n")[0]
    version = tuple(int(n) for n in re.findall(r"\d+", printed)[:2])
    fits = shell.dry() or version >= TERRAFORM
    yield Finding("terraform", "" if fits else "is too old: install 1.9 or newer", printed.removeprefix("Terraform "))


def login() -> Iterator[Finding]:
    account = ask("gcloud", "auth", "list", "--filter=status:ACTIVE", "--format=value(account)")
    yield Finding("login", "" if account else "run `gcloud auth login`", account)


def project() -> Iterator[Finding]:
    state = ask("gcloud", "projects", "describe", config.project(), "--format=value(lifecycleState)")
    fits = state == "ACTIVE"
    yield Finding(
        "project", "" if fits else f"{config.project()} is {state or 'unknown'}: check PROJECT", config.project()
    )


def services() -> Iterator[Finding]:
    listed = ask(
        "gcloud", "services", "list", "--enabled", f"--project={config.project()}", "--format=value(config.name)"
    )
    absent = [name for name in SERVICES if f"{name}.googleapis.com" not in listed.split()]
    yield Finding("services", f"run `make infra`: {', '.join(absent)} not enabled" if absent else "", "all enabled")


def secrets() -> Iterator[Finding]:
    for variable in terraform.needed_secrets():
        yield Finding(f"secret {variable}", "" if secret_manager.has_version(variable) else NO_VALUE)


def deployed() -> Iterator[Finding]:
    states = ask(
        "gcloud", "functions", "list", "--v2", f"--project={config.project()}", "--format=value(name.basename(),state)"
    )
    active = {name for name, _, state in (line.partition("\t") for line in states.splitlines()) if state == "ACTIVE"}
    for function in terraform.deployed():
        there = function.name in active
        advice = "" if there else f"is not running: run `make deploy FUNCTIONS={function.name}`"
        yield Finding(f"function {function.name}", advice)


def privacy() -> Iterator[Finding]:
    """Access that was granted by hand, or to a former operator, survives deployments, so it is checked here."""
    invokers = terraform.outputs().invokers
    for name in (function.name for function in terraform.deployed() if not function.public):
        yield Finding(f"{name} is private", _opened(name, set(invokers[name])))


def _opened(name: str, ours: set[str]) -> str:
    """What to do if others may call a service; with --no-invoker-iam-check, its policy has no effect."""
    policy = ask("gcloud", "run", "services", "get-iam-policy", name, *config.place(), "--format=json")
    if strangers := sorted(_callers(policy) - ours):
        fix = f"gcloud run services remove-iam-policy-binding {name}"
        return f"may be called by {', '.join(strangers)}: `{fix}` revokes it"
    if not shell.dry() and reaches_code(config.url(name)):
        return f"answers anybody: `gcloud run services update {name} --invoker-iam-check` closes it"
    return ""


def reaches_code(url: str) -> bool:
    """Whether a call without an identity comes as far as the function, which may refuse it then."""
    try:
        with urllib.request.urlopen(url, timeout=20):
            return True
    except urllib.error.HTTPError as refused:
        return refused.code not in CLOSED or UNREADABLE in refused.read().decode(errors="replace")
    except OSError:
        return False


def _callers(policy: str) -> set[str]:
    """Who may call a service, by its own policy. roles/run.viewer only reads."""
    bindings = json.loads(policy or "{}").get("bindings", [])
    return {member for b in bindings if b["role"] != "roles/run.viewer" for member in b["members"]}


def webhook_url() -> Iterator[Finding]:
    """`receive` answers a GET with 405, which shows that it is deployed and public."""
    status = 405 if shell.dry() else status_of(config.url("receive"))
    fits = status == 405
    yield Finding("webhook URL", "" if fits else f"answers {status or 'nothing'}: run `make deploy FUNCTIONS=receive`")


class Unfollowed(urllib.request.HTTPRedirectHandler):
    """A credential goes to the host in the settings and to no other."""

    def redirect_request(self, *_: object) -> None:
        return None


def status_of(url: str, headers: dict[str, str] | None = None) -> int:
    """The status of the response to a GET; 0 without a response."""
    try:
        asked = urllib.request.Request(url, headers=headers or {})
        with urllib.request.build_opener(Unfollowed).open(asked, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code
    except (OSError, ValueError, http.client.InvalidURL):  # the latter two: a URL that is none
        return 0


def links() -> Iterator[Finding]:
    """Whether carriers take our links for ours, and each domain of short links serves them."""
    settings = Settings(terraform.settings())
    try:
        domains, warning = settings.links_domains(), settings.link_warning()
    except SettingError as e:
        raise Stop(str(e)) from None
    if warning:
        yield Finding("links in texts", warning)
    for domain in domains:
        yield Finding(f"link domain {domain}", "" if shell.dry() else _domain_advice(domain))


def _domain_advice(domain: str) -> str:
    """Asks for a code that was never issued, as a signer's phone would."""
    try:
        socket.getaddrinfo(domain, 443)
    except OSError:
        return "does not resolve: enter the DNS record that `make infra` prints as links_dns"
    try:
        with urllib.request.urlopen(f"https://{domain}/doctor", timeout=20) as answer:
            status = int(answer.status)
    except urllib.error.HTTPError as refused:
        status = refused.code
    except OSError as e:
        return _unreachable(getattr(e, "reason", e))
    return (
        "" if status == 404 else f"answers {status}, not 404: does its DNS record point to links_dns of `make infra`?"
    )


def _unreachable(reason: object) -> str:
    if isinstance(reason, ssl.SSLError):
        return (
            "has no valid certificate: Google issues it up to an hour after its DNS record points to the load balancer"
        )
    return "cannot be reached: does its DNS record point to links_dns of `make infra`?"


def accounts() -> Iterator[Finding]:
    """Checks each credential with a read-only call. A secret in the environment overrides Secret Manager."""
    environ = terraform.settings()
    for probe in credentials.chosen(environ):
        yield _checked(probe, credentials.Values(environ, secret_manager.read))


def _checked(probe: credentials.Probe, values: credentials.Values) -> Finding:
    if shell.dry():
        return Finding(probe.name)
    try:
        advice = probe.check(values, status_of)
    except KeyError as absent:
        advice = f"cannot be checked: {absent.args[0]} is not set"
    except (Stop, SettingError) as stop:
        advice = f"cannot be checked: {stop}"
    return Finding(probe.name, advice)


CHECKS: tuple[tuple[str, Check], ...] = (
    ("tools", tools),
    ("login", login),
    ("project", project),
    ("services", services),
    ("secrets", secrets),
    ("functions", deployed),
    ("access", privacy),
    ("webhook URL", webhook_url),
    ("links", links),
    ("accounts", accounts),
)


def doctor() -> int:
    config.place(), config.operator()  # what is missing or wrong there is reported once, not by every check
    return report(CHECKS)


if __name__ == "__main__":
    shell.main(doctor)
