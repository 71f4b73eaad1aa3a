"""The environment, read once. A wrong or missing value stops the start with one line that names the variable."""

import json
from collections.abc import Callable, Mapping
from datetime import time
from typing import Any, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from shared.adapters.clickwrap.payload import FIELDS, Fields
from shared.domain.model import ChannelName
from shared.domain.policy import Policy
from shared.services.resource_names import ResourceNames

T = TypeVar("T")

LONGEST = 3_650  # days: with a date past the end of the calendar every event would fail, and not the start
BACKENDS = ("gcp", "embedded", "emulators")
SMS_PROVIDERS = ("twilio", "vonage", "apprise", "outbox", "none")
EMAIL_PROVIDERS = ("smtp", "sendgrid", "mailgun", "postmark", "apprise", "outbox", "none")
SHORTENERS = ("links", "bitly", "rebrandly", "none")
SHARED_DOMAINS = {"bitly": "bit.ly", "rebrandly": "rebrand.ly"}
CHANNEL_POLICIES = ("send_to", "all", "sms-first", "email-first", "sms", "email")


class SettingError(Exception):
    """One line that names the variable and says what it should be."""


class Settings:
    """Each group of settings is read when a function first needs it, so that none needs a secret it does not use."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    # -- reading one variable

    def text(self, name: str, default: str | None = None) -> str:
        value = self._environ.get(name, "").strip()
        if not value and default is None:
            raise SettingError(f"{name} is not set")
        return value or default or ""

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        return self._parsed(name, default, lambda v: choices[choices.index(v)], "one of " + ", ".join(choices))

    def number(self, name: str, default: float, least: float = 1) -> float:
        def parse(value: str) -> float:
            number = float(value)
            if not least <= number < float("inf"):
                raise ValueError
            return number

        return self._parsed(name, str(default), parse, f"a number, {least:g} or more")

    def whole(self, name: str, default: int, least: int = 1, most: int = 10**6) -> int:
        def parse(value: str) -> int:
            if not least <= int(value) <= most:
                raise ValueError
            return int(value)

        return self._parsed(name, str(default), parse, f"a whole number, {least} to {most}")

    def url(self, name: str, default: str | None = None) -> str:
        def parse(value: str) -> str:
            parts = urlsplit(value)
            local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost")
            if not parts.hostname or not (parts.scheme == "https" or local):
                raise ValueError
            return value.rstrip("/")

        value = self.text(name, default)
        return self._parsed(name, value, parse, "an https:// URL") if value else ""

    def words(self, name: str) -> tuple[str, ...]:
        return tuple(w.strip() for w in self.text(name, "").split(",") if w.strip())

    def _parsed(self, name: str, default: str, parse: Callable[[str], T], wanted: str) -> T:
        value = self.text(name, default)
        try:
            return parse(value)
        except (ValueError, KeyError, TypeError, LookupError, OSError):
            shown = "" if name.endswith(("TOKEN", "TOKENS", "SECRET", "KEY")) else f" '{value}'"
            raise SettingError(f"{name}{shown} must be {wanted}") from None

    # -- groups

    @property
    def backend(self) -> str:
        return self.choice("BACKEND", BACKENDS, "gcp")

    @property
    def project(self) -> str:
        return self.text("GOOGLE_CLOUD_PROJECT")

    @property
    def location(self) -> str:
        return self.text("LOCATION")

    @property
    def webhook_tokens(self) -> tuple[str, ...]:
        tokens = self.words("CLICKWRAP_WEBHOOK_TOKENS")
        if not 1 <= len(tokens) <= 2:
            raise SettingError(
                "CLICKWRAP_WEBHOOK_TOKENS must hold one token, or two during a rotation, comma-separated"
            )
        return tokens

    def names(self) -> ResourceNames:
        return ResourceNames(
            events_topic=self.text("EVENTS_TOPIC", "clickwrap-events"),
            notices_topic=self.text("NOTICES_TOPIC", "signer-notices"),
            status_topic=self.text("STATUS_TOPIC", "request-status"),
            reminders_queue=self.text("REMINDERS_QUEUE", "reminders"),
            retries_queue=self.text("RETRIES_QUEUE", "retries"),
            remind_url=self.url("REMIND_URL", ""),
            deliver_url=self.url("DELIVER_URL", ""),
            resolve_url=self.url("RESOLVE_URL", ""),
        )

    def policy(self) -> Policy:
        day = self.number("SECONDS_PER_DAY", 86_400, least=0.001)
        if day != 86_400 and self.backend == "gcp":
            raise SettingError("SECONDS_PER_DAY is for local use only: unset it where BACKEND is gcp")
        return Policy(
            reminder_days=self._parsed(
                "REMINDER_DAYS", "3,7,14", _days, f"rising whole days up to {LONGEST}, like 3,7,14"
            ),
            window=self._parsed("SEND_WINDOW", _window_default(day), _window, "HH:MM-HH:MM, rising, or off"),
            region=self._parsed("DEFAULT_REGION", "US", _region, "a two-letter country code"),
            timezone=self._parsed("DEFAULT_TIMEZONE", "America/New_York", _zone, "an IANA time zone"),
            channels=self.choice("CHANNEL_POLICY", CHANNEL_POLICIES, "send_to"),
            available=self._available(),
            progress_to=self.choice("PROGRESS_TO", ("others", "all", "none"), "others"),
            progress_max_signers=self.whole("PROGRESS_MAX_SIGNERS", 10),
            retention_days=self.retention_days,
            max_attempts=self.whole("MAX_ATTEMPTS", 20),
            completion_link=self.choice("COMPLETION_LINK", ("request_url", "download_url", "auto"), "request_url"),
            day=day,
        )

    @property
    def max_delivery_attempts(self) -> int:
        """Of one message, before Pub/Sub gives it to the dead-letter topic."""
        return self.whole("MAX_DELIVERY_ATTEMPTS", 100, least=5, most=100)

    @property
    def retention_days(self) -> int:
        return self._parsed("RETENTION_DAYS", "90", _retention, f"a number of days, 32 to {LONGEST}")

    def warnings(self) -> list[str]:
        """What is allowed, but better done otherwise: a line each, that names the variable."""
        domain = self.text(f"{self.shortener.upper()}_DOMAIN", "")
        shared = SHARED_DOMAINS.get(self.shortener)
        found = []
        if shared and domain in ("", shared):
            found.append(
                f"SHORTENER={self.shortener} uses {shared}, a domain shared with strangers, which carriers block: "
                f"set {self.shortener.upper()}_DOMAIN to your own, or SHORTENER to links"
            )
        if self.sms_provider == "twilio" and not self.text("RECEIPTS_BASE_URL", ""):
            found.append("RECEIPTS_BASE_URL is not set: Twilio will not tell what arrived")
        return found

    def _available(self) -> frozenset[ChannelName]:
        providers = {ChannelName.SMS: self.sms_provider, ChannelName.EMAIL: self.email_provider}
        return frozenset(channel for channel, provider in providers.items() if provider != "none")

    @property
    def sms_provider(self) -> str:
        return self.choice("SMS_PROVIDER", SMS_PROVIDERS, "none")

    @property
    def email_provider(self) -> str:
        return self.choice("EMAIL_PROVIDER", EMAIL_PROVIDERS, "none")

    @property
    def shortener(self) -> str:
        return self.choice("SHORTENER", SHORTENERS, "links")

    def fields(self) -> Fields:
        return self._parsed("CLICKWRAP_FIELDS", "{}", _fields, f"JSON: field -> list of paths, of {', '.join(FIELDS)}")


def _days(value: str) -> tuple[int, ...]:
    days = tuple(int(d) for d in value.split(","))
    if list(days) != sorted(set(days)) or days[0] < 1 or days[-1] > LONGEST:
        raise ValueError
    return days


def _retention(value: str) -> int:
    days = float(value)
    if not 32 <= days <= LONGEST:
        raise ValueError
    return int(days)


def _window_default(day: float) -> str:
    """A day of seconds has no night."""
    return "08:00-21:00" if day == 86_400 else "off"


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
    if not isinstance(given, dict) or set(given) - set(FIELDS):
        raise ValueError
    return {**FIELDS, **{k: tuple(map(str, [v] if isinstance(v, str) else v)) for k, v in given.items()}}
