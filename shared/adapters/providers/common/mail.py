"""The e-mail itself: headers and both bodies."""

import re
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

from shared.adapters.providers.common.settings import EMAIL_FROM, EMAIL_REPLY_TO
from shared.domain.errors import PermanentFailure
from shared.ports import Outgoing
from shared.setting_types import Values

WORD = re.compile(r"[^\s@<>,;:\"\\()\[\]\x00-\x1f\x7f]+")  # nothing that ends an address, or begins another

# How an encoded word begins (RFC 2047). `email` decodes one wherever it stands and, before Python 3.11.10, writes the
# line breaks in it as they are: a title could add headers, and a body.
ENCODED = "=?"


class Letterhead:
    """Whom our e-mail comes from: EMAIL_FROM and EMAIL_REPLY_TO. Raises SettingError."""

    def __init__(self, values: Values) -> None:
        sender = values[EMAIL_FROM]
        assert sender, "required"
        self.sender, self.reply_to = sender, values[EMAIL_REPLY_TO]

    def of(self, message: Outgoing) -> "tuple[Address, Address | None]":
        """Sender and reply-to of a message: its site's own, else the relay's."""
        sender = own_address(message.sender) if message.sender else self.sender
        if message.reply_to:
            return sender, own_address(message.reply_to)
        return sender, None if message.sender else self.reply_to  # replies do not go to another brand

    def compose(self, message: Outgoing, now: datetime) -> EmailMessage:
        """Raises PermanentFailure for an address or subject that would break out of its header."""
        recipient, (sender, reply_to) = recipient_of(message), self.of(message)
        beyond_ascii = not (sender.addr_spec + recipient).isascii()
        mail = EmailMessage(SMTP.clone(cte_type="7bit", utf8=beyond_ascii))
        mail["Subject"] = message.subject.replace(ENCODED, "= ?")
        mail["To"] = _header("", recipient)
        mail["From"] = sender
        if reply_to:
            mail["Reply-To"] = reply_to
        mail["Date"] = format_datetime(now)
        mail["Message-ID"] = message_id(message, sender)
        for name, value in marks(message).items():
            mail[name] = value
        mail.set_content(message.text)
        if message.html:
            mail.add_alternative(message.html, subtype="html")
        return mail


def message_id(message: Outgoing, sender: Address) -> str:
    """On the sender's own domain; a second try has the same, by which mail programs can tell a double."""
    return f"<{message.notice}@{sender.domain}>"


def marks(message: Outgoing) -> dict[str, str]:
    """Headers every e-mail of ours bears. The first keeps out-of-office answers away (RFC 3834)."""
    return {"Auto-Submitted": "auto-generated", "X-Clickwrap-Notice": message.notice}


def recipient_of(message: Outgoing) -> str:
    """Raises PermanentFailure for what is no single address, and for a subject that would break out of its header."""
    if len(message.subject.splitlines()) > 1 or "\0" in message.subject:
        raise PermanentFailure("the subject holds a line break")
    return as_sent(message.to)


def as_sent(address: str) -> str:
    """The domain in IDNA; what stays beyond ASCII then needs SMTPUTF8. Raises PermanentFailure."""
    local, _, domain = address.rpartition("@")
    try:
        ascii_domain = domain.encode("idna").decode()
    except UnicodeError:
        ascii_domain = ""
    if not ascii_domain or not WORD.fullmatch(local) or not WORD.fullmatch(ascii_domain) or ENCODED in local:
        raise PermanentFailure("the e-mail address is not one")
    return f"{local}@{ascii_domain}"


def _header(name: str, address: str) -> Address:
    """Not by `addr_spec`, which takes ASCII only."""
    local, _, domain = as_sent(address).rpartition("@")
    return Address(name, local, domain)


def own_address(given: str) -> Address:
    """An address with or without a name ("Acme Legal <legal@example.com>"). Raises ValueError."""
    name, address = parseaddr(given)
    try:
        if not given.isprintable():
            raise PermanentFailure("a line break")
        return _header(name, address)
    except PermanentFailure:
        raise ValueError("an e-mail address expected") from None
