"""Which settings make which provider and shortener. Part of the composition root: only what is chosen is imported."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from shared.domain.model import ChannelName
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.ports import Channel, ReceiptVerifier, Shortener

Clock = Callable[[], datetime]


def _twilio(s: Settings, channel: ChannelName, clock: Clock) -> "Channel":
    from shared.adapters.providers.twilio import Twilio

    return Twilio(
        s.text("TWILIO_ACCOUNT_SID"),
        s.text("TWILIO_AUTH_TOKEN"),
        s.text("TWILIO_FROM", "") or s.text("TWILIO_MESSAGING_SERVICE_SID"),
        s.url("TWILIO_API_URL", "https://api.twilio.com"),
        s.url("RECEIPTS_BASE_URL", ""),
        clock,
    )


def _vonage(s: Settings, channel: ChannelName, clock: Clock) -> "Channel":
    from shared.adapters.providers.vonage import Vonage

    return Vonage(
        s.text("VONAGE_API_KEY"),
        s.text("VONAGE_API_SECRET"),
        s.text("VONAGE_FROM"),
        s.text("VONAGE_SIGNATURE_SECRET", ""),
        s.url("VONAGE_API_URL", "https://rest.nexmo.com"),
        s.url("RECEIPTS_BASE_URL", ""),
        clock,
    )


def _smtp(s: Settings, channel: ChannelName, clock: Clock) -> "Channel":
    from shared.adapters.providers.smtp import Smtp

    return Smtp(s.text("SMTP_URL"), *_letterhead(s), clock)


def _sendgrid(s: Settings, channel: ChannelName, clock: Clock) -> "Channel":
    from shared.adapters.providers.sendgrid import SendGrid

    key, url = s.text("SENDGRID_API_KEY"), s.url("SENDGRID_API_URL", "https://api.sendgrid.com")
    return SendGrid(key, *_letterhead(s), s.text("SENDGRID_WEBHOOK_PUBLIC_KEY", ""), url, clock)


def _mailgun(s: Settings, channel: ChannelName, clock: Clock) -> "Channel":
    from shared.adapters.providers.mailgun import Mailgun

    key, domain = s.text("MAILGUN_API_KEY"), s.text("MAILGUN_DOMAIN")
    url = s.url("MAILGUN_API_URL", "https://api.mailgun.net")
    return Mailgun(key, domain, *_letterhead(s), s.text("MAILGUN_SIGNING_KEY", ""), url, clock)


def _postmark(s: Settings, channel: ChannelName, clock: Clock) -> "Channel":
    from shared.adapters.providers.postmark import Postmark

    token, url = s.text("POSTMARK_SERVER_TOKEN"), s.url("POSTMARK_API_URL", "https://api.postmarkapp.com")
    return Postmark(token, *_letterhead(s), s.text("POSTMARK_WEBHOOK_TOKEN", ""), url, clock)


def _apprise(s: Settings, channel: ChannelName, clock: Clock) -> "Channel":
    from shared.adapters.providers.apprise import AppriseChannel

    variable = f"APPRISE_{channel.upper()}_URL"
    return AppriseChannel(s.text(variable), variable)


def _letterhead(s: Settings) -> tuple[str, str]:
    return s.text("EMAIL_FROM"), s.text("EMAIL_REPLY_TO", "")


CHANNELS: "dict[str, Callable[[Settings, ChannelName, Clock], Channel]]" = {
    "twilio": _twilio,
    "vonage": _vonage,
    "smtp": _smtp,
    "sendgrid": _sendgrid,
    "mailgun": _mailgun,
    "postmark": _postmark,
    "apprise": _apprise,
}


# -- what only hears of deliveries has no key to send with


def _twilio_receipts(s: Settings, clock: Clock) -> "ReceiptVerifier":
    from shared.adapters.providers.twilio import Twilio

    return Twilio("", s.text("TWILIO_AUTH_TOKEN"), "", "", "", clock)


def _vonage_receipts(s: Settings, clock: Clock) -> "ReceiptVerifier":
    from shared.adapters.providers.vonage import Vonage

    return Vonage("", "", "", s.text("VONAGE_SIGNATURE_SECRET", ""), "", "", clock)


def _sendgrid_receipts(s: Settings, clock: Clock) -> "ReceiptVerifier":
    from shared.adapters.providers.sendgrid import SendGrid

    return SendGrid("", s.text("EMAIL_FROM"), "", s.text("SENDGRID_WEBHOOK_PUBLIC_KEY", ""), "", clock)


def _mailgun_receipts(s: Settings, clock: Clock) -> "ReceiptVerifier":
    from shared.adapters.providers.mailgun import Mailgun

    return Mailgun("", "", s.text("EMAIL_FROM"), "", s.text("MAILGUN_SIGNING_KEY", ""), "", clock)


def _postmark_receipts(s: Settings, clock: Clock) -> "ReceiptVerifier":
    from shared.adapters.providers.postmark import Postmark

    return Postmark("", s.text("EMAIL_FROM"), "", s.text("POSTMARK_WEBHOOK_TOKEN", ""), "", clock)


RECEIVERS: "dict[str, Callable[[Settings, Clock], ReceiptVerifier]]" = {
    "twilio": _twilio_receipts,
    "vonage": _vonage_receipts,
    "sendgrid": _sendgrid_receipts,
    "mailgun": _mailgun_receipts,
    "postmark": _postmark_receipts,
}


def _bitly(s: Settings, clock: Clock) -> "Shortener":
    from shared.adapters.shorteners.bitly import Bitly

    url = s.url("BITLY_API_URL", "https://api-ssl.bitly.com")
    return Bitly(s.text("BITLY_TOKEN"), s.text("BITLY_DOMAIN", ""), url, clock)


def _rebrandly(s: Settings, clock: Clock) -> "Shortener":
    from shared.adapters.shorteners.rebrandly import Rebrandly

    url = s.url("REBRANDLY_API_URL", "https://api.rebrandly.com")
    return Rebrandly(s.text("REBRANDLY_API_KEY"), s.text("REBRANDLY_DOMAIN", ""), url, clock)


def _none(s: Settings, clock: Clock) -> "Shortener":
    from shared.adapters.shorteners.none import NoShortener

    return NoShortener()


SHORTENERS: "dict[str, Callable[[Settings, Clock], Shortener]]" = {
    "bitly": _bitly,
    "rebrandly": _rebrandly,
    "none": _none,
}
