"""The environment: every setting of the relay itself, and what the functions make of them.

Each section of docs/settings.md is a module here; the settings of providers and shorteners stand in their own modules.
A function reads what it needs at its start, so that none needs a secret it does not use. A wrong or missing value stops
the start with one line that names the variable.
"""

from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from types import ModuleType
from typing import Any

from shared.adapters.providers import registry as providers
from shared.adapters.shorteners import links as own_links
from shared.adapters.shorteners import registry as shorteners
from shared.domain.brands import Brand, Brands, address_in
from shared.domain.model import ChannelName
from shared.domain.policy import Policy
from shared.services.resource_names import ResourceNames
from shared.setting_types import ProviderSpec, Setting, SettingError, ShortenerSpec, Values
from shared.settings import channels, clickwrap, housekeeping, local, messages, own_systems, place

SHARED_DOMAINS = {"bitly": "bit.ly", "rebrandly": "rebrand.ly"}
SECTIONS = {
    "Where it runs": place,
    "Clickwrap": clickwrap,
    "Channels": channels,
    "Messages": messages,
    "Your own systems": own_systems,
    "Housekeeping": housekeeping,
    "Local use only": local,
}


def sections() -> Iterator[tuple[str, str, tuple[Setting[Any], ...]]]:
    """Title, documentation link and settings: of the relay, then of each provider and shortener. Imports them all."""
    relay = {title: _declared(module) for title, module in SECTIONS.items()}
    yield from ((title, "", settings) for title, settings in relay.items())
    common = {setting.name for settings in relay.values() for setting in settings}
    specs: list[ProviderSpec | ShortenerSpec] = [providers.spec(channel, name) for channel, name in providers.every()]
    for spec in (*specs, *map(shorteners.spec, channels.SHORTENERS)):
        own = tuple(setting for setting in spec.settings if setting.name not in common)
        if own:
            yield spec.title, spec.documentation, own


def _declared(module: ModuleType) -> tuple[Setting[Any], ...]:
    """In the order in which the module names them."""
    return tuple(value for value in vars(module).values() if isinstance(value, Setting))


def declared() -> dict[str, Setting[Any]]:
    """Every setting, by name."""
    return {setting.name: setting for _, _, settings in sections() for setting in settings}


