"""The e-mail itself: headers and both bodies."""

from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

from shared.domain.outcomes import GiveUp
from shared.ports import Outgoing


class Letterhead:
    """Whom our e-mail comes from. Raises ValueError that names the variable when an address cannot be used."""

    def __init__(self, sender: str, reply_to: str) -> None:
        self._from = _address("EMAIL_FROM", sender)
        self._reply_to = _address("EMAIL_REPLY_TO", reply_to) if reply_to else None
        self.address = self._from.addr_spec
        self.domain = self._from.domain

    def compose(self, message: Outgoing, now: datetime) -> EmailMessage:
        """Raises GiveUp for an address or subject that would break out of its header."""
        recipient = ascii_address(message.to)
        mail = EmailMessage(SMTP.clone(cte_type="7bit", utf8=not (self.address + recipient).isascii()))
        try:
            mail["To"] = Address(addr_spec=recipient)
            mail["Subject"] = message.subject
        except (ValueError, IndexError, MessageError):
            raise GiveUp("SMTP: the address or subject cannot stand in a header") from None
        mail["From"] = self._from
        if self._reply_to:
            mail["Reply-To"] = self._reply_to
        mail["Date"] = format_datetime(now)
        mail["Message-ID"] = f"<{message.notice}@{self.domain}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: keeps out-of-office answers away
        mail["X-Clickwrap-Notice"] = message.notice
        mail.set_content(message.text)
        if message.html:
            mail.add_alternative(message.html, subtype="html")
        return mail


def ascii_address(address: str) -> str:
    """The domain in IDNA; what stays beyond ASCII then needs SMTPUTF8. Raises GiveUp for no address."""
    local, _, domain = address.rpartition("@")
    try:
        return f"{local}@{domain.encode('idna').decode()}"
    except UnicodeError:
        raise GiveUp("SMTP: the address's domain cannot be one") from None


def _address(variable: str, given: str) -> Address:
    name, address = parseaddr(given)
    try:
        return Address(name, addr_spec=ascii_address(address))
    except (ValueError, IndexError, MessageError, GiveUp):
        raise ValueError(f"{variable}: an e-mail address expected") from None
