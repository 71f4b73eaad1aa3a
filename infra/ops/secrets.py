"""`make secrets`: ask for each secret that the relay needs and that has no value yet. The input is not shown.

RENEW="CLICKWRAP_API_TOKEN ..." asks for a new value of these. The webhook's token is renewed by `make rotate-token`.
"""

import base64
import getpass
import os
import secrets
import sys

from infra.ops import secret_manager, shell, terraform
from infra.ops.guard import changing
from infra.ops.shell import Stop, agreed
from shared.setting_types import SettingError, Values
from shared.settings import declared
from shared.settings.own_systems import STATUS_WEBHOOK_SECRETS

GENERATED = (
    "CLICKWRAP_WEBHOOK_TOKENS",
    "LINKS_SECRET",
    "ADDRESS_SECRET",
    "POSTMARK_WEBHOOK_TOKEN",
    "STATUS_WEBHOOK_SECRETS",
)  # our own secrets: empty input generates a random value
TOKENS = "CLICKWRAP_WEBHOOK_TOKENS"
REFUSES = (
    "Until Clickwrap sends the new token, its webhooks are refused; with `make rotate-token` none is. "
    "Replace the token all the same?"
)
BYTES = 32  # of a generated secret


def ask_for_all() -> None:
    wanted = terraform.needed_secrets()
    again = _renewed(wanted)
    absent = [
        variable for variable in wanted if shell.dry() or variable in again or not secret_manager.has_version(variable)
    ]
    for variable in absent:
        secret_manager.add(variable, "" if shell.dry() else _asked(variable))
    if not shell.dry():
        shell.say(f"{len(wanted)} secrets have a value, {len(absent)} of them a new one")
    if again and not shell.dry():
        shell.say("Now run `make deploy`: what runs has read the earlier values.")


def _renewed(wanted: list[str]) -> list[str]:
    names = os.environ.get("RENEW", "").replace(",", " ").split()
    for name in names:
        if name not in wanted:
            raise Stop(f"RENEW: {name} is not one of this relay's secrets: {' '.join(wanted)}")
    if TOKENS in names and not agreed(REFUSES):
        raise Stop("nothing was changed: run `make rotate-token`")
    return names


def _asked(variable: str) -> str:
    hint = " (press Enter for a random one)" if variable in GENERATED else ""
    value = _typed(f"{variable}{hint}: ").strip()
    if not value and variable in GENERATED:
        return _random(variable)
    if not value:
        raise Stop(f"{variable} has no value yet: run `make secrets` again when you have it")
    if variable in GENERATED:
        _refuse_weak(variable, value)
    return value


def _refuse_weak(variable: str, value: str) -> None:
    """Raises Stop for a value with which no function would start, which would show at the end of a deployment only."""
    values, setting = Values({variable: value}), declared()[variable]
    try:
        values[setting] if variable == STATUS_WEBHOOK_SECRETS.name else values.strong(setting)
    except SettingError as e:
        raise Stop(str(e)) from None


def _random(variable: str) -> str:
    """In the form that the receivers' libraries read, where they read it."""
    if variable == STATUS_WEBHOOK_SECRETS.name:
        return f"whsec_{base64.b64encode(secrets.token_bytes(BYTES)).decode()}"
    return secrets.token_urlsafe(BYTES)


def _typed(prompt: str) -> str:
    """A line from the terminal, not shown; without one, from standard input, for scripts."""
    if sys.stdin.isatty():
        return getpass.getpass(prompt)
    shell.say(prompt)
    return sys.stdin.readline()


if __name__ == "__main__":
    shell.main(changing(ask_for_all))