class Settings(Values):
    """What several settings together say."""

    @property
    def backend(self) -> str:
        """Where the relay runs: gcp, embedded or emulators."""
        return self[place.BACKEND]

    @property
    def project(self) -> str:
        """The Google Cloud project."""
        return self[place.GOOGLE_CLOUD_PROJECT]

    @property
    def location(self) -> str:
        """The region of Cloud Tasks."""
        return self[place.LOCATION]

    @property
    def webhook_tokens(self) -> tuple[str, ...]:
        """One token, or two during a rotation."""
        return self.strong(clickwrap.CLICKWRAP_WEBHOOK_TOKENS)

    def names(self) -> ResourceNames:
        """Topics, queues and URLs."""
        return ResourceNames(
            events_topic=self[place.EVENTS_TOPIC],
            notices_topic=self[place.NOTICES_TOPIC],
            status_topic=self[place.STATUS_TOPIC],
            reminders_queue=self[place.REMINDERS_QUEUE],
            retries_queue=self[place.RETRIES_QUEUE],
            remind_url=self[place.REMIND_URL],
        )

    @cache  # noqa: B019 - one of these an instance
    def policy(self) -> Policy:
        """The operator's choices, for the domain."""
        day = self[local.SECONDS_PER_DAY]
        if day != 86_400 and self.backend == "gcp":
            raise SettingError("SECONDS_PER_DAY is for local use only: unset it where BACKEND is gcp")
        window = messages.SEND_WINDOW  # a day of seconds has no night
        return Policy(
            reminder_days=self[messages.REMINDER_DAYS],
            window=self[window] if day == 86_400 else self.given(window, "off"),
            spread=timedelta(minutes=self[messages.REMINDER_SPREAD]),
            region=self[messages.DEFAULT_REGION],
            timezone=self[messages.DEFAULT_TIMEZONE],
            channels=self[channels.CHANNEL_POLICY],
            available=frozenset(self.providers()),
            progress_to=self[messages.PROGRESS_TO],
            progress_max_signers=self[messages.PROGRESS_MAX_SIGNERS],
            retention_days=self[housekeeping.RETENTION_DAYS],
            max_attempts=self[channels.MAX_ATTEMPTS],
            tell_sender=self.tells_sender,
            sender_fallback=self[messages.SENDER_FALLBACK],
            sender_copies=self[messages.SENDER_COPIES],
            status_signer_ids=self[own_systems.STATUS_SIGNER_IDS] == "on",
            completion_link=self[messages.COMPLETION_LINK],
            restored=self[housekeeping.RESTORED],
            opens_seen=self[channels.SHORTENER] == "links",
            day=day,
        )

    @property
    def tells_sender(self) -> bool:
        """Whether senders are told of signers who were not reached: it takes a provider of e-mail."""
        return self[messages.TELL_SENDER] == "on" and self[channels.EMAIL_PROVIDER] != "none"

    @cache  # noqa: B019
    def brands(self) -> Brands:
        """In whose name messages go out."""
        address = self._plain(channels.EMAIL_REPLY_TO) or self._plain(channels.EMAIL_FROM)
        contact = self[messages.BRAND_CONTACT] or address_in(address)
        return Brands(Brand(name=self[messages.BRAND_NAME], contact=contact), self[messages.BRANDS])

    def links_domains(self) -> tuple[str, ...]:
        """The domains of short links, the relay's own first."""
        named = (self[own_links.DOMAIN], *(brand.links_domain for brand in self[messages.BRANDS].values()))
        return tuple(dict.fromkeys(filter(None, named)))

    def _plain(self, setting: Setting[Any]) -> str:
        """As it is written: parsing an address loads much that the function `links` needs for nothing else."""
        return self._environ.get(setting.name, "").strip()

    def providers(self) -> dict[ChannelName, str]:
        """The provider of each channel that has one."""
        chosen = {ChannelName.SMS: self[channels.SMS_PROVIDER], ChannelName.EMAIL: self[channels.EMAIL_PROVIDER]}
        return {channel: name for channel, name in chosen.items() if name != "none"}

    def warnings(self) -> list[str]:
        """What is allowed, but better done otherwise: a line each, that names the variable."""
        found = [self._shared_domain()] if self[channels.SHORTENER] in SHARED_DOMAINS else []
        found.append(self.link_warning())
        if self[channels.SMS_PROVIDER] == "twilio" and not self[channels.RECEIPTS_BASE_URL]:
            found.append("RECEIPTS_BASE_URL is not set: Twilio will not tell what arrived")
        return list(filter(None, found))

    def receipt_senders(self) -> list[tuple[ChannelName, str]]:
        """Channel and name of each provider whose receipts are taken: in use, or not long ago."""
        chosen, former = set(self.providers().items()), self[channels.FORMER_PROVIDERS]
        return [pair for pair in providers.every() if pair in chosen or pair[1] in former]

    def link_warning(self) -> str:
        """What becomes of texts whose links are on a domain of Google's; "" where they are not."""
        base = self[own_links.BASE_URL]
        ours = self[own_links.DOMAIN] or self[channels.SHORTENER] != "links" or not own_links.on_shared_domain(base)
        if ours or self[channels.SMS_PROVIDER] in ("none", "outbox"):
            return ""
        return (
            "texts go out with links on cloudfunctions.net, a shared domain: carriers in the US and Canada "
            "filter them; set LINKS_DOMAIN to a domain of your own"
        )

    def _shared_domain(self) -> str:
        name, variable = self[channels.SHORTENER], f"{self[channels.SHORTENER].upper()}_DOMAIN"
        if self._environ.get(variable, "").strip() not in ("", SHARED_DOMAINS[name]):
            return ""
        return (
            f"SHORTENER={name} uses {SHARED_DOMAINS[name]}, a domain shared with strangers, which carriers block: "
            f"set {variable} to your own, or SHORTENER to links"
        )
