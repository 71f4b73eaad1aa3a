"""infra/functions.json: the table of functions, which Terraform and the commands here read."""

import os

import msgspec

from infra.ops import shell
from infra.ops.shell import Stop

ROOT = shell.ROOT
API_CALLS_A_MINUTE = 1600  # of the 2,000 that Clickwrap allows a token


class Function(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of the table.

    timeout: seconds. api_share: its share of the calls to Clickwrap's API, 0 for none.
    caller: push, tasks, scheduler or operators. deferred: Cloud Tasks delivers its deferred messages, and calls it too.
    secrets: variable -> "always", or the setting that needs it, like "SMS_PROVIDER=twilio"; see `holds`.
    only_with: the setting without which it is no part of the relay; "" for none.
    packages: the packages that its code imports, as requirements.txt names them.
    """

    name: str = ""
    signature: str
    public: bool
    caller: str | None
    deferred: bool
    memory: str
    cpu: int
    concurrency: int
    min_instances: int
    max_instances: int
    timeout: int
    ingress: str
    api_share: float
    only_with: str = ""
    secrets: dict[str, str]
    packages: list[str]

    @property
    def called_by_google(self) -> bool:
        """By Pub/Sub, Cloud Tasks or Cloud Scheduler alone."""
        return self.caller not in (None, "operators")


def functions() -> dict[str, Function]:
    """Every function of the table, by name."""
    rows = msgspec.json.decode((ROOT / "infra/functions.json").read_bytes(), type=dict[str, Function])
    return {name: msgspec.structs.replace(row, name=name) for name, row in rows.items()}


def written() -> list[Function]:
    """The functions whose code is in functions/."""
    return [f for name, f in functions().items() if (ROOT / "functions" / name / "main.py").exists()]


def chosen(among: list[Function] | None = None) -> list[Function]:
    """The functions named by FUNCTIONS ("receive links"); by default all. Raises Stop for an unknown name."""
    known = {f.name: f for f in among or written()}
    names = os.environ.get("FUNCTIONS", "").replace(",", " ").split() or list(known)
    wrong = [name for name in names if name not in known]
    if wrong:
        raise Stop(f"FUNCTIONS: there is no function {wrong[0]}; choose from: {' '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)]


def every_secret() -> set[str]:
    return {variable for f in functions().values() for variable in f.secrets}


def secret_id(variable: str) -> str:
    """The name of a variable's secret in Secret Manager: links-secret for LINKS_SECRET."""
    return variable.lower().replace("_", "-")


def api_rate(function: Function, budget: float = API_CALLS_A_MINUTE) -> int:
    """Calls a minute that one instance may make. All instances of all functions together stay within the budget."""
    return int(budget * function.api_share / function.max_instances)
