"""E-mail over SMTP (RFC 5321), one connection a message.

Until the last line of the message leaves, nothing has happened; after that only the server's answer can tell.

XOAUTH2 at Microsoft:
https://learn.microsoft.com/en-us/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth
XOAUTH2 at Google: https://developers.google.com/workspace/gmail/imap/xoauth2-protocol
"""

import re
import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cached_property
from urllib.parse import unquote, urlsplit

import msgspec

from shared.adapters.http.client import DEADLINE
from shared.adapters.http.deadline import Deadline
from shared.adapters.providers.common.mail import Letterhead, recipient_of
from shared.adapters.providers.common.oauth import LOGIN_URL, Grant, Tokens, client_credentials, service_account
from shared.adapters.providers.common.rules import ADDRESS, REFUSED, SETTINGS, Rule
from shared.adapters.providers.common.settings import EMAIL_FROM, EMAIL_REPLY_TO
from shared.domain.errors import Accepted, OutcomeUnknown, PermanentFailure, RetryLater
from shared.ports import Outgoing
from shared.setting_types import ProviderSpec, Setting, SettingError, Values, choice, text

PORTS = {"smtp": 25, "smtps": 465, "smtp+starttls": 587}
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
MICROSOFT_SCOPE, GOOGLE_SCOPE = "https://outlook.office365.com/.default", "https://mail.google.com/"
PASSWORD, MICROSOFT, GOOGLE = "password", "microsoft", "google"
CREDENTIALS = SETTINGS("it refuses the login; check the user and password in SMTP_URL")
TOKEN = SETTINGS("it refuses the application; check SMTP_AUTH, and whether it may send for the user in SMTP_URL")
# Microsoft's: https://techcommunity.microsoft.com/blog/exchange/exchange-online-to-retire-basic-auth-for-client-submission-smtp-auth/4114750
NO_PASSWORDS = {
    "5.7.30": SETTINGS("it takes no passwords any more; set SMTP_AUTH=microsoft, or EMAIL_PROVIDER=microsoft"),
    "5.7.139": SETTINGS(
        "logins by password, or all by SMTP, are switched off for this mailbox; ask its administrator, or set "
        "SMTP_AUTH=microsoft or EMAIL_PROVIDER=microsoft"
    ),
}
OF_MAILBOX = {450, 451, 452}  # RFC 5321 §4.2.2: the mailbox, not the server, is busy or full; greylisting too
LOGIN_WANTED = 530  # RFC 4954 §6
NO_TLS = SETTINGS("no trusted TLS with it; check SMTP_URL")
SENDER = SETTINGS("it refuses the sender; check EMAIL_FROM, or the login in SMTP_URL")
RELAYING = SETTINGS("it does not relay for us; check the login in SMTP_URL, or allow this host there")
RELAYING_WORDS = re.compile(r"relay", re.IGNORECASE)
# Enhanced codes (RFC 3463 §3.2, RFC 7505) of an address that does not exist; of servers without them, the words.
ENHANCED = re.compile(r"^[245]\.\d{1,3}\.\d{1,3}\b")
NO_SUCH_CODE = {"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"}
NO_SUCH_WORDS = re.compile(r"user unknown|unknown user|no such (user|recipient|mailbox)|does not exist", re.IGNORECASE)


class Server(msgspec.Struct, frozen=True):
    scheme: str
    host: str
    port: int
    user: str
    password: str


