"""infra/functions.json: the one table of functions, read by Terraform and by everything here."""

import os
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
API_CALLS_A_MINUTE = 1600  # of the 2,000 that Clickwrap allows a token


class Function(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row. timeout: seconds. api_share: its part of the calls to Clickwrap's API, 0 for none.

    caller: push, tasks, scheduler or operators; deferred: tasks bring its deferred messages back, so they call it too.
    secrets: variable -> "always", or the setting that makes it needed, like "SMS_PROVIDER=twilio".
    packages: what its code imports of others, as requirements.txt names it.
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
    secrets: dict[str, str]
    packages: list[str]


def functions() -> dict[str, Function]:
    """Every function of the table, by name."""
    rows = msgspec.json.decode((ROOT / "infra/functions.json").read_bytes(), type=dict[str, Function])
    return {name: msgspec.structs.replace(row, name=name) for name, row in rows.items()}


def written() -> list[Function]:
    """Those whose code is here."""
    return [f for name, f in functions().items() if (ROOT / "functions" / name / "main.py").exists()]


def chosen() -> list[Function]:
    """FUNCTIONS="receive links" of the environment; all without it. Raises Stop for a name that is none."""
    from infra.ops.shell import Stop

    known = {f.name: f for f in written()}
    names = os.environ.get("FUNCTIONS", "").replace(",", " ").split() or list(known)
    wrong = [name for name in names if name not in known]
    if wrong:
        raise Stop(f"FUNCTIONS: there is no function {wrong[0]}; choose of: {' '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)]


def every_secret() -> set[str]:
    return {variable for f in functions().values() for variable in f.secrets}


def secret_id(variable: str) -> str:
    """A secret is called like its variable, in Secret Manager's spelling: LINKS_SECRET is links-secret."""
    return variable.lower().replace("_", "-")


def api_rate(function: Function, budget: float = API_CALLS_A_MINUTE) -> int:
    """Calls a minute that one instance may make, so that all instances of all functions stay within the budget."""
    return int(budget * function.api_share / function.max_instances)
