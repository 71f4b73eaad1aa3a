"""The settings of a deployment: relay.env, the command line and Terraform's outputs."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from infra.ops import shell
from infra.ops.function_table import ROOT, Function, api_rate, every_secret, functions
from infra.ops.shell import Stop
from shared.settings import declared

# Settings of the deployment, for Terraform and the commands here; the functions do not get them.
FOR_DEPLOYMENT = ("PROJECT", "REGION", "OPERATORS", "ALERT_EMAILS", "PUBLIC_BY_IAM")
LINE = re.compile(r"(?:export\s+)?([A-Z][A-Z0-9_]*)=(.*)")


class Outputs(msgspec.Struct, frozen=True, kw_only=True):
    """The outputs of Terraform.

    environment: variables that all functions get. service_accounts: the e-mail address of each function's account.
    invokers: members of roles/run.invoker on each function's service. vpc_connector: "" for none.
    """

    environment: dict[str, str]
    service_accounts: dict[str, str]
    invokers: dict[str, list[str]]
    build_service_account: str
    docker_repository: str
    vpc_connector: str


def file() -> Path:
    """The path in RELAY_ENV; by default relay.env in the project's folder."""
    return ROOT / (os.environ.get("RELAY_ENV") or "relay.env")


def operator() -> dict[str, str]:
    """The settings in relay.env. Each name is checked: a misspelt setting would be ignored silently. Raises Stop."""
    if not file().exists():
        return {}
    given = dict(_lines(file().read_text()))
    for name in given:
        _check(name)
    return given


def _lines(text: str) -> list[tuple[str, str]]:
    return [_pair(number, line) for number, line in enumerate(text.splitlines(), 1) if _is_assignment(line)]


