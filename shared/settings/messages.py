"""The messages: in whose name they are written, when they are sent, and to whom."""

from collections.abc import Mapping
from datetime import time
from zoneinfo import ZoneInfo

import msgspec

from shared.domain.brands import Brand
from shared.domain.kinds import COPIES
from shared.domain.model import Kind
from shared.domain.policy import normal_email
from shared.setting_types import MAX_DAYS, Setting, choice, domain, split, text, whole


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


def _days(value: str) -> tuple[int, ...]:
    days = tuple(int(d) for d in value.split(","))
    if list(days) != sorted(set(days)) or days[0] < 1 or days[-1] > MAX_DAYS:
        raise ValueError
    return days


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


def _address(value: str) -> str:
    if value and not normal_email(value):
        raise ValueError
    return normal_email(value)


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
    "for signers whose language is not known, or has no texts here: `en`, `de`, `es`, `fr`, `pt`, or a folder of yours",
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
    meaning="for signers whose time zone is not known",
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
    meaning="where mails to the sender go if the API does not name the sender's address, like the address of a team",
    parse=_address,
    wanted="one e-mail address",
)
SENDER_COPIES: Setting[frozenset[Kind]] = Setting(
    name="SENDER_COPIES",
    meaning="comma-separated, of `signed`, `complete`, `expired`, `daily`: what else the sender is told by e-mail",
    parse=lambda value: frozenset(COPIES[word] for word in split(value)),
    wanted="some of signed, complete, expired, daily, comma-separated",
)
