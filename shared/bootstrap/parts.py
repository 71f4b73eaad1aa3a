"""What the handlers are made of."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from shared.adapters.providers import registry as providers
from shared.adapters.shorteners import registry as shorteners
from shared.bootstrap.runtime import backend, clock, settings
from shared.domain.model import ChannelName
from shared.setting_types import SettingError
from shared.settings import clickwrap, housekeeping, messages, place
from shared.settings.channels import SHORTENER

if TYPE_CHECKING:
    from shared.domain.policy import Policy
    from shared.ports import Channel, ClickwrapApi, ReceiptVerifier, Render, Shortener
    from shared.services.fallback import Fallback
    from shared.services.outcomes import Outcomes
    from shared.services.publisher import Publisher
    from shared.text.render import Texts


@cache
def publisher() -> "Publisher":
    """What publishes after a commit."""
    from shared.services.publisher import Publisher

    b, s = backend(), settings()
    s.required(place.REMIND_URL)  # reminders would go nowhere
    return Publisher(b.ledger(), b.bus(), b.scheduler(), s.names(), s.policy(), clock)


@cache
def fallback() -> "Fallback":
    """What takes over when a message does not arrive."""
    from shared.services.fallback import Fallback

    s = settings()
    days = s[housekeeping.SUPPRESSION_DAYS]
    return Fallback(backend().ledger(), backend().bus(), s.names().notices_topic, clock, days)


def outcomes(policy: "Policy") -> "Outcomes":
    """What tells others what became of a notice."""
    from shared.services.outcomes import Outcomes

    return Outcomes(backend().bus(), settings().names(), policy, clock)


@cache
def clickwrap_api() -> "ClickwrapApi":
    """The client of Clickwrap's API."""
    from shared.adapters.clickwrap.client import ClickwrapClient

    s = settings()
    url, token, fields = s[clickwrap.CLICKWRAP_API_URL], s[clickwrap.CLICKWRAP_API_TOKEN], s[clickwrap.CLICKWRAP_FIELDS]
    rate, hosts = s[clickwrap.API_RATE_PER_MINUTE], tuple(h.lower() for h in s[clickwrap.LINK_HOSTS])
    return ClickwrapClient(url, token, fields, rate, hosts)


def channels() -> "Mapping[ChannelName, Channel]":
    """The chosen providers, by channel."""
    return {channel: _channel(channel, name) for channel, name in settings().providers().items()}


def _channel(channel: ChannelName, name: str) -> "Channel":
    if name == "outbox":
        return backend().outbox(channel)
    return providers.sender(channel, name, settings(), clock)


def receivers() -> "Mapping[str, ReceiptVerifier]":
    """Those that report of the providers in use, or used before. Each needs only the secret that proves who reports."""
    s = settings()
    made = [
        backend().receipts(channel) if name == "outbox" else providers.receipt_verifier(channel, name, s)
        for channel, name in dict.fromkeys([*s.providers().items(), *s.receipt_senders()])
    ]
    return {verifier.name: verifier for verifier in made if verifier}


def shortener() -> "Shortener":
    """The chosen shortener."""
    s = settings()
    retention = s.policy().days(s[housekeeping.RETENTION_DAYS])
    return shorteners.shortener(s[SHORTENER], s, backend().ledger(), retention, clock)


def renderer() -> "Render":
    """The texts, checked first where they are the operator's own."""
    from shared.text.wording import Words

    return Words(settings().brands(), settings().policy(), texts())


def texts() -> "Texts":
    """Where the texts are, the operator's own checked."""
    return _texts(settings()[messages.TEMPLATES_DIR], settings()[messages.TEMPLATES_LANGUAGE])


@cache
def _texts(directory: str, language: str) -> "Texts":
    """The built-in texts need no check, and a start without Jinja2 is a faster one."""
    from shared.text.render import ENGLISH, Texts

    found = Texts(Path(directory) if directory else None, language)
    if found.templates_dir or language != ENGLISH:
        _prove(found)
    return found


def _prove(found: "Texts") -> None:
    from shared.text.check import check_templates

    try:
        check_templates(found)
    except (ValueError, OSError) as e:
        raise SettingError(f"TEMPLATES_DIR: {e}") from None


def policy_with_addresses() -> "Policy":
    """The operator's choices, with the key of the hashes of addresses, which few functions hold."""
    return replace(settings().policy(), address_secret=settings().strong(housekeeping.ADDRESS_SECRET))
