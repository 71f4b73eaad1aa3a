"""infra/functions.json against the code: what each function is given is what it takes, in every configuration."""

import ast
import itertools
import json
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest

from infra.ops import config, function_table
from infra.ops.function_table import API_CALLS_A_MINUTE, ROOT, Function, api_rate, every_secret, functions, written
from infra.ops.preflight import placeholders
from local.provider_stubs.start import accounts
from shared.adapters.providers.email import smtp
from shared.setting_types import Values
from shared.settings import declared
from shared.settings.channels import EMAIL_PROVIDERS, SHORTENERS, SMS_PROVIDERS

WRITTEN = {f.name: f for f in written()}
# Settings that are no secret and that a provider cannot start without.
PROVIDER_SETTINGS = {"EMAIL_FROM": "Acme <a@example.com>"} | {
    name: value
    for account in accounts().values()
    for name, value in account.credentials.items()
    if name not in every_secret() and "{host}" not in value
}
PLACE = {
    "BACKEND": "gcp",
    "GOOGLE_CLOUD_PROJECT": "p",
    "LOCATION": "us-central1",
    "TASKS_SERVICE_ACCOUNT": "relay-tasks@p.iam.gserviceaccount.com",
    "CALLERS": "relay-tasks@p.iam.gserviceaccount.com",
    "LINKS_BASE_URL": "https://links.invalid",
    "RECEIPTS_BASE_URL": "https://receipts.invalid",
    **{
        f"{name}_URL": f"https://{name.lower()}.invalid"
        for name in ("REMIND", "RECEIVE", "RESOLVE", "DELIVER", "FORWARD", "RECONCILE", "STATUS_WEBHOOK")
    },
}
# Whose import is whose package. What others bring along (flask, grpc, google.auth ...) is not listed there.
PACKAGES = {
    "cryptography": "cryptography",
    "functions_framework": "functions-framework",
    "google.cloud.firestore": "google-cloud-firestore",
    "google.pubsub_v1": "google-cloud-pubsub",
    "google.cloud.tasks_v2": "google-cloud-tasks",
    "jinja2": "Jinja2",
    "msgspec": "msgspec",
    "phonenumbers": "phonenumbers",
    "requests": "requests",
}
# These name everything, and import only what is chosen.
COMPOSITION = {"shared.bootstrap", *(f"shared.bootstrap.{part}" for part in ("operators", "parts", "runtime"))}


def configurations(function: Function) -> list[dict[str, str]]:
    """Every provider and shortener, with others used before, and with no secret but those that the table gives."""
    choices = itertools.zip_longest(SMS_PROVIDERS, EMAIL_PROVIDERS, SHORTENERS, fillvalue="none")
    found = []
    for sms, email, shortener in choices:
        former = "" if sms == "twilio" else "twilio, mailgun"
        chosen = {"SMS_PROVIDER": sms, "EMAIL_PROVIDER": email, "SHORTENER": shortener, "FORMER_PROVIDERS": former}
        environ = PLACE | PROVIDER_SETTINGS | {k: "none" if v == "outbox" else v for k, v in chosen.items()}
        found.append(environ | placeholders(config.needed(function, environ)))
    return found


