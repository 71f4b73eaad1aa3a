"""A stand-in for a mail server: a login is wanted, and a mail that lacks what RFC 5322 asks for is refused."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from local.emulation.google_emulators import free_port
from local.provider_stubs.common import ADDRESS, PASSWORD, USER, Account
from local.sandbox.outbox import Outbox
from shared.domain.model import ChannelName

ACCOUNTS = (Account(ChannelName.EMAIL, "SMTP_URL", f"smtp://{USER}:{PASSWORD}@{{host}}"),)
logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd warns of its own use of what it has deprecated
NEEDED = ("From", "To", "Date", "Message-ID")


@contextmanager
def serve(outbox: Outbox, clock: Callable[[], datetime]) -> Iterator[int]:
    """Yields its port."""
    port = free_port()
    handler = Mailbox(outbox, clock)
    controller = Controller(handler, "127.0.0.1", port, authenticator=authenticate, auth_require_tls=False)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=data == LoginPassword(USER.encode(), PASSWORD.encode()), handled=False)


class Mailbox:
    def __init__(self, outbox: Outbox, clock: Callable[[], datetime]) -> None:
        self._outbox, self._clock = outbox, clock

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if not session.authenticated:
            return refused("530 5.7.0 a login is wanted")
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if not ADDRESS.fullmatch(address):
            return refused("550 5.1.3 not an address")
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=default)
        assert isinstance(mail, EmailMessage)
        missing = [name for name in NEEDED if not mail[name]]
        text = body(mail, "plain")
        if missing or not text:
            return refused(f"554 5.6.0 {', '.join(missing) or 'the plain text'} is missing")
        to, notice = envelope.rcpt_tos[0], (mail["X-Clickwrap-Notice"] or "").strip()
        self._outbox.add("email", notice, to, text, mail["Subject"] or "", body(mail, "html"), at=self._clock())
        return "250 2.0.0 OK: queued"


def body(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    return str(part.get_content()).strip() if part else ""


def refused(reply: str) -> str:
    print(f"  refused by the stand-in for SMTP: {reply}", file=sys.stderr, flush=True)
    return reply