def parse_smtp_url(url: str) -> Server:
    """Raises ValueError that names SMTP_URL and keeps the password to itself."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("SMTP_URL: its host or port cannot be read") from None
    if parts.scheme not in PORTS or not parts.hostname:
        raise ValueError("SMTP_URL: smtp://, smtps:// or smtp+starttls://user:password@host:port expected")
    return _guarded(
        Server(
            parts.scheme,
            parts.hostname,
            port or PORTS[parts.scheme],
            unquote(parts.username or ""),
            unquote(parts.password or ""),
        )
    )


def _guarded(server: Server) -> Server:
    """Raises ValueError where its password could be read on the way, or cannot be sent."""
    if server.user and server.scheme == "smtp" and server.host not in LOOPBACK:
        raise ValueError("SMTP_URL: smtp:// sends a password in the clear; smtps:// or smtp+starttls:// expected")
    if not (server.user + server.password).isascii():
        raise ValueError("SMTP_URL: user and password in ASCII expected")  # smtplib can send no others
    return server


FORM = "smtps:// or smtp+starttls://user:password@host:port, or without a login smtp://host:port"
URL = Setting(name="SMTP_URL", meaning=FORM, parse=parse_smtp_url, wanted=FORM, default=None, secret=True)
AUTH = choice(
    "SMTP_AUTH",
    (PASSWORD, MICROSOFT, GOOGLE),
    PASSWORD,
    "what stands in the password's place in `SMTP_URL`. With the last two the login is XOAUTH2: `microsoft`, the value "
    "of a client secret of an application that may send for the user; `google`, the key file of a service account with "
    "domain-wide delegation, in base64 (`base64 -w0 key.json | tr +/ -_`)",
)
TENANT_ID = text("SMTP_TENANT_ID", "with `SMTP_AUTH=microsoft`: the directory (tenant) id")
CLIENT_ID = text("SMTP_CLIENT_ID", "with `SMTP_AUTH=microsoft`: the application (client) id")
SPEC = ProviderSpec(
    title="SMTP",
    documentation="https://www.rfc-editor.org/rfc/rfc5321",
    sending=(URL, AUTH, TENANT_ID, CLIENT_ID, LOGIN_URL, EMAIL_FROM, EMAIL_REPLY_TO),
    cannot_find="a mail server keeps no list of what it took",
)


class Sender:
    """deadline: seconds of wall clock."""

    name = "smtp"

    def __init__(self, values: Values, clock: Callable[[], datetime], deadline: float = DEADLINE) -> None:
        self._server, self._letterhead = values[URL], Letterhead(values)
        self._clock, self._deadline = clock, deadline
        grant = _grant(values)
        self._tokens = Tokens(grant, clock, deadline) if grant else None

    def send(self, message: Outgoing) -> Accepted:
        mail = self._letterhead.compose(message, self._clock())
        with self._session() as (smtp, deadline):
            self._envelope(smtp, message)
            deadline.check()
            _content(smtp, mail.as_bytes())
        return Accepted(str(mail["Message-ID"]))

    def check(self) -> None:
        """Logs in and sends nothing. Raises RetryLater."""
        with self._session():
            pass

    @contextmanager
    def _session(self) -> Iterator[tuple[smtplib.SMTP, Deadline]]:
        """A connection that is logged in."""
        token = self._tokens.current() if self._tokens else ""
        try:
            with self._connection() as (smtp, deadline):
                self._open(smtp, token)
                yield smtp, deadline
        except ssl.SSLError as fault:
            raise NO_TLS.error("SMTP", fault.reason) from None
        except OSError as fault:  # smtplib's own are such, too
            raise RetryLater(f"SMTP: the connection failed ({type(fault).__name__})") from None

    @contextmanager
    def _connection(self) -> Iterator[tuple[smtplib.SMTP, Deadline]]:
        # A name of our own for EHLO: smtplib would ask the resolver for one, which may take its time.
        smtp = smtplib.SMTP(local_hostname=self._letterhead.sender.domain, timeout=self._deadline)
        with Deadline(self._deadline, lambda: smtp.sock) as deadline:
            try:
                yield smtp, deadline
            finally:
                with suppress(OSError):
                    smtp.putcmd("QUIT")  # its answer would tell nothing
                smtp.close()

    def _open(self, smtp: smtplib.SMTP, token: str) -> None:
        smtp.sock = socket.create_connection((self._server.host, self._server.port), self._deadline)
        if self._server.scheme == "smtps":
            self._secure(smtp)
        _check(smtp.getreply(), Rule("it takes no connections", retry=True))
        smtp.ehlo_or_helo_if_needed()
        if self._server.scheme == "smtp+starttls":
            self._starttls(smtp)
        if self._server.user:
            self._login(smtp, token)

    def _starttls(self, smtp: smtplib.SMTP) -> None:
        if not smtp.has_extn("starttls"):  # some then answer "not now", and the password must not follow in the clear
            raise NO_TLS.error("SMTP", "STARTTLS not offered")
        _check(smtp.docmd("STARTTLS"), NO_TLS)
        self._secure(smtp)
        smtp.ehlo()  # what was said in the clear counts no longer (RFC 3207 §4.2)

    def _secure(self, smtp: smtplib.SMTP) -> None:
        assert smtp.sock is not None
        smtp.sock = self._tls.wrap_socket(smtp.sock, server_hostname=self._server.host)
        smtp.file = None

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    def _login(self, smtp: smtplib.SMTP, token: str) -> None:
        try:
            self._authenticate(smtp, token)
        except smtplib.SMTPAuthenticationError as refused:
            if self._tokens:
                self._tokens.forget(token)
            reply = refused.smtp_code, _octets(refused.smtp_error)
            _check(reply, TOKEN if token else CREDENTIALS)
        except smtplib.SMTPServerDisconnected:
            raise
        except smtplib.SMTPException:
            raise SETTINGS("it offers no login we know; check SMTP_URL, SMTP_AUTH").error("SMTP", "AUTH") from None

    def _authenticate(self, smtp: smtplib.SMTP, token: str) -> None:
        if not token:
            smtp.login(self._server.user, self._server.password)
        elif "XOAUTH2" in smtp.esmtp_features.get("auth", "").split():
            # A challenge is the server's word for why it refuses, and wants an empty line.
            login = f"user={self._server.user}\1auth=Bearer {token}\1\1"
            smtp.auth("XOAUTH2", lambda challenge=None: login if challenge is None else "")
        else:
            raise smtplib.SMTPNotSupportedError

    def _envelope(self, smtp: smtplib.SMTP, message: Outgoing) -> None:
        sender, recipient = self._letterhead.of(message)[0].addr_spec, recipient_of(message)
        options = () if (sender + recipient).isascii() else ("SMTPUTF8",)
        if options and not smtp.has_extn("smtputf8"):
            raise PermanentFailure("SMTP: the server takes no addresses beyond ASCII (SMTPUTF8)")
        _check(smtp.mail(sender, options), SENDER)
        reply = smtp.rcpt(recipient)
        _check(reply, _of_recipient(reply[1]))


def _grant(values: Values) -> Grant | None:
    """None for a login by password."""
    server, tenant, client, place = values[URL], values[TENANT_ID], values[CLIENT_ID], values[LOGIN_URL]
    kind = values[AUTH]
    if kind != PASSWORD and not (server.user and server.password):
        raise SettingError(f"SMTP_URL must have a user and a password, see SMTP_AUTH={kind}")
    if kind == MICROSOFT:
        tenant, client = values.required(TENANT_ID), values.required(CLIENT_ID)
        names = "SMTP_TENANT_ID, SMTP_CLIENT_ID, and the secret in SMTP_URL"
        return client_credentials(place, tenant, client, server.password, scope=MICROSOFT_SCOPE, settings=names)
    if kind == GOOGLE:
        return _of_service_account(server)
    return None


def _of_service_account(server: Server) -> Grant:
    names = "the user and the key in SMTP_URL"
    try:
        return service_account(server.password, server.user, scope=GOOGLE_SCOPE, settings=names)
    except ValueError:
        raise SettingError("SMTP_URL must have a service account's key file in base64 as its password") from None


def _of_recipient(words: bytes) -> Rule:
    said, enhanced = words.decode("ascii", "replace"), _enhanced(words)
    if enhanced in NO_SUCH_CODE or (not enhanced and NO_SUCH_WORDS.search(said)):
        return ADDRESS("no such recipient")
    return RELAYING if RELAYING_WORDS.search(said) else REFUSED("it refuses the recipient")


def _enhanced(words: bytes) -> str:
    """The enhanced status code that a reply begins with; "" where it has none."""
    found = ENHANCED.match(words.decode("ascii", "replace"))
    return found[0] if found else ""


def _octets(words: bytes | str) -> bytes:
    return words if isinstance(words, bytes) else words.encode(errors="replace")


def _content(smtp: smtplib.SMTP, mail: bytes) -> None:
    _check(smtp.docmd("DATA"), REFUSED("it refuses the message"), fine=3)
    dotted = re.sub(rb"(?m)^\.", b"..", mail)
    try:
        smtp.send(dotted + b".\r\n")
        reply = smtp.getreply()
    except OSError as fault:
        raise OutcomeUnknown(f"SMTP: the message left, its answer was lost ({type(fault).__name__})") from None
    if reply[0] // 100 not in (2, 4, 5):
        raise OutcomeUnknown("SMTP: the message left, its answer makes no sense")
    _check(reply, REFUSED("it refuses the message"))


def _check(reply: tuple[int, bytes], refusal: Rule, fine: int = 2) -> None:
    """The server's words stay out of the errors, as they may hold the address. fine: first digit of the code wanted."""
    code, words = reply
    if code // 100 == fine:
        return
    said = f"{code} {_enhanced(words)}".rstrip()
    if not 500 <= code < 600:
        raise RetryLater(f"SMTP: not now ({said})", of_message=code in OF_MAILBOX)
    rule = NO_PASSWORDS.get(_enhanced(words)) or (CREDENTIALS if code == LOGIN_WANTED else refusal)
    raise rule.error("SMTP", said)
