"""Settings that several providers read."""

from typing import TYPE_CHECKING

from shared.setting_types import Setting, split, url

if TYPE_CHECKING:
    from email.headerregistry import Address


def _address(value: str) -> "Address | None":
    """Imported late: most functions read e-mail addresses never."""
    from shared.adapters.providers.common.mail import own_address

    return own_address(value) if value else None


ADDRESS = "an e-mail address, with or without a name"
EMAIL_FROM: "Setting[Address | None]" = Setting(
    name="EMAIL_FROM",
    meaning='sender of all e-mails: an address, with or without a name (`"Acme Legal" <legal@example.com>`)',
    parse=_address,
    wanted=ADDRESS,
    default=None,
)
EMAIL_REPLY_TO: "Setting[Address | None]" = Setting(
    name="EMAIL_REPLY_TO", meaning="where replies go, in the same form", parse=_address, wanted=ADDRESS
)
MOST_LABELS = 10  # of one message, at SendGrid and at Mailgun


def several(value: str) -> list[str]:
    """Up to ten labels, comma-separated."""
    labels = list(split(value))
    if len(labels) > MOST_LABELS:
        raise ValueError
    return labels


RECEIPTS_BASE_URL = url(
    "RECEIPTS_BASE_URL",
    "public base of `receipts`; a provider posts to `<base>/<provider>`. Twilio and Vonage are told it with each "
    "message, at the others enter it in their console",
)