def _is_assignment(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _pair(number: int, line: str) -> tuple[str, str]:
    found = LINE.fullmatch(line.strip())
    try:
        words = shlex.split(found[2]) if found else None
    except ValueError:
        words = None
    if found is None or words is None or len(words) > 1:
        raise Stop(f"{file().name} line {number}: NAME=value expected, in quotes if the value has spaces")
    return found[1], "".join(words)


def _check(name: str) -> None:
    """Raises Stop for a secret and for a name that no function reads."""
    if name in every_secret():
        raise Stop(f"{file().name}: {name} is a secret: remove it and run `make secrets`")
    if name not in known():
        raise Stop(f"{file().name}: {name} is not a setting of a deployed relay: see .env.example")


def known() -> set[str]:
    """The names that relay.env may hold, beside secrets."""
    return {*(name for name, setting in declared().items() if not setting.local), *FOR_DEPLOYMENT}


def decided(name: str, default: str = "") -> str:
    """A setting. The command line (PROJECT=... make, or make PROJECT=...) overrides relay.env."""
    return os.environ.get(name) or operator().get(name) or default


def required(name: str, what: str) -> str:
    value = decided(name)
    if not value:
        raise Stop(f"{name} is not set: add {name}=<{what}> to the command or to {file().name}")
    return value


def project() -> str:
    return required("PROJECT", "the id of your Google Cloud project")


def region() -> str:
    return required("REGION", "a region, like us-central1")


def place() -> tuple[str, str]:
    return f"--project={project()}", f"--region={region()}"


def url(function: str) -> str:
    """A function's URL, which is known before it is deployed."""
    return f"https://{region()}-{project()}.cloudfunctions.net/{function}"


def account(name: str) -> str:
    return f"relay-{name}@{project()}.iam.gserviceaccount.com"


@cache
def outputs() -> Outputs:
    """Terraform's outputs; before the first `make infra`, the names that infra/ will give. Raises Stop."""
    given = terraform_outputs()
    if not given:
        shell.say("# no Terraform outputs yet: using the names that infra/ gives in this project and region")
    expected = _conventions()
    known = {name: given.get(name, expected[name]) for name in expected}
    return msgspec.convert(known | {"environment": expected["environment"] | given.get("environment", {})}, Outputs)


def terraform_outputs() -> dict[str, Any]:
    """The outputs; {} before the first `make infra`. Raises Stop if the state belongs to another project."""
    given = {name: output["value"] for name, output in json.loads(_terraform_output() or "{}").items()}
    _same_place(given.get("environment", {}))
    return given


def _terraform_output() -> str:
    command = ("terraform", "-chdir=infra", "output", "-json", "-no-color")  # with colours, an error is drawn in a box
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    except FileNotFoundError:
        if shell.dry():
            return ""
        raise shell.missing("terraform") from None
    if done.returncode and not shell.dry():
        raise Stop(shell.advice(command, done.stderr))
    return "" if done.returncode else done.stdout


def _same_place(environment: dict[str, str]) -> None:
    for name, mine in (("GOOGLE_CLOUD_PROJECT", project()), ("LOCATION", region())):
        other = environment.get(name, mine)
        if other != mine:
            raise Stop(f"infra/ holds the state of {other}, not of {mine}: initialise Terraform for {mine} first")


def _conventions() -> dict[str, Any]:
    return {
        "environment": {
            "GOOGLE_CLOUD_PROJECT": project(),
            "LOCATION": region(),
            **{f"{name.upper()}_URL": url(name) for name in ("remind", "resolve", "deliver")},
            "TASKS_SERVICE_ACCOUNT": account("tasks"),
            "LINKS_BASE_URL": url("links"),
            "RECEIPTS_BASE_URL": url("receipts"),
        },
        "service_accounts": {name: account(name) for name in functions()},
        "invokers": {name: invokers(function) for name, function in functions().items()},
        "build_service_account": f"projects/{project()}/serviceAccounts/{account('build')}",
        "docker_repository": f"projects/{project()}/locations/{region()}/repositories/relay-functions",
        "vpc_connector": "",
    }


def invokers(function: Function) -> list[str]:
    """The members of roles/run.invoker that infra/ gives a function's service."""
    if function.public:
        return ["allUsers"] if decided("PUBLIC_BY_IAM", "true") == "true" else []
    if function.caller == "operators":
        return decided("OPERATORS").split()
    callers = [function.caller, "tasks"] if function.deferred else [function.caller]
    return [f"serviceAccount:{account(str(caller))}" for caller in callers]


def environment(function: Function, common: dict[str, str]) -> dict[str, str]:
    """A function's variables, without secrets. functions.json overrides relay.env, which overrides Terraform.

    Every function gets every setting, whether it reads it or not.
    """
    own = {"BACKEND": "gcp", "THREADS": str(function.concurrency)}
    if function.api_share:
        own["API_RATE_PER_MINUTE"] = str(api_rate(function, float(decided("API_RATE_PER_MINUTE", "1600"))))
    return common | settings() | own


def settings() -> dict[str, str]:
    """relay.env as the functions get it. The operator's own templates are inside the bundle, as templates/."""
    given = {name: value for name, value in operator().items() if name not in (*FOR_DEPLOYMENT, "API_RATE_PER_MINUTE")}
    return given | {"TEMPLATES_DIR": "templates"} if given.get("TEMPLATES_DIR") else given


def needed(function: Function, environ: dict[str, str]) -> list[str]:
    """The secrets a function needs with these settings."""
    return [variable for variable, when in function.secrets.items() if when == "always" or holds(when, environ)]


def needed_by_any() -> list[str]:
    """The secrets that this relay needs with its settings. Raises Stop."""
    environ = outputs().environment | settings()
    return list(dict.fromkeys(v for function in functions().values() for v in needed(function, environ)))


def holds(condition: str, environ: Mapping[str, str]) -> bool:
    """Whether a condition of functions.json, like "SMS_PROVIDER=twilio", is true with these settings."""
    name, _, value = condition.partition("=")
    if name == "RECEIPTS":
        former = environ.get("FORMER_PROVIDERS", "").replace(" ", "").split(",")
        return value in (environ.get("SMS_PROVIDER"), environ.get("EMAIL_PROVIDER"), *former)
    return environ.get(name, DEFAULTS.get(name)) == value


DEFAULTS = {"SHORTENER": "links"}
