"""Terraform in infra/: its state, which lies in a bucket, and its outputs.

Each project has its own prefix in the bucket and its own working folder here, so that two environments share nothing.
"""

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from infra.ops import config, shell
from infra.ops.function_table import ROOT, Function, functions, secret_id, written
from infra.ops.shell import Stop, captured, errors_of
from shared.bootstrap import URLS

# Settings that both have: Terraform makes rights, accounts and addresses after them.
SHARED = ("SMS_PROVIDER", "EMAIL_PROVIDER", "SHORTENER", "LINKS_BASE_URL", "STATUS_WEBHOOK_URL", "OIDC_AUDIENCE")
MOVED = (
    "Terraform's working folder is connected with {was}, not with {wanted}. If the state moved there "
    '(see "Moving a state" in docs/deploy.md), delete {folder}'
)
OTHER_PROVIDERS = (
    "this version needs other providers of Terraform than the earlier one: `rm -r {folder}`, "
    "`rm -f infra/.terraform.lock.hcl`, and run it again"
)
COMMAND = ("terraform", "-chdir=infra")
INFRA = ROOT / "infra"
# What only a root module has: the backend and the provider. Not in infra/ itself, which is also a module for others.
ROOT_MODULE = INFRA / "root.tf"


class Outputs(msgspec.Struct, frozen=True, kw_only=True):
    """The outputs of Terraform.

    environment: variables that all functions get. service_accounts: the e-mail address of each function's account.
    invokers: members of roles/run.invoker on each function's service. vpc_connector: "" for none.
    secrets: function -> variable -> the secret that it may read.
    """

    environment: dict[str, str]
    service_accounts: dict[str, str]
    invokers: dict[str, list[str]]
    build_service_account: str
    docker_repository: str
    vpc_connector: str
    secrets: dict[str, dict[str, str]]


def environ() -> dict[str, str]:
    return {"TF_DATA_DIR": str(ROOT / ".local" / "terraform" / config.project())}


def init(run: Callable[..., object] | None = None) -> None:
    """Connect infra/ with the project's state. Prints the command only if it has something to do. Raises Stop.

    run: `read`, to print nothing.
    """
    _put_root_module()
    wanted = {"bucket": config.state_bucket(), "prefix": f"relay/{config.project()}"}
    connected = _connected()
    if shell.dry() or not connected:
        (run or step)("init", "-input=false", *(f"-backend-config={name}={value}" for name, value in wanted.items()))
    elif moved := [name for name, value in connected.items() if wanted.get(name, value) != value]:
        raise Stop(MOVED.format(folder=environ()["TF_DATA_DIR"], was=connected[moved[0]], wanted=wanted[moved[0]]))


def _put_root_module() -> None:
    """Put in place at once, and only if it differs: another command may be reading it."""
    example = Path(f"{ROOT_MODULE}.example").read_bytes()
    if not ROOT_MODULE.exists() or ROOT_MODULE.read_bytes() != example:
        draft = ROOT_MODULE.with_name(f".root-{os.getpid()}")
        draft.write_bytes(example)
        draft.replace(ROOT_MODULE)


def _connected() -> dict[str, str]:
    """Which state the working folder is connected with; {} for none."""
    kept = Path(environ()["TF_DATA_DIR"], "terraform.tfstate")
    return json.loads(kept.read_text())["backend"]["config"] if kept.exists() else {}


def step(*arguments: str, **variables: str) -> None:
    """Run Terraform on the operator's terminal. Raises Stop."""
    if errors := errors_of(*COMMAND, *arguments, **environ(), **variables):
        raise failed(arguments[0], errors)


def failed(verb: str, errors: str, advice: str = "") -> Stop:
    """What to do after errors that are on the terminal."""
    if verb == "init":
        return Stop(shell.known(errors) or "terraform init failed: see above")
    if "terraform init" in errors:
        return Stop(OTHER_PROVIDERS.format(folder=environ()["TF_DATA_DIR"]))
    if "acquiring the state lock" not in errors:
        return Stop(f"terraform {verb} failed: see above{advice}")
    unlock = f"TF_DATA_DIR={environ()['TF_DATA_DIR']} {' '.join(COMMAND)} force-unlock ID"
    return Stop(f"another run holds the state's lock. Only if that run was killed: `{unlock}` with the ID above")


