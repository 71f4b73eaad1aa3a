"""Check that Clickwrap, a provider or a shortener accepts our credentials, with one read-only call each."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec

from infra.ops.config import holds
from infra.ops.function_table import every_secret
from shared import setting_types
from shared.adapters.http.client import bearer
from shared.adapters.providers import registry as providers
from shared.domain.errors import RetryLater
from shared.domain.model import ChannelName
from shared.setting_types import ProviderSpec, Setting

Get = Callable[[str, dict[str, str]], int]


class Values:
    """Looks up a setting by name: in the environment, then in relay.env and Terraform, then in Secret Manager."""

    def __init__(self, settings: Mapping[str, str], secret: Callable[[str], str]) -> None:
        self._settings, self._secret = settings, secret

    def __call__(self, name: str, default: str | None = None) -> str:
        """Raises KeyError for a setting without value and default; Stop for a secret that cannot be read."""
        value = os.environ.get(name) or self._settings.get(name) or default
        if value is None:
            value = self._secret(name) if name in every_secret() else None
        if not value:
            raise KeyError(name)
        return value.strip()

    def given(self, settings: Iterable[Setting[Any]]) -> dict[str, str]:
        """Those of these settings that have a value, by name. Raises Stop for a secret that cannot be read."""
        found = {}
        for setting in settings:
            with suppress(KeyError):
                found[setting.name] = self(setting.name)
        return found


class Probe(msgspec.Struct, frozen=True):
    """One check. when: "always", or the setting that selects it. check: returns what to do, "" if nothing."""

    name: str
    when: str
    check: Callable[[Values, Get], str]


def advice_for(status: int, secret: str, fine: tuple[int, ...] = (200,)) -> str:
    if status in fine:
        return ""
    if status in (401, 403):
        return f"refuses {secret} ({status}): run `make secrets RENEW={secret}` with the right one, then `make deploy`"
    return f"answers {status}: see its status page" if status else "cannot be reached: check its URL in the settings"


def clickwrap(v: Values, get: Get) -> str:
    """Ask for a request that does not exist: with valid credentials the API answers 404."""
    url = v("CLICKWRAP_API_URL", "https://api.pactsafe.com/v1.1")
    return advice_for(
        get(f"{url}/requests/doctor", bearer(v("CLICKWRAP_API_TOKEN"))), "CLICKWRAP_API_TOKEN", (200, 404)
    )


def bitly(v: Values, get: Get) -> str:
    """https://dev.bitly.com/api-reference: retrieve the user."""
    url = v("BITLY_API_URL", "https://api-ssl.bitly.com")
    return advice_for(get(f"{url}/v4/user", bearer(v("BITLY_TOKEN"))), "BITLY_TOKEN")


def rebrandly(v: Values, get: Get) -> str:
    """https://developers.rebrandly.com/reference: get the account."""
    url = v("REBRANDLY_API_URL", "https://api.rebrandly.com")
    return advice_for(get(f"{url}/v1/account", {"apikey": v("REBRANDLY_API_KEY")}), "REBRANDLY_API_KEY")


def own_links(v: Values, get: Get) -> str:
    """Ask for a code that was never issued: the function `links` answers 404."""
    status = get(f"{v('LINKS_BASE_URL')}/doctor", {})
    return "" if status == 404 else f"answer {status or 'nothing'}: run `make deploy FUNCTIONS=links`"


def of_providers() -> Iterator[Probe]:
    """Those that the providers declare in their SPEC."""
    for channel, name in providers.every():
        spec = providers.spec(channel, name)
        spoken = {ChannelName.SMS: "SMS", ChannelName.EMAIL: "e-mail"}[channel]
        named = f"{spoken} by {spec.title}", f"{channel.upper()}_PROVIDER={name}"
        if spec.probe:
            yield Probe(*named, partial(declared, spec, spec.probe))
        elif hasattr(providers.sender_class(channel, name), "check"):
            yield Probe(*named, partial(by_sender, channel, name))


def declared(spec: ProviderSpec, probe: setting_types.Probe, v: Values, get: Get) -> str:
    """Raises SettingError for a setting without a value."""
    values = setting_types.Values(v.given(spec.sending))
    status = get(probe.url(values), probe.headers(values))
    return probe.advice.get(status) or advice_for(status, probe.secret.name)


def by_sender(channel: ChannelName, name: str, v: Values, get: Get) -> str:
    """By its Sender's own check, where that takes more than one call. Raises SettingError."""
    spec = providers.spec(channel, name)
    values = setting_types.Values(v.given(spec.sending))
    try:
        providers.sender(channel, name, values, lambda: datetime.now(UTC)).check()  # type: ignore[attr-defined]
    except RetryLater as e:
        [secret] = [setting.name for setting in spec.sending if setting.secret]
        return f"{e.reason}; a new secret is entered by `make secrets RENEW={secret}`, then `make deploy`"
    return ""


PROBES = (
    Probe("Clickwrap's API", "always", clickwrap),
    *of_providers(),
    Probe("the function links", "SHORTENER=links", own_links),
    Probe("short links by Bitly", "SHORTENER=bitly", bitly),
    Probe("short links by Rebrandly", "SHORTENER=rebrandly", rebrandly),
)


def chosen(settings: Mapping[str, str]) -> list[Probe]:
    """The checks that these settings need."""
    return [probe for probe in PROBES if probe.when == "always" or holds(probe.when, settings)]
