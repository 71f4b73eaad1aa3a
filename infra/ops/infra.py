"""`make infra`: run Terraform: plan, show the plan, ask, apply. Settings of relay.env become TF_VAR_* variables.

PLAN=file: `make plan` keeps its plan there, and `make infra` applies that plan and asks nothing.
"""

import fcntl
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.ops import config, shell
from infra.ops.guard import changing
from infra.ops.shell import Stop, agreed, errors_of
from infra.ops.terraform import COMMAND, INFRA, environ, failed, init, step
from shared.setting_types import SettingError
from shared.settings import Settings

# Settings of relay.env that are also Terraform variables. A *.tfvars file overrides them.
TEXTS = (
    "SMS_PROVIDER",
    "EMAIL_PROVIDER",
    "FORMER_PROVIDERS",
    "SHORTENER",
    "LINKS_BASE_URL",
    "STATUS_WEBHOOK_URL",
    "OIDC_AUDIENCE",
    "STATE_BUCKET",
    "PUBLIC_BY_IAM",
    "MAX_DELIVERY_ATTEMPTS",
    "GITHUB_REPOSITORY_ID",
    "BILLING_ACCOUNT",
    "MONTHLY_BUDGET",
)
LISTS = ("OPERATORS", "ALERT_EMAILS")
# Parts of errors that pass by themselves: Google shows a new metric after up to ten minutes, a new account or a
# service just enabled after about one.
LATE = ("Cannot find metric", "gserviceaccount.com does not exist", "has not been used in project", "SERVICE_DISABLED")
# Parts of infra/ that cost money or need another right, with the variable without which they are left out.
OPTIONAL = {"link_domain.tf": "TF_VAR_links_domains", "budget.tf": "TF_VAR_billing_account"}
MAX_TRIES = 12
PAUSE = 60.0  # seconds between two tries


def apply() -> None:
    """Plan and apply. What Google was not ready for is planned and tried again, unless others reviewed the plan."""
    init()
    reviewed = os.environ.get("PLAN")
    plan = _path(reviewed or f"{config.project()}.tfplan")
    try:
        if not reviewed:
            _plan(f"-out={plan}")
            if not agreed("Apply this plan?"):
                raise Stop("nothing changed: the plan was not applied")
        _apply(plan, reviewed=bool(reviewed))
    finally:
        plan.unlink(missing_ok=True)  # like the state, it may contain secrets


def _apply(plan: Path, *, reviewed: bool) -> None:
    for left in reversed(range(MAX_TRIES)):
        errors = errors_of(*COMMAND, "apply", "-input=false", str(plan), **environ(), **budgets())
        if not errors:
            return
        late = any(words in errors for words in LATE)
        if late and reviewed:
            raise Stop("Google is not ready for the rest of this plan: see above. Wait some minutes, and plan it anew")
        if not late or not left:
            raise failed("apply", errors, ". `make infra` again continues where it stopped")
        shell.say(f"Google is not ready yet: trying the rest again in {PAUSE:.0f} s")
        time.sleep(PAUSE)
        _plan(f"-out={plan}")


def plan() -> None:
    """`make plan`: show the plan and change nothing."""
    init()
    kept = [f"-out={_path(os.environ['PLAN'])}"] if os.environ.get("PLAN") else []
    _plan("-lock=false", *kept)


def _plan(*options: str) -> None:
    with alone():
        step("plan", "-input=false", *options, *var_file(), **prepared())


@contextmanager
def alone() -> Iterator[None]:
    """While Terraform reads infra/, no command for another environment puts the files of OPTIONAL in or takes them."""
    path = Path(environ()["TF_DATA_DIR"]).with_name("optional.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            shell.say("# another command is reading infra/: waiting until it is done")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def prepared() -> dict[str, str]:
    """Terraform's variables; the files of OPTIONAL are in infra/ where theirs are set."""
    variables = tf_variables()
    for name, wanted_by in OPTIONAL.items():
        (INFRA / name).unlink(missing_ok=True)
        if wanted_by in variables:
            shutil.copyfile(INFRA / "optional" / name, INFRA / name)
    return variables | budgets()


def budgets() -> dict[str, str]:
    """For Terraform's provider, at each run: a person's login may call the API of budgets in a project's name only."""
    if not config.decided("BILLING_ACCOUNT"):
        return {}
    return {"USER_PROJECT_OVERRIDE": "true", "GOOGLE_BILLING_PROJECT": config.project()}


def links_domains() -> tuple[str, ...]:
    """The domains of short links, the relay's own first. Raises Stop."""
    try:
        return Settings({name: config.decided(name) for name in ("LINKS_DOMAIN", "BRANDS")}).links_domains()
    except SettingError as e:
        raise Stop(str(e)) from None


def _path(name: str) -> Path:
    """Terraform runs in infra/, the operator does not."""
    return Path(name).absolute()


def tf_variables() -> dict[str, str]:
    """TF_VAR_* for Terraform. Raises Stop for a required setting without a value."""
    values = {"PROJECT": config.project(), "REGION": config.region()}
    if not var_file():
        config.required("ALERT_EMAILS", "e-mail addresses that get the alerts, separated by spaces")
    values |= {name: config.decided(name) for name in TEXTS if config.decided(name)}
    values |= {name: json.dumps(config.decided(name).split()) for name in LISTS if config.decided(name)}
    values |= {"LINKS_DOMAINS": json.dumps(domains)} if (domains := links_domains()) else {}
    return {f"TF_VAR_{name.lower()}": value for name, value in values.items()}


def var_file() -> list[str]:
    """The file of variables that only Terraform has: infra/prod.tfvars if the settings are in prod.env."""
    name = Path(config.file()).with_suffix(".tfvars").name
    return [f"-var-file={name}"] if (INFRA / name).exists() else []


if __name__ == "__main__":
    shell.main(changing(plan if sys.argv[1:] == ["plan"] else apply))