def read(*arguments: str) -> str:
    """Run a command of Terraform that changes nothing and return its output. Raises Stop."""
    return captured((*COMMAND, *arguments, "-no-color"), **environ())  # colours would come with a box around errors


def owners() -> set[str]:
    """The projects that the state names. Empty for an empty state. Raises Stop if it holds resources of no project."""
    state = json.loads(read("state", "pull") or "{}")
    ours = [resource for resource in state.get("resources", []) if resource["mode"] == "managed"]
    attributes = [instance["attributes"] for resource in ours for instance in resource["instances"]]
    named = {a["project"] for a in attributes if a.get("project")}
    if ours and not named:
        raise Stop("Terraform's state does not say of which project it is: look at it with `terraform state list`")
    return named


@cache
def outputs() -> Outputs:
    """Terraform's outputs; before the first `make infra`, the names that infra/ will give. Raises Stop."""
    given = _outputs()
    if not given:
        shell.say("# no Terraform outputs yet: using the names that infra/ gives in this project and region")
    expected = _conventions()
    return msgspec.convert({name: _known(usual, given.get(name)) for name, usual in expected.items()}, Outputs)


def _known(usual: Any, given: Any) -> Any:
    """What an output says; of a function that the infrastructure does not have yet, the names that it will give."""
    return usual if given is None else usual | given if isinstance(usual, dict) else given


def _outputs() -> dict[str, Any]:
    """The outputs; {} before the first `make infra`. Raises Stop if they are of another project or region."""
    try:
        given = {name: output["value"] for name, output in json.loads(read("output", "-json") or "{}").items()}
    except Stop:
        if not shell.dry():  # a dry run needs neither terraform nor a state
            raise
        return {}
    expected = _conventions()["environment"]
    for name in ("GOOGLE_CLOUD_PROJECT", "LOCATION"):
        if (other := given.get("environment", {}).get(name, expected[name])) != expected[name]:
            raise Stop(f"Terraform's state is of {other}, not of {expected[name]}")
    return given


def _conventions() -> dict[str, Any]:
    project, region = config.project(), config.region()
    return {
        "environment": {
            "GOOGLE_CLOUD_PROJECT": project,
            "LOCATION": region,
            **{f"{name.upper()}_URL": config.url(name) for name in URLS},
            "RECEIVE_URL": config.url("receive"),
            "TASKS_SERVICE_ACCOUNT": config.account("tasks"),
            "LINKS_BASE_URL": config.url("links"),
            "RECEIPTS_BASE_URL": config.url("receipts"),
        },
        "service_accounts": {name: config.account(name) for name in functions()},
        "invokers": {name: config.invokers(function) for name, function in functions().items()},
        "build_service_account": f"projects/{project}/serviceAccounts/{config.account('build')}",
        "docker_repository": f"projects/{project}/locations/{region}/repositories/relay-functions",
        "vpc_connector": "",
        "secrets": {name: {v: secret_id(v) for v in function.secrets} for name, function in functions().items()},
    }


def unapplied() -> list[str]:
    """The settings of relay.env that the infrastructure does not follow. Raises Stop."""
    ours, theirs = config.operator(), outputs().environment
    return [name for name in SHARED if name in theirs and ours.get(name, theirs[name]) != theirs[name]]


def deployed() -> list[Function]:
    """The functions of this relay: those without `only_with`, or with that setting. Raises Stop."""
    environ = settings()
    return [function for function in written() if not function.only_with or environ.get(function.only_with)]


def needed_secrets() -> list[str]:
    """The secrets that this relay needs with its settings. Raises Stop."""
    environ = settings()
    return list(dict.fromkeys(v for function in deployed() for v in config.needed(function, environ)))


def settings() -> dict[str, str]:
    """What the functions get, but what each has for itself. Raises Stop."""
    return outputs().environment | config.settings()
