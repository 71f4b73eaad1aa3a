"""`make generate`: the files that are made from the declared settings. Each is committed, and tested to be current."""

import re
import shlex
import textwrap
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from shared.adapters.providers import registry as providers
from shared.adapters.shorteners import registry as shorteners
from shared.domain.model import ChannelName
from shared.domain.notice_event import NoticeEvent
from shared.domain.status_event import StatusEvent
from shared.setting_types import Setting
from shared.settings import declared, sections
from shared.settings.channels import EMAIL_PROVIDER, EMAIL_PROVIDERS, SHORTENER, SHORTENERS, SMS_PROVIDER, SMS_PROVIDERS

ROOT = Path(__file__).parents[1]
WIDTH = 120
CHOOSES = {ChannelName.SMS: SMS_PROVIDER.name, ChannelName.EMAIL: EMAIL_PROVIDER.name}

ENV_HEAD = """\
# Clickwrap Relay: every variable that is read. Behind # stands the default; what has none has a value for this machine,
# so that one function alone can start on emulators. `make run` needs none of them.
# Nothing loads this file by itself:  cp .env.example .env;  set -a; . ./.env; set +a
# Secrets belong in Secret Manager, not in a file, once this is deployed.
# Made by `make generate` from the declarations in shared/: change those.
"""
DOCS_HEAD = """\
<!-- Made by `make generate` from the declarations in shared/: change those. -->

# Settings

Read from the environment. A wrong or missing value stops the start, of `make run` as of a deployed function, with one
line that names it. [.env.example](../.env.example) has them all. "required" means required in the cloud, by the
functions that read it: `make run` fills in its own values. URLs must be `https://`, or `http://` on loopback.
"""
TERRAFORM_HEAD = """\
# Made by `make generate` from the modules in shared/adapters/providers and shared/adapters/shorteners.
"""
VARIABLE = """
variable "{name}" {{
  description = "As {setting} of the functions: decides who may read which secrets."
  type        = string
  default     = "{default}"

  validation {{
    condition     = contains([{quoted}], var.{name})
    error_message = "{name} must be one of {plain}."
  }}
}}
"""
FORMER = """
variable "former_providers" {{
  description = "As FORMER_PROVIDERS of the functions: whose receipts are still taken, comma-separated."
  type        = string
  default     = ""

  validation {{
    condition = alltrue([
      for name in split(",", replace(var.former_providers, " ", "")) : contains(["", {quoted}], name)
    ])
    error_message = "former_providers must be names of {plain}, comma-separated."
  }}
}}
"""


def env_example(old: str) -> str:
    parts = [f"\n# --- {_titled(title, link)}\n{''.join(map(_env_lines, given))}" for title, link, given in sections()]
    return ENV_HEAD + "".join(parts)


def _titled(title: str, link: str) -> str:
    return f"{title}: {link}" if link.startswith("https://") else title


def _env_lines(setting: Setting[Any]) -> str:
    marks = [*(["secret"] if setting.secret else []), *(["required"] if setting.default is None else [])]
    said = f"{', '.join(marks).capitalize()}: {setting.meaning}" if marks else setting.meaning
    said = (said[0].upper() + said[1:]).replace("`", "")
    comment = textwrap.wrap(said, WIDTH, initial_indent="# ", subsequent_indent="# ")
    value = shlex.quote(setting.example or setting.default or "").replace("''", "")
    return "\n".join([*comment, f"{'' if setting.example else '#'}{setting.name}={value}\n"])


def settings_page(old: str) -> str:
    return DOCS_HEAD + "".join(_table(title, link, given) for title, link, given in sections())


def _table(title: str, link: str, given: Iterable[Setting[Any]]) -> str:
    heading = f"[{title}]({link})" if link else title
    return f"\n## {heading}\n\n| variable | default | meaning |\n|---|---|---|\n{''.join(map(_row, given))}"


def _row(setting: Setting[Any]) -> str:
    default = "required" if setting.default is None else f"`{setting.default}`" if setting.default else "empty"
    return f"| `{setting.name}` | {default}{', secret' if setting.secret else ''} | {setting.meaning} |\n"


def terraform_choices(old: str) -> str:
    offered = {SMS_PROVIDER: SMS_PROVIDERS, EMAIL_PROVIDER: EMAIL_PROVIDERS, SHORTENER: SHORTENERS}
    made = "".join(_variable(s, [c for c in names if c != "outbox"]) for s, names in offered.items())
    return TERRAFORM_HEAD + made + FORMER.format(**_listed(dict.fromkeys(name for _, name in providers.every())))