@cache
def starts(name: str) -> list[dict[str, Any]]:
    """What the function took, in each configuration."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.infra.started", name]
    environs = json.dumps(configurations(WRITTEN[name]))
    done = subprocess.run([*command, environs], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_table_names_every_function_that_is_written() -> None:
    folders = {path.parent.name for path in (ROOT / "functions").glob("*/main.py")}
    assert folders <= set(functions())


@pytest.mark.parametrize("name", WRITTEN)
def test_a_function_starts_with_the_secrets_that_it_is_given_and_asks_for_no_other(name: str) -> None:
    for environ, start in zip(configurations(WRITTEN[name]), starts(name), strict=True):
        given, asked = set(config.needed(WRITTEN[name], environ)), set(start["read"]) & every_secret()
        assert given == asked, "given a secret that it never reads, or asks for one that it is not given"


@pytest.mark.parametrize("login", ["password", "microsoft", "google"])
def test_the_placeholder_of_a_secret_is_in_the_form_that_each_login_wants(login: str) -> None:
    names = {"SMTP_AUTH": login, "SMTP_TENANT_ID": "t", "SMTP_CLIENT_ID": "a", "EMAIL_FROM": "a@example.com"}
    smtp.Sender(Values({**names, **placeholders(["SMTP_URL"])}), lambda: datetime.now(UTC))


@cache
def imported(module: str) -> set[str]:
    """Names that a module of ours imports, whenever it does; not for the type checker alone."""
    path = ROOT / (module.replace(".", "/") + ".py")
    return _names(ast.parse((path if path.exists() else path.with_suffix("") / "__init__.py").read_text()))


def _names(node: ast.AST) -> set[str]:
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return set()
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        return {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return set().union(*(_names(child) for child in ast.iter_child_nodes(node)))


def reachable(modules: set[str]) -> set[str]:
    """These, and those of ours that they import."""
    todo, seen = list(modules), set()
    while todo:
        module = todo.pop()
        if module in seen or not _ours(module):
            continue
        seen.add(module)
        todo += [] if module in COMPOSITION else sorted(imported(module))
    return seen


def _ours(module: str) -> bool:
    path = ROOT / module.replace(".", "/")
    return module.startswith("shared") and (path.with_suffix(".py").exists() or (path / "__init__.py").exists())


def packages_of(name: str) -> set[str]:
    entry = _names(ast.parse((ROOT / "functions" / name / "main.py").read_text()))
    loaded = set().union(*(start["loaded"] for start in starts(name)))
    names = entry.union(*(imported(module) for module in reachable(loaded | entry) - COMPOSITION))
    found = {package for prefix, package in PACKAGES.items() if any(f"{n}.".startswith(f"{prefix}.") for n in names)}
    # The policy alone looks at numbers and time zones, and every function's settings know the policy.
    if any(start["policy"] for start in starts(name)):
        return found | {"phonenumbers", "tzdata"}
    return found - {"phonenumbers"}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_bundle_installs_what_its_function_can_import_and_nothing_else(name: str) -> None:
    assert set(WRITTEN[name].packages) == packages_of(name)


def test_the_receiver_of_webhooks_needs_no_database_and_no_tasks() -> None:
    assert not {"google-cloud-firestore", "google-cloud-tasks"} & set(functions()["receive"].packages)


def test_all_instances_of_all_functions_stay_within_the_budget_of_the_api() -> None:
    rates = {f.name: api_rate(f) * f.max_instances for f in functions().values()}
    assert sum(rates.values()) <= API_CALLS_A_MINUTE
    assert sum(rates.values()) >= 0.95 * API_CALLS_A_MINUTE, "some of the budget is given to nobody"


@pytest.mark.parametrize("name", WRITTEN)
def test_who_has_a_part_of_the_budget_holds_the_token_and_nobody_else_does(name: str) -> None:
    assert (WRITTEN[name].api_share > 0) == ("CLICKWRAP_API_TOKEN" in WRITTEN[name].secrets)
    assert WRITTEN[name].api_share == 0 or api_rate(WRITTEN[name]) >= 1


def test_a_function_with_more_than_one_call_at_a_time_has_a_whole_processor() -> None:
    """Cloud Run refuses concurrency on less."""
    assert all(f.cpu >= 1 for f in functions().values() if f.concurrency > 1)


def test_only_the_three_that_others_call_are_public() -> None:
    assert {f.name for f in functions().values() if f.public} == {"receive", "links", "receipts"}
    assert all(f.public == (f.caller is None) for f in functions().values())


def test_a_secret_is_called_like_its_variable() -> None:
    assert function_table.secret_id("CLICKWRAP_WEBHOOK_TOKENS") == "clickwrap-webhook-tokens"


@pytest.mark.parametrize("name", WRITTEN)
def test_every_setting_that_is_read_is_declared(name: str) -> None:
    read = set().union(*(start["read"] for start in starts(name)))
    assert read <= declared().keys()
