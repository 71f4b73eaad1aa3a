"""The environment: every setting of the relay itself, declared as data, and what the functions make of them.

Those of the providers and shorteners stand in their own modules. A function reads what it needs at its start, so that
none needs a secret it does not use. A wrong or missing value stops the start with one line that names the variable.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from datetime import time, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from shared.adapters.clickwrap.payload import FIELDS, METADATA, Fields
from shared.adapters.providers import registry as providers
from shared.adapters.providers.common.settings import EMAIL_FROM, EMAIL_REPLY_TO, RECEIPTS_BASE_URL
from shared.adapters.shorteners import links as own_links
from shared.adapters.shorteners import registry as shorteners
from shared.domain.brands import Brand, Brands, address_in
from shared.domain.kinds import COPIES
from shared.domain.model import ChannelName, Kind
from shared.domain.policy import Policy, normal_email
from shared.services.resource_names import ResourceNames
from shared.setting_types import (
    ProviderSpec,
    Setting,
    SettingError,
    ShortenerSpec,
    Values,
    choice,
    domain,
    number,
    secret,
    text,
    url,
    whole,
    words,
)

MAX_DAYS = 3_650  # days: with a date past the end of the calendar every event would fail, and not the start
LEAST_SECRET, MOST_SECRET = 24, 64  # bytes of a secret of Standard Webhooks
SHARED_DOMAINS = {"bitly": "bit.ly", "rebrandly": "rebrand.ly"}
SMS_PROVIDERS = (*providers.names(ChannelName.SMS), "outbox", "none")
EMAIL_PROVIDERS = (*providers.names(ChannelName.EMAIL), "outbox", "none")
SHORTENERS = shorteners.names()
CHANNEL_POLICIES = ("send_to", "all", "sms-first", "email-first", "sms", "email")


def _days(value: str) -> tuple[int, ...]:
    days = tuple(int(d) for d in value.split(","))
    if list(days) != sorted(set(days)) or days[0] < 1 or days[-1] > MAX_DAYS:
        raise ValueError
    return days


def _retention(value: str) -> int:
    days = float(value)
    if not 32 <= days <= MAX_DAYS:
        raise ValueError
    return int(days)


def _window(value: str) -> tuple[time, time] | None:
    if value == "off":
        return None
    opens, closes = (time.fromisoformat(t) for t in value.split("-"))
    if opens >= closes:
        raise ValueError
    return opens, closes


def _region(value: str) -> str:
    if value.upper() != "US":  # phonenumbers is large: most functions never need it
        from phonenumbers import SUPPORTED_REGIONS

        if value.upper() not in SUPPORTED_REGIONS:
            raise ValueError
    return value.upper()


def _zone(value: str) -> str:
    return ZoneInfo(value).key


def _fields(value: str) -> Fields:
    given: dict[str, Any] = json.loads(value)
    if not isinstance(given, dict) or not all(name in FIELDS or METADATA.fullmatch(name) for name in given):
        raise ValueError
    return {**FIELDS, **{k: tuple(map(str, [v] if isinstance(v, str) else v)) for k, v in given.items()}}


def _brands(value: str) -> Mapping[str, Brand]:
    """Strict: a misspelt name would leave a site's messages in another brand's name."""
    sites = msgspec.json.decode(value, type=dict[str, dict[str, str]])
    if unknown := {name for given in sites.values() for name in given} - set(Brand.__struct_fields__):
        raise ValueError(unknown)
    return {site: _checked(Brand(**given)) for site, given in sites.items()}


def _checked(brand: Brand) -> Brand:
    from shared.adapters.providers.common.mail import own_address  # most functions read no addresses

    for address in filter(None, (brand.email_from, brand.email_reply_to)):
        own_address(address)
    if brand.links_domain:
        domain(brand.links_domain)
    return brand


def _address(value: str) -> str:
    if value and not normal_email(value):
        raise ValueError
    return normal_email(value)


def _tokens(value: str) -> tuple[str, ...]:
    tokens = tuple(token.strip() for token in value.split(",") if token.strip())
    if not 1 <= len(tokens) <= 2:
        raise ValueError
    return tokens


def _status_secrets(value: str) -> tuple[bytes, ...]:
    found = tuple(base64.b64decode(s.strip().removeprefix("whsec_"), validate=True) for s in value.split(","))
    if len(found) > 2 or not all(LEAST_SECRET <= len(s) <= MOST_SECRET for s in found):
        raise ValueError
    return found


def _former(value: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.split(",") if name.strip())
    if set(names) - {name for _, name in providers.every()}:
        raise ValueError
    return names


# -- where it runs

BACKEND = choice(
    "BACKEND",
    ("gcp", "embedded", "emulators"),
    "gcp",
    "locally `embedded` (SQLite and threads; `make` sets it) or `emulators` (Google's, with gcloud and Java)",
    local=True,
    example="emulators",
)
GOOGLE_CLOUD_PROJECT = text("GOOGLE_CLOUD_PROJECT", "the project", None, example="clickwrap-local")
FIRESTORE_DATABASE = text("FIRESTORE_DATABASE", "Firestore database", "(default)")
LOCATION = text("LOCATION", "region of the Cloud Tasks queues", None, example="local")
EVENTS_TOPIC = text("EVENTS_TOPIC", "topic of the webhooks' events", "clickwrap-events")
NOTICES_TOPIC = text("NOTICES_TOPIC", "topic of the notices to signers", "signer-notices")
STATUS_TOPIC = text("STATUS_TOPIC", "topic of the requests' status, for your own systems", "request-status")
REMINDERS_QUEUE = text("REMINDERS_QUEUE", "Cloud Tasks queue of the reminders", "reminders")
RETRIES_QUEUE = text(
    "RETRIES_QUEUE", "Cloud Tasks queue of the deferred events; with `-sms` and `-email`, of the notices", "retries"
)
REMIND_URL = url(
    "REMIND_URL",
    "what a reminder's task calls; required by `resolve`, `reconcile`",
    example="http://127.0.0.1:8080/remind",
)
DELIVER_URL = url(
    "DELIVER_URL",
    "where a deferred notice comes back to; required by `deliver`",
    example="http://127.0.0.1:8080/deliver",
)
RESOLVE_URL = url(
    "RESOLVE_URL",
    "where a deferred event comes back to; required by `resolve`",
    example="http://127.0.0.1:8080/resolve",
)
RECEIVE_URL = url(
    "RECEIVE_URL",
    "where `reconcile` posts the check of the whole relay every 15 minutes",
    example="http://127.0.0.1:8080/receive",
)
FORWARD_URL = url(
    "FORWARD_URL",
    "where a deferred change of status comes back to; required by `forward`",
    example="http://127.0.0.1:8080/forward",
)
RECONCILE_URL = url(
    "RECONCILE_URL",
    "what Cloud Scheduler calls; required by `reconcile` on gcp",
    example="http://127.0.0.1:8080/reconcile",
)
CALLERS = words(
    "CALLERS",
    "comma-separated addresses of the accounts that may call a private function; required there on gcp, "
    "where `make deploy` sets it",
)
TASKS_SERVICE_ACCOUNT = text("TASKS_SERVICE_ACCOUNT", "whose identity token tasks carry; required on gcp")
OIDC_AUDIENCE = text("OIDC_AUDIENCE", "the audience of that token; empty: the URL that is called")

# -- Clickwrap

CLICKWRAP_API_URL = url(
    "CLICKWRAP_API_URL",
    "base of the API",
    "https://api.pactsafe.com/v1.1",
    example="http://127.0.0.1:8080/sandbox/api/v1.1",
)
CLICKWRAP_API_TOKEN = secret(
    "CLICKWRAP_API_TOKEN", "Bearer token of the API", needed_by=("resolve", "deliver", "reconcile"), example="sandbox"
)
CLICKWRAP_WEBHOOK_TOKENS: Setting[tuple[str, ...]] = Setting(
    name="CLICKWRAP_WEBHOOK_TOKENS",
    meaning="the webhook's token, or two during a rotation, comma-separated",
    parse=_tokens,
    wanted="one token, or two during a rotation, comma-separated",
    default=None,
    secret=True,
    needed_by=("receive", "reconcile"),
    example="local-token",
)
CLICKWRAP_FIELDS: Setting[Fields] = Setting(
    name="CLICKWRAP_FIELDS",
    meaning='JSON, field to list of paths: replaces the paths of a field, like `{"title": ["name"]}`, or adds one for '
    'the templates, like `{"metadata.deal": ["custom_data.deal"]}`; `make probe` shows which path is found',
    parse=_fields,
    wanted=f"JSON: field -> list of paths, of {', '.join(FIELDS)}, metadata.<name>, signer.metadata.<name>",
    default="{}",
)
CLICKWRAP_SITES = words("CLICKWRAP_SITES", "comma-separated; webhooks of other sites are answered 200 and ignored")
CLICKWRAP_INTEGRATIONS = words("CLICKWRAP_INTEGRATIONS", "the same for the webhook's `integration`")
TITLE_FROM_WEBHOOK = choice(
    "TITLE_FROM_WEBHOOK",
    ("off", "on"),
    "off",
    "`on`: where the API gives no title, a webhook's description gives it, so whoever has the token can write it",
)
RECONCILE_LIST = words(
    "RECONCILE_LIST",
    "comma-separated sites whose requests `reconcile` also lists and adopts, where the API has such a list",
)
LINK_HOSTS = words(
    "LINK_HOSTS",
    "comma-separated domains, with all below them, that signing and document links may lead to; empty: any public name",
)
API_RATE_PER_MINUTE = number(
    "API_RATE_PER_MINUTE",
    "API calls of this process; in `relay.env` the total, which `make deploy` divides among the instances",
    1600,
)

# -- who is written to, and by whom

SMS_PROVIDER = choice("SMS_PROVIDER", SMS_PROVIDERS, "none", "`outbox` is local only")
EMAIL_PROVIDER = choice("EMAIL_PROVIDER", EMAIL_PROVIDERS, "none", "`outbox` is local only")
FORMER_PROVIDERS: Setting[tuple[str, ...]] = Setting(
    name="FORMER_PROVIDERS",
    meaning="comma-separated; providers used before, whose receipts are still taken: leave one here for a few days",
    parse=_former,
    wanted=f"names of providers, comma-separated: of {', '.join(sorted({*SMS_PROVIDERS[:-2], *EMAIL_PROVIDERS[:-2]}))}",
)
CHANNEL_POLICY = choice(
    "CHANNEL_POLICY",
    CHANNEL_POLICIES,
    "send_to",
    "`send_to`: as the request says, else every contact; `-first`: the other channel takes over what does not arrive",
)
MAX_ATTEMPTS = whole(
    "MAX_ATTEMPTS", "sends of one notice before it is `failed`; those while the whole provider is down do not count", 20
)
MAX_DELIVERY_ATTEMPTS = whole(
    "MAX_DELIVERY_ATTEMPTS",
    "deliveries of one message before it goes to the dead letters, 5 to 100; in the cloud Terraform's",
    100,
    least=5,
    most=100,
)
SHORTENER = choice(
    "SHORTENER",
    SHORTENERS,
    "links",
    "`links` is our own; a public one sees every signing link, and US carriers reject texts with shared domains",
)

# -- messages

BRAND_NAME = text("BRAND_NAME", "who writes, in every message", "Ironclad Clickwrap")
BRAND_CONTACT = text(
    "BRAND_CONTACT",
    "where a signer may ask: an address, a number or a page, in e-mails and on the page of a dead link; "
    "empty: `EMAIL_REPLY_TO`, else `EMAIL_FROM`",
)
BRANDS: Setting[Mapping[str, Brand]] = Setting(
    name="BRANDS",
    meaning='JSON, id of a Clickwrap site to its own brand: `{"12": {"name": "Acme", "links_domain": "go.acme.com"}}`; '
    "also `contact`, `email_from`, `email_reply_to`, `sms_from`, `language`",
    parse=_brands,
    wanted=f"JSON: site -> of {', '.join(Brand.__struct_fields__)}",
    default="{}",
)
TEMPLATES_DIR = text("TEMPLATES_DIR", "a folder with texts of your own")
TEMPLATES_LANGUAGE = text(
    "TEMPLATES_LANGUAGE",
    "for signers of whom the API names no language there are texts in: `en`, `es`, `fr`, ...",
    "en",
)
COMPLETION_LINK = choice(
    "COMPLETION_LINK",
    ("request_url", "download_url", "auto"),
    "request_url",
    "where a completion leads; the last two prefer the document; a missing link is replaced by the other",
)
REMINDER_DAYS: Setting[tuple[int, ...]] = Setting(
    name="REMINDER_DAYS",
    meaning="rising whole days after the invitation",
    parse=_days,
    wanted=f"rising whole days up to {MAX_DAYS}, like 3,7,14",
    default="3,7,14",
)
SEND_WINDOW: Setting[tuple[time, time] | None] = Setting(
    name="SEND_WINDOW",
    meaning="hours of reminders, the signer's local time; or `off`",
    parse=_window,
    wanted="HH:MM-HH:MM, rising, or off",
    default="08:00-21:00",
)
REMINDER_SPREAD = whole(
    "REMINDER_SPREAD", "minutes over which the reminders of a night are spread once the window opens", 0, least=0
)
DEFAULT_REGION: Setting[str] = Setting(
    name="DEFAULT_REGION",
    meaning="for numbers without a country",
    parse=_region,
    wanted="a two-letter country code",
    default="US",
)
DEFAULT_TIMEZONE: Setting[str] = Setting(
    name="DEFAULT_TIMEZONE",
    meaning="for signers without a zone",
    parse=_zone,
    wanted="an IANA time zone",
    default="America/New_York",
)
PROGRESS_TO = choice("PROGRESS_TO", ("others", "all", "none"), "others", "who hears that a signer has signed")
PROGRESS_MAX_SIGNERS = whole("PROGRESS_MAX_SIGNERS", "no progress messages above so many signers", 10)
TELL_SENDER = choice(
    "TELL_SENDER", ("on", "off"), "on", "whether the request's sender is told by e-mail of signers who were not reached"
)
SENDER_FALLBACK: Setting[str] = Setting(
    name="SENDER_FALLBACK",
    meaning="where they are told if the API names no address of theirs, like that of a team",
    parse=_address,
    wanted="one e-mail address",
)

SENDER_COPIES: Setting[frozenset[Kind]] = Setting(
    name="SENDER_COPIES",
    meaning="comma-separated, of `signed`, `complete`, `expired`, `daily`: what else the sender is told by e-mail",
    parse=lambda value: frozenset(COPIES[word.strip()] for word in value.split(",") if word.strip()),
    wanted="some of signed, complete, expired, daily, comma-separated",
)

# -- your own systems

STATUS_SIGNER_IDS = choice(
    "STATUS_SIGNER_IDS", ("on", "off"), "off", "whether changes of status hold your own ids of the signers"
)
STATUS_WEBHOOK_URL = url("STATUS_WEBHOOK_URL", "your own endpoint for every change of a request's status; empty: none")
STATUS_WEBHOOK_SECRETS: Setting[tuple[bytes, ...]] = Setting(
    name="STATUS_WEBHOOK_SECRETS",
    meaning="signs what is posted there, as Standard Webhooks describes; two during a rotation, comma-separated",
    parse=_status_secrets,
    wanted="one or two of whsec_ and 24 to 64 bytes in base64",
    default=None,
    secret=True,
    needed_by=("forward",),
)

# -- housekeeping, and local use

RETENTION_DAYS: Setting[int] = Setting(
    name="RETENTION_DAYS",
    meaning=f"32 to {MAX_DAYS}; when documents expire",
    parse=_retention,
    wanted=f"a number of days, 32 to {MAX_DAYS}",
    default="90",
)
CONSOLE_OPERATORS = words(
    "CONSOLE_OPERATORS",
    "comma-separated addresses of those who may act in the console; the others only read; empty: everyone may act",
)
EVIDENCE_KEY = text(
    "EVIDENCE_KEY",
    "key that signs evidence: a version of a Cloud KMS key (`projects/...`), or a PEM file, which is made if missing",
)
SUPPRESSION_DAYS: Setting[int] = Setting(
    name="SUPPRESSION_DAYS",
    meaning=f"32 to {MAX_DAYS}; when a blocked address is tried again although no operator has cleared it",
    parse=_retention,
    wanted=f"a number of days, 32 to {MAX_DAYS}",
    default="365",
)
ADDRESS_SECRET = secret(
    "ADDRESS_SECRET",
    "key of the hashes under which blocked addresses are kept",
    needed_by=("deliver", "receipts", "console"),
    example="local-address-secret",
)
LOG_LEVEL = text("LOG_LEVEL", "least level of what is logged", "INFO")
SECONDS_PER_DAY = number(
    "SECONDS_PER_DAY",
    "a shorter day; the send window is then off unless set",
    86_400,
    least=0.001,
    local=True,
)
PORT = whole("PORT", "port of `make run`", 8080, most=65_535, local=True)
LOCAL_DIR = text("LOCAL_DIR", "where `make run` keeps its state", ".local", local=True)
PARALLEL_PUSHES = whole(
    "PARALLEL_PUSHES", "calls at a time that `embedded` makes to each function and channel", 32, most=100, local=True
)
EMULATORS = tuple(
    text(
        name, f"where the emulator of {what} listens; required by `emulators`", local=True, example=f"127.0.0.1:{port}"
    )
    for name, what, port in (
        ("PUBSUB_EMULATOR_HOST", "Pub/Sub", 8085),
        ("FIRESTORE_EMULATOR_HOST", "Firestore", 8086),
        ("CLOUD_TASKS_EMULATOR_HOST", "Cloud Tasks", 8123),
    )
)

SECTIONS: dict[str, tuple[Setting[Any], ...]] = {
    "Where it runs": (
        BACKEND,
        GOOGLE_CLOUD_PROJECT,
        FIRESTORE_DATABASE,
        LOCATION,
        EVENTS_TOPIC,
        NOTICES_TOPIC,
        STATUS_TOPIC,
        REMINDERS_QUEUE,
        RETRIES_QUEUE,
        REMIND_URL,
        DELIVER_URL,
        RESOLVE_URL,
        RECEIVE_URL,
        FORWARD_URL,
        RECONCILE_URL,
        CALLERS,
        TASKS_SERVICE_ACCOUNT,
        OIDC_AUDIENCE,
    ),
    "Clickwrap": (
        CLICKWRAP_API_URL,
        CLICKWRAP_API_TOKEN,
        CLICKWRAP_WEBHOOK_TOKENS,
        CLICKWRAP_FIELDS,
        CLICKWRAP_SITES,
        CLICKWRAP_INTEGRATIONS,
        TITLE_FROM_WEBHOOK,
        RECONCILE_LIST,
        LINK_HOSTS,
        API_RATE_PER_MINUTE,
    ),
    "Channels": (
        SMS_PROVIDER,
        EMAIL_PROVIDER,
        FORMER_PROVIDERS,
        CHANNEL_POLICY,
        SHORTENER,
        EMAIL_FROM,
        EMAIL_REPLY_TO,
        RECEIPTS_BASE_URL,
        MAX_ATTEMPTS,
        MAX_DELIVERY_ATTEMPTS,
    ),
    "Messages": (
        BRAND_NAME,
        BRAND_CONTACT,
        BRANDS,
        TEMPLATES_DIR,
        TEMPLATES_LANGUAGE,
        COMPLETION_LINK,
        REMINDER_DAYS,
        SEND_WINDOW,
        REMINDER_SPREAD,
        DEFAULT_REGION,
        DEFAULT_TIMEZONE,
        PROGRESS_TO,
        PROGRESS_MAX_SIGNERS,
        TELL_SENDER,
        SENDER_FALLBACK,
        SENDER_COPIES,
    ),
    "Your own systems": (STATUS_SIGNER_IDS, STATUS_WEBHOOK_URL, STATUS_WEBHOOK_SECRETS),
    "Housekeeping": (RETENTION_DAYS, CONSOLE_OPERATORS, SUPPRESSION_DAYS, ADDRESS_SECRET, EVIDENCE_KEY, LOG_LEVEL),
    "Local use only": (*EMULATORS, SECONDS_PER_DAY, PORT, LOCAL_DIR, PARALLEL_PUSHES),
}


def sections() -> Iterator[tuple[str, str, tuple[Setting[Any], ...]]]:
    """Title, documentation link and settings: of the relay, then of each provider and shortener. Imports them all."""
    yield from ((title, "", settings) for title, settings in SECTIONS.items())
    common = {setting.name for settings in SECTIONS.values() for setting in settings}
    specs: list[ProviderSpec | ShortenerSpec] = [providers.spec(channel, name) for channel, name in providers.every()]
    for spec in (*specs, *map(shorteners.spec, SHORTENERS)):
        own = tuple(setting for setting in spec.settings if setting.name not in common)
        if own:
            yield spec.title, spec.documentation, own


def declared() -> dict[str, Setting[Any]]:
    """Every setting, by name."""
    return {setting.name: setting for _, _, settings in sections() for setting in settings}


class Settings(Values):
    """What several settings together say."""

    @property
    def backend(self) -> str:
        """Where the relay runs: gcp, embedded or emulators."""
        return self[BACKEND]

    @property
    def project(self) -> str:
        """The Google Cloud project."""
        return self[GOOGLE_CLOUD_PROJECT]

    @property
    def location(self) -> str:
        """The region of Cloud Tasks."""
        return self[LOCATION]

    @property
    def webhook_tokens(self) -> tuple[str, ...]:
        """One token, or two during a rotation."""
        return self.strong(CLICKWRAP_WEBHOOK_TOKENS)

    def names(self) -> ResourceNames:
        """Topics, queues and URLs."""
        return ResourceNames(
            events_topic=self[EVENTS_TOPIC],
            notices_topic=self[NOTICES_TOPIC],
            status_topic=self[STATUS_TOPIC],
            reminders_queue=self[REMINDERS_QUEUE],
            retries_queue=self[RETRIES_QUEUE],
            remind_url=self[REMIND_URL],
        )

    @cache  # noqa: B019 - one of these an instance
    def policy(self) -> Policy:
        """The operator's choices, for the domain."""
        day = self[SECONDS_PER_DAY]
        if day != 86_400 and self.backend == "gcp":
            raise SettingError("SECONDS_PER_DAY is for local use only: unset it where BACKEND is gcp")
        window = self[SEND_WINDOW] if day == 86_400 else self.given(SEND_WINDOW, "off")  # a day of seconds has no night
        return Policy(
            reminder_days=self[REMINDER_DAYS],
            window=window,
            spread=timedelta(minutes=self[REMINDER_SPREAD]),
            region=self[DEFAULT_REGION],
            timezone=self[DEFAULT_TIMEZONE],
            channels=self[CHANNEL_POLICY],
            available=frozenset(self.providers()),
            progress_to=self[PROGRESS_TO],
            progress_max_signers=self[PROGRESS_MAX_SIGNERS],
            retention_days=self[RETENTION_DAYS],
            max_attempts=self[MAX_ATTEMPTS],
            tell_sender=self.tells_sender,
            sender_fallback=self[SENDER_FALLBACK],
            sender_copies=self[SENDER_COPIES],
            status_signer_ids=self[STATUS_SIGNER_IDS] == "on",
            completion_link=self[COMPLETION_LINK],
            opens_seen=self[SHORTENER] == "links",
            day=day,
        )

    @property
    def tells_sender(self) -> bool:
        """Whether senders are told of signers who were not reached: it takes a provider of e-mail."""
        return self[TELL_SENDER] == "on" and self[EMAIL_PROVIDER] != "none"

    @cache  # noqa: B019
    def brands(self) -> Brands:
        """In whose name messages go out."""
        contact = self[BRAND_CONTACT] or address_in(self._plain(EMAIL_REPLY_TO) or self._plain(EMAIL_FROM))
        return Brands(Brand(name=self[BRAND_NAME], contact=contact), self[BRANDS])

    def links_domains(self) -> tuple[str, ...]:
        """The domains of short links, the relay's own first."""
        named = (self[own_links.DOMAIN], *(brand.links_domain for brand in self[BRANDS].values()))
        return tuple(dict.fromkeys(filter(None, named)))

    def _plain(self, setting: Setting[Any]) -> str:
        """As it is written: parsing an address loads much that the function `links` needs for nothing else."""
        return self._environ.get(setting.name, "").strip()

    def providers(self) -> dict[ChannelName, str]:
        """The provider of each channel that has one."""
        chosen = {ChannelName.SMS: self[SMS_PROVIDER], ChannelName.EMAIL: self[EMAIL_PROVIDER]}
        return {channel: name for channel, name in chosen.items() if name != "none"}

    def warnings(self) -> list[str]:
        """What is allowed, but better done otherwise: a line each, that names the variable."""
        found = [self._shared_domain()] if self[SHORTENER] in SHARED_DOMAINS else []
        found.append(self.link_warning())
        if self[SMS_PROVIDER] == "twilio" and not self[RECEIPTS_BASE_URL]:
            found.append("RECEIPTS_BASE_URL is not set: Twilio will not tell what arrived")
        return list(filter(None, found))

    def receipt_senders(self) -> list[tuple[ChannelName, str]]:
        """Channel and name of each provider whose receipts are taken: in use, or not long ago."""
        chosen, former = set(self.providers().items()), self[FORMER_PROVIDERS]
        return [pair for pair in providers.every() if pair in chosen or pair[1] in former]

    def link_warning(self) -> str:
        """What becomes of texts whose links are on a domain of Google's; "" where they are not."""
        base = self[own_links.BASE_URL]
        ours = self[own_links.DOMAIN] or self[SHORTENER] != "links" or not own_links.on_shared_domain(base)
        if ours or self[SMS_PROVIDER] in ("none", "outbox"):
            return ""
        return (
            "texts go out with links on cloudfunctions.net, a shared domain: carriers in the US and Canada "
            "filter them; set LINKS_DOMAIN to a domain of your own"
        )

    def _shared_domain(self) -> str:
        name, variable = self[SHORTENER], f"{self[SHORTENER].upper()}_DOMAIN"
        if self._environ.get(variable, "").strip() not in ("", SHARED_DOMAINS[name]):
            return ""
        return (
            f"SHORTENER={name} uses {SHARED_DOMAINS[name]}, a domain shared with strangers, which carriers block: "
            f"set {variable} to your own, or SHORTENER to links"
        )
