"""The operator's choices, and the pure rules that follow from them: channels, addresses, send windows, spans."""

import hmac
from collections.abc import Iterable, Mapping
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

from shared.domain.model import ChannelName, Kind


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What the settings say. `day` is the length of a day: 86,400 s, shorter only in a local demo."""

    reminder_days: tuple[int, ...] = (3, 7, 14)
    window: tuple[time, time] | None = (time(8), time(21))  # local time of the signer; None: at any hour
    spread: timedelta = timedelta(0)  # over which the reminders are spread that wait for the window to open
    region: str = "US"
    timezone: str = "America/New_York"
    channels: str = "send_to"
    available: frozenset[ChannelName] = frozenset({ChannelName.SMS, ChannelName.EMAIL})
    progress_to: str = "others"
    progress_max_signers: int = 10
    retention_days: int = 90
    address_secret: str = ""  # ADDRESS_SECRET, given only to the functions that ask whether an address is blocked
    max_attempts: int = 20
    status_signer_ids: bool = False
    tell_sender: bool = False  # of signers who were not reached
    sender_fallback: str = ""  # where, if the API names no address of theirs
    sender_copies: frozenset[Kind] = frozenset()  # what else the sender is told of
    completion_link: str = "request_url"
    restored: tuple[datetime, datetime] | None = None  # a copy of the database, and the end of the work that it lacks
    opens_seen: bool = False  # the links in messages are our own, so it is known when a signer opens one
    day: float = 86_400.0

    def span(self, seconds: float, floor: float = 0.0) -> timedelta:
        """A span of real seconds, shrunk with the day; `floor` (s) keeps it longer than what it must outlast."""
        return timedelta(seconds=max(seconds * self.day / 86_400, min(seconds, floor)))

    def days(self, n: float) -> timedelta:
        """`n` days, as long as a day lasts here."""
        return timedelta(seconds=n * self.day)

    def is_lost(self, at: datetime) -> bool:
        """Whether what was done then is lost, because the database was restored from an earlier copy."""
        return self.restored is not None and self.restored[0] < at <= self.restored[1]


def choose_channels(
    policy: Policy, send_to: Mapping[ChannelName, bool], email: str, mobile: str
) -> tuple[ChannelName, ...]:
    """The channels on which this signer is told everything, in order of preference; () when nothing fits.

    send_to: what the request says; empty says nothing.
    """
    addresses = {ChannelName.SMS: mobile, ChannelName.EMAIL: email}
    usable = [c for c, address in addresses.items() if address and c in policy.available]
    wanted, _, first_only = policy.channels.partition("-")
    if first_only:
        return tuple(sorted(usable, key=lambda c: c != wanted)[:1])
    if policy.channels == "send_to":
        return tuple(c for c in usable if send_to.get(c, not send_to))
    return tuple(c for c in usable if policy.channels in ("all", c))


def address_key(channel: ChannelName, address: str, policy: Policy) -> str:
    """The id of an address's Suppression. Keyed (HMAC), since a hash alone of a number can be found by trying all."""
    named = msgspec.json.encode((channel, address))
    return hmac.digest(policy.address_secret.encode(), named, "sha256").hex()


def beside(channel: ChannelName) -> ChannelName:
    """The other channel."""
    return ChannelName.EMAIL if channel is ChannelName.SMS else ChannelName.SMS


def other_channel(policy: Policy, first: ChannelName) -> ChannelName | None:
    """What takes over when the first does not arrive: the channel that a "-first" policy holds in reserve."""
    other = beside(first)
    return other if policy.channels.endswith("-first") and other in policy.available else None


def normal_email(text: str) -> str:
    """Lower-case; "" for what cannot be an address."""
    email = text.strip().lower()
    usable = email.count("@") == 1 and all(email.split("@")) and email.isprintable() and " " not in email
    return email if usable and len(email) <= 254 and not set(email) & set('<>,;:"\\()[]') and "=?" not in email else ""


def normal_mobile(text: str, region: str) -> str:
    """E.164; "" for what cannot be a number. A number without a country code is read as one of `region`."""
    import phonenumbers

    whole = phonenumbers.ValidationResult.IS_POSSIBLE  # and not "only within its town"
    for default in (text, "+" + text):  # "13175551234" lacks only its plus
        try:
            number = phonenumbers.parse(default, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_possible_number_with_reason(number) == whole:
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return ""


def zone_of(mobile: str, policy: Policy) -> ZoneInfo:
    """The zone of a signer's number where it names exactly one, else the configured one."""
    if mobile:
        import phonenumbers
        from phonenumbers import timezone

        zones = timezone.time_zones_for_number(phonenumbers.parse(mobile))
        if len(zones) == 1 and zones[0] != "Etc/Unknown":
            return ZoneInfo(zones[0])
    return ZoneInfo(policy.timezone)


def into_window(at: datetime, mobile: str, policy: Policy) -> datetime:
    """`at` itself inside the signer's send window, else the next opening."""
    return at if policy.window is None else _into_window(at, zone_of(mobile, policy), policy.window)


def _into_window(at: datetime, zone: ZoneInfo, window: tuple[time, time]) -> datetime:
    opens, closes = window
    local = at.astimezone(zone)
    if opens <= local.time() < closes:
        return at
    day = local.date() + timedelta(days=1 if local.time() >= closes else 0)
    opening = datetime.combine(day, opens, local.tzinfo).astimezone(at.tzinfo)
    return _into_window(opening, zone, window)  # where the clocks skip the opening, it may lie past the closing


def spread_in_window(times: Iterable[datetime], share: float, mobile: str, policy: Policy) -> list[datetime]:
    """Each time inside the window, else after the next opening by this share of the spread, or of the window's length.

    Several at once, since to find a number's zone takes longer than all the rest.
    """
    if policy.window is None:
        return list(times)
    zone, window = zone_of(mobile, policy), policy.window
    spread = min(policy.spread, _length(*window))
    return [_spread(at, spread * share, zone, window) for at in times]


def _length(opens: time, closes: time) -> timedelta:
    return datetime.combine(datetime.min, closes) - datetime.combine(datetime.min, opens)


def _spread(at: datetime, by: timedelta, zone: ZoneInfo, window: tuple[time, time]) -> datetime:
    opening = _into_window(at, zone, window)
    later = opening + by
    return later if opening != at and _into_window(later, zone, window) == later else opening
