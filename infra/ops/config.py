"""The settings of a deployment: relay.env and the command line."""

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from infra.ops.function_table import ROOT, Function, api_rate, every_secret
from infra.ops.shell import Stop
from shared.settings import declared

# Settings of the deployment, for Terraform and the commands here; the functions do not get them.
FOR_DEPLOYMENT = (
    "PROJECT",
    "REGION",
    "STATE_BUCKET",
    "GITHUB_REPOSITORY_ID",
    "BILLING_ACCOUNT",
    "MONTHLY_BUDGET",
    "MIN_INSTANCES",
    "PRIVATE_INGRESS",
    "OPERATORS",
    "ALERT_EMAILS",
    "PUBLIC_BY_IAM",
)
LINE = re.compile(r"(?:export\s+)?([A-Z][A-Z0-9_]*)=(.*)")


def file() -> Path:
    """The path in RELAY_ENV; by default relay.env in the project's folder."""
    return ROOT / (os.environ.get("RELAY_ENV") or "relay.env")


def operator() -> dict[str, str]:
    """The settings in relay.env. Each name is checked: a misspelt setting would be ignored silently. Raises Stop."""
    given = dict(_lines(_text()))
    for name in given:
        _check(name)
    return given


def _text() -> str:
    """Without relay.env all is on the command line. A file that RELAY_ENV names has to be there. Raises Stop."""
    if not file().exists() and not os.environ.get("RELAY_ENV"):
        return ""
    try:
        return file().read_text(encoding="utf-8-sig")  # some editors begin a file with a mark
    except (OSError, UnicodeDecodeError) as e:
        why = "it is not written in UTF-8" if isinstance(e, UnicodeDecodeError) else e.strerror
        raise Stop(f"{file()} cannot be read: {why}") from None


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


def only_of_the_file() -> list[str]:
    """The settings on the command line of make that are for the functions, which get those of the file alone."""
    named = re.findall(r"(?:^|(?<!\\) )([A-Z][A-Z0-9_]*)=", os.environ.get("MAKEFLAGS", ""))
    return sorted(known().difference(FOR_DEPLOYMENT, ("API_RATE_PER_MINUTE",)).intersection(named))


def decided(name: str, default: str = "") -> str:
    """A setting of the deployment. The command line (PROJECT=... make, or make PROJECT=...) overrides relay.env."""
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


def state_bucket() -> str:
    return decided("STATE_BUCKET", f"{project()}-relay-state")


def url(function: str) -> str:
    """A function's URL, which is known before it is deployed."""
    return f"https://{region()}-{project()}.cloudfunctions.net/{function}"


def account(name: str) -> str:
    return f"relay-{name}@{project()}.iam.gserviceaccount.com"


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


def holds(condition: str, environ: Mapping[str, str]) -> bool:
    """Whether a condition of functions.json, like "SMS_PROVIDER=twilio", is true with these settings."""
    name, _, value = condition.partition("=")
    if name == "RECEIPTS":
        former = environ.get("FORMER_PROVIDERS", "").replace(" ", "").split(",")
        return value in (environ.get("SMS_PROVIDER"), environ.get("EMAIL_PROVIDER"), *former)
    return environ.get(name, DEFAULTS.get(name)) == value


DEFAULTS = {"SHORTENER": "links"}
