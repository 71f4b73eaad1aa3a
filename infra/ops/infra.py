"""`make infra`: run Terraform: plan, show the plan, ask, apply. Settings of relay.env become TF_VAR_* variables."""

import json
import sys
from pathlib import Path

from infra.ops import config, shell
from infra.ops.function_table import ROOT
from infra.ops.shell import Stop, agreed, attached

TERRAFORM = ("terraform", "-chdir=infra")
# Settings of relay.env that are also Terraform variables. A *.tfvars file overrides them.
TEXTS = (
    "SMS_PROVIDER",
    "EMAIL_PROVIDER",
    "FORMER_PROVIDERS",
    "SHORTENER",
    "LINKS_BASE_URL",
    "OIDC_AUDIENCE",
    "PUBLIC_BY_IAM",
    "MAX_DELIVERY_ATTEMPTS",
)
LISTS = ("OPERATORS", "ALERT_EMAILS")
PLAN = "relay.tfplan"


def apply() -> None:
    variables = tf_variables()
    step("init", "-input=false")
    config.terraform_outputs()  # stops if the state belongs to another project
    try:
        step("plan", "-input=false", f"-out={PLAN}", *var_file(), **variables)
        if not agreed("Apply this plan?"):
            raise Stop("nothing changed: the plan was not applied")
        step("apply", "-input=false", PLAN)
    finally:
        (ROOT / "infra" / PLAN).unlink(missing_ok=True)  # like the state, it may contain secrets


def plan() -> None:
    """`make plan`: show the plan and change nothing."""
    variables = tf_variables()
    step("init", "-input=false")
    config.terraform_outputs()
    step("plan", "-input=false", "-lock=false", *var_file(), **variables)


def step(*arguments: str, **variables: str) -> None:
    if attached(*TERRAFORM, *arguments, **variables):
        raise Stop(f"terraform {arguments[0]} failed: see above")


def tf_variables() -> dict[str, str]:
    """TF_VAR_* for Terraform. Raises Stop for a required setting without a value."""
    values = {"PROJECT": config.project(), "REGION": config.region()}
    if not var_file():
        config.required("ALERT_EMAILS", "e-mail addresses that get the alerts, separated by spaces")
    values |= {name: config.decided(name) for name in TEXTS if config.decided(name)}
    values |= {name: json.dumps(config.decided(name).split()) for name in LISTS if config.decided(name)}
    return {f"TF_VAR_{name.lower()}": value for name, value in values.items()}


def var_file() -> list[str]:
    """The file of variables that only Terraform has: infra/prod.tfvars if the settings are in prod.env."""
    name = Path(config.file()).with_suffix(".tfvars").name
    return [f"-var-file={name}"] if (ROOT / "infra" / name).exists() else []


if __name__ == "__main__":
    shell.main(plan if sys.argv[1:] == ["plan"] else apply)
