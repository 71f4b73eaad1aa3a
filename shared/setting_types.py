"""What a setting is: a variable of the environment, declared as data.

From the declarations come the checks at the start, the console's page of settings, and the files of `make generate`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import msgspec

T = TypeVar("T")
MAX_DAYS = 3_650  # with a date past the end of the calendar every event would fail, and not the start
LEAST_SECRET = 32  # characters of a secret that we choose ourselves
DOMAIN = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")


class SettingError(Exception):
    """One line that names the variable and says what it should be."""


class Setting(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """parse: raises ValueError or LookupError for a wrong value. wanted: completes "NAME must be ".

    default: None for a variable that must be set. secret: its value is never shown, and lies in Secret Manager.
    needed_by: of a secret, the functions that always read it. example: its value in .env.example.
    """

    name: str
    meaning: str
    parse: Callable[[str], T]
    wanted: str = ""
    default: str | None = ""
    secret: bool = False
    needed_by: tuple[str, ...] = ()
    example: str = ""
    local: bool = False  # refused where the relay is deployed


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """A call that only reads, by which `make doctor` learns whether a provider accepts the credentials.

    secret: what 401 and 403 refuse. advice: what another status means.
    """

    url: "Callable[[Values], str]"
    headers: "Callable[[Values], dict[str, str]]"
    secret: Setting[str]
    advice: dict[int, str] = {}


class ProviderSpec(msgspec.Struct, frozen=True, kw_only=True):
    """sending, receipts: what its Sender and its ReceiptVerifier read.

    lag: seconds until its Sender's `find` surely lists what was taken. cannot_find: why its Sender has no `find`.
    """

    title: str
    documentation: str
    sending: tuple[Setting[Any], ...]
    receipts: tuple[Setting[Any], ...] = ()
    lag: float | None = None
    cannot_find: str = ""
    probe: Probe | None = None

    @property
    def settings(self) -> tuple[Setting[Any], ...]:
        """All settings it declares."""
        return tuple({setting.name: setting for setting in (*self.sending, *self.receipts)}.values())


class ShortenerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A shortener: its settings and its documentation."""

    title: str
    documentation: str
    settings: tuple[Setting[Any], ...]


class Values:
    """The environment, read through declarations: `values[SETTING]` is the parsed value. Raises SettingError."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def __getitem__(self, setting: Setting[T]) -> T:
        return self._parsed(setting, setting.default)

    def required(self, setting: Setting[T]) -> T:
        """For a variable that only some need."""
        return self._parsed(setting, None)

    def strong(self, setting: Setting[T]) -> T:
        """A secret of our own, or several: where the relay is deployed, a short one is refused. Empty is none."""
        value = self[setting]
        each = value if isinstance(value, tuple) else (value,)
        short = any(0 < len(str(one)) < LEAST_SECRET for one in each)
        if short and (self._environ.get("BACKEND") or "gcp") == "gcp":
            raise SettingError(f"{setting.name} must have {LEAST_SECRET} characters or more: see `make secrets`")
        return value

    def given(self, setting: Setting[T], default: str) -> T:
        """With a default of the reader's own."""
        return self._parsed(setting, default)

    def _parsed(self, setting: Setting[T], default: str | None) -> T:
        value = self._environ.get(setting.name, "").strip() or default
        if value is None or (default is None and not value):
            raise SettingError(f"{setting.name} is not set")
        try:
            return setting.parse(value)
        except (ValueError, TypeError, LookupError, OSError):
            shown = "" if setting.secret else f" '{value}'"
            raise SettingError(f"{setting.name}{shown} must be {setting.wanted}") from None


# -- the usual kinds


def text(name: str, meaning: str, default: str | None = "", **more: Any) -> Setting[str]:
    """A setting of any text."""
    return Setting(name=name, meaning=meaning, parse=str, default=default, **more)


def secret(name: str, meaning: str, default: str | None = None, **more: Any) -> Setting[str]:
    """A setting that is never shown."""
    return Setting(name=name, meaning=meaning, parse=str, default=default, secret=True, **more)


def url(name: str, meaning: str, default: str | None = "", **more: Any) -> Setting[str]:
    """An https URL, or an http one on loopback."""
    return Setting(name=name, meaning=meaning, parse=_url, wanted="an https:// URL", default=default, **more)


def words(name: str, meaning: str, **more: Any) -> Setting[tuple[str, ...]]:
    """Comma-separated words."""
    return Setting(name=name, meaning=meaning, parse=split, wanted="comma-separated words", **more)


def choice(name: str, choices: tuple[str, ...], default: str, meaning: str, **more: Any) -> Setting[str]:
    """One of some words."""
    wanted = "one of " + ", ".join(choices)
    return Setting(
        name=name,
        meaning=f"one of `{'`, `'.join(choices)}`; {meaning}",
        parse=lambda value: choices[choices.index(value)],
        wanted=wanted,
        default=default,
        **more,
    )


def number(name: str, meaning: str, default: float, least: float = 1, **more: Any) -> Setting[float]:
    """A number of at least `least`."""

    def parse(value: str) -> float:
        if not least <= float(value) < float("inf"):
            raise ValueError
        return float(value)

    wanted = f"a number, {least:g} or more"
    return Setting(name=name, meaning=meaning, parse=parse, wanted=wanted, default=f"{default:g}", **more)


def whole(
    name: str, meaning: str, default: int, least: int = 1, most: int = 10**6, *, local: bool = False
) -> Setting[int]:
    """A whole number from `least` to `most`."""

    def parse(value: str) -> int:
        if not least <= int(value) <= most:
            raise ValueError
        return int(value)

    wanted = f"a whole number, {least} to {most}"
    return Setting(name=name, meaning=meaning, parse=parse, wanted=wanted, default=str(default), local=local)


def _url(value: str) -> str:
    """Without a slash at its end; "" where the setting may be left out."""
    parts = urlsplit(value)
    local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost")
    if value and (not parts.hostname or not (parts.scheme == "https" or local)):
        raise ValueError
    return value.rstrip("/")


def domain(value: str) -> str:
    """A domain in lower case, without a scheme; "" where it may be left out. Raises ValueError."""
    if value and not DOMAIN.fullmatch(value.lower()):
        raise ValueError("a domain expected")
    return value.lower()


def split(value: str) -> tuple[str, ...]:
    """The words between commas."""
    return tuple(word.strip() for word in value.split(",") if word.strip())
