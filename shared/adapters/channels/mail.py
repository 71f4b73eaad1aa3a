"""The e-mail itself: headers and both bodies."""

import re
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

from shared.domain.outcomes import GiveUp
from shared.ports import Outgoing

WORD = re.compile(r"[^\s@<>,;:\"\\()\[\]\x00-\x1f\x7f]+")  # nothing that ends an address, or begins another


class Letterhead:
    """Whom our e-mail comes from. Raises ValueError that names the variable when an address cannot be used."""

    def __init__(self, sender: str, reply_to: str) -> None:
        self._from = _own("EMAIL_FROM", sender)
        self._reply_to = _own("EMAIL_REPLY_TO", reply_to) if reply_to else None
        self.address = self._from.addr_spec
        self.domain = self._from.domain

    def compose(self, message: Outgoing, now: datetime) -> EmailMessage:
        """Raises GiveUp for an address or subject that would break out of its header."""
        recipient = _header("", message.to)
        beyond_ascii = not (self.address + recipient.addr_spec).isascii()
        mail = EmailMessage(SMTP.clone(cte_type="7bit", utf8=beyond_ascii))
        try:
            mail["Subject"] = message.subject
        except ValueError:
            raise GiveUp("the subject holds a line break") from None
        mail["To"] = recipient
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
    """The domain in IDNA; what stays beyond ASCII then needs SMTPUTF8. Raises GiveUp for what is no single address."""
    local, _, domain = address.rpartition("@")
    try:
        ascii_domain = domain.encode("idna").decode()
    except UnicodeError:
        ascii_domain = ""
    if not ascii_domain or not WORD.fullmatch(local) or not WORD.fullmatch(ascii_domain):
        raise GiveUp("the e-mail address is not one")
    return f"{local}@{ascii_domain}"


def _header(name: str, address: str) -> Address:
    """Not by `addr_spec`, which takes ASCII only."""
    local, _, domain = ascii_address(address).rpartition("@")
    return Address(name, local, domain)


def _own(variable: str, given: str) -> Address:
    name, address = parseaddr(given)
    try:
        if not given.isprintable():
            raise GiveUp("a line break")
        return _header(name, address)
    except GiveUp:
        raise ValueError(f"{variable}: an e-mail address expected") from None