def _variable(setting: Setting[str], names: list[str]) -> str:
    given = {"name": setting.name.lower(), "setting": setting.name, "default": setting.default}
    return VARIABLE.format(**given, **_listed(names))


def _listed(names: Iterable[str]) -> dict[str, str]:
    return {"quoted": ", ".join(f'"{name}"' for name in names), "plain": ", ".join(names)}


def function_table(old: str) -> str:
    """The table with its secrets anew; all else in it is written by hand."""
    rows = iter(msgspec.json.decode(old))
    return re.sub(r'"secrets": \{[^}]*\}', lambda _: f'"secrets": {_object(secrets_of(next(rows)))}', old)


def _object(secrets: dict[str, str]) -> str:
    lines = ",".join(f'\n      "{name}": "{when}"' for name, when in secrets.items())
    return f"{{{lines}\n    }}" if secrets else "{}"


def secrets_of(function: str) -> dict[str, str]:
    """Which secrets a function reads, and when: "always", or with a choice like "SMS_PROVIDER=twilio".

    "RECEIPTS=twilio" is Twilio in use, or among FORMER_PROVIDERS.
    """
    found = {name: "always" for name, setting in declared().items() if function in setting.needed_by}
    if function == "deliver":
        for name in SHORTENERS:
            found |= _when(f"{SHORTENER.name}={name}", shorteners.spec(name).settings)
    for channel, name in providers.every():
        spec = providers.spec(channel, name)
        if function == "deliver":
            found |= _when(f"{CHOOSES[channel]}={name}", spec.sending)
        if function == "receipts":
            found |= _when(f"RECEIPTS={name}", spec.receipts)
    return found


def _when(condition: str, settings: Iterable[Setting[Any]]) -> dict[str, str]:
    return {setting.name: condition for setting in settings if setting.secret}


def module_tables(old: str) -> str:
    """infra/README.md with its tables of inputs and outputs anew."""
    inputs = "".join(
        f"| `{name}` | {_typed(v)} | {_code(v.get('default'))} | {_text(v)} |\n" for name, v in _blocks("variable")
    )
    outputs = "".join(f"| `{name}` | {_text(v)} |\n" for name, v in _blocks("output"))
    head = old[: old.index("## Inputs\n")]
    return f"{head}{INPUTS_HEAD}{inputs}{OUTPUTS_HEAD}{outputs}"


def _blocks(kind: str) -> list[tuple[str, dict[str, Any]]]:
    """The variables or outputs of infra/*.tf, by name. Without a default, a variable is required."""
    import hcl2

    found: dict[str, dict[str, Any]] = {}
    copied = ("root.tf", *(path.name for path in (ROOT / "infra/optional").glob("*.tf")))  # by `make infra`
    for path in (p for p in sorted((ROOT / "infra").glob("*.tf")) if p.name not in copied):
        for block in hcl2.loads(path.read_text() + "\n").get(kind, []):
            found |= {name.strip('"'): body for name, body in block.items()}
    return sorted(found.items())


def _typed(variable: dict[str, Any]) -> str:
    return f"`{str(variable['type']).strip('${}')}`"


def _code(value: Any) -> str:
    if value is None:
        return "required"
    shown = str(value).strip('"') if isinstance(value, str) else str(value).lower()
    return f"`{shown}`" if shown not in ("", "[]", "{}") else "empty"


def _text(block: dict[str, Any]) -> str:
    return str(block["description"]).strip('"').replace('\\"', '"')


INPUTS_HEAD = """\
## Inputs

<!-- Both tables are made by `make generate` from the .tf files. -->

| name | type | default | description |
|---|---|---|---|
"""
OUTPUTS_HEAD = """
## Outputs

| name | description |
|---|---|
"""


def event_schema(kind: type[msgspec.Struct], old: str) -> str:
    """The JSON Schema of a type of event."""
    schema = {"title": kind.__name__, **msgspec.json.schema(kind)}
    return msgspec.json.format(msgspec.json.encode(schema), indent=2).decode() + "\n"


FILES: dict[str, Callable[[str], str]] = {
    ".env.example": env_example,
    "docs/settings.md": settings_page,
    "docs/notice-event.schema.json": partial(event_schema, NoticeEvent),
    "docs/status-event.schema.json": partial(event_schema, StatusEvent),
    "infra/choices.tf": terraform_choices,
    "infra/functions.json": function_table,
    "infra/README.md": module_tables,
}


def main() -> None:
    for name, made in FILES.items():
        path = ROOT / name
        path.write_text(made(path.read_text() if path.exists() else ""))


if __name__ == "__main__":
    main()
