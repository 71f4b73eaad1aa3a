"""The settings of this function with secrets hidden, and warnings about them."""

from collections.abc import Mapping

from shared.setting_types import split
from shared.settings import declared
from shared.settings.channels import EMAIL_PROVIDER, FORMER_PROVIDERS, SMS_PROVIDER
from shared.settings.clickwrap import CLICKWRAP_WEBHOOK_TOKENS


def configuration(environ: Mapping[str, str]) -> dict[str, str]:
    """The declared variables that are set, by name. A secret shows only that it is there."""
    ours = {name: setting for name, setting in sorted(declared().items()) if environ.get(name, "").strip()}
    return {name: "set, hidden" if setting.secret else environ[name] for name, setting in ours.items()}


def warnings(environ: Mapping[str, str]) -> list[str]:
    """What in the settings is allowed but probably not meant."""
    found = _providers(environ)
    tokens = [t for t in environ.get(CLICKWRAP_WEBHOOK_TOKENS.name, "").split(",") if t.strip()]
    if len(tokens) == 2:
        found.append("CLICKWRAP_WEBHOOK_TOKENS holds two tokens: a rotation is half done, so drop the old one.")
    return found


def providers(environ: Mapping[str, str]) -> set[str]:
    """Names of those in use and of former ones; "none" stands for what went to no provider."""
    former = split(environ.get(FORMER_PROVIDERS.name, ""))
    return {"none", *(environ.get(s.name, "") for s in (SMS_PROVIDER, EMAIL_PROVIDER)), *former}


def _providers(environ: Mapping[str, str]) -> list[str]:
    chosen = {name: environ.get(name) or "none" for name in (SMS_PROVIDER.name, EMAIL_PROVIDER.name)}
    if set(chosen.values()) == {"none"}:
        return ["SMS_PROVIDER and EMAIL_PROVIDER are both none: nobody is written to."]
    return [f"{name} is none: nobody is written to on that channel." for name, v in chosen.items() if v == "none"]
