"""An SMTP server on loopback in the place of a mail provider, and a certificate authority for it."""

import asyncio
import base64
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.stand_in import closed_port

LOGIN = LoginPassword(b"us@example.com", b"p:w/d@")


@dataclass
class SmtpStandIn:
    """replies: what to answer to MAIL, RCPT or DATA in place of consent; "hang", "reset": faults at DATA's end.

    token: what XOAUTH2 wants; a wrong one is refused as Google does it, after a challenge.
    """

    tls: str = ""  # "", "starttls", "smtps"
    certificate: Path | None = None
    login: bool = False
    token: str = ""
    smtputf8: bool = True
    replies: dict[str, str] = field(default_factory=dict)
    envelopes: list[Envelope] = field(default_factory=list)
    logins: list[object] = field(default_factory=list)
    greetings: list[str] = field(default_factory=list)
    port: int = 0

    def __enter__(self) -> Self:
        self.port = closed_port()
        self._stopping = asyncio.Event()
        context = None
        if self.certificate:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(self.certificate)
        self._controller = Controller(
            self,
            "127.0.0.1",
            self.port,
            ssl_context=context if self.tls == "smtps" else None,
            tls_context=context if self.tls == "starttls" else None,
            authenticator=self._authenticate,
            auth_required=self.login and bool(self.tls),
            auth_require_tls=self.tls == "starttls",
            enable_SMTPUTF8=self.smtputf8,
            decode_data=False,
        )
        self._controller.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._controller.loop.call_soon_threadsafe(self._stopping.set)
        self._controller.stop()

    def _authenticate(
        self, server: SMTP, session: Session, push_envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        self.logins.append(data)
        return AuthResult(success=data == LOGIN, handled=False)

    async def auth_XOAUTH2(self, server: SMTP, args: list[str]) -> AuthResult:
        given = base64.b64decode(args[1]).decode()
        self.logins.append(given)
        success = given == f"user={LOGIN.login.decode()}\1auth=Bearer {self.token}\1\1"
        if not success:
            await server.challenge_auth(b'{"status":"400","schemes":"Bearer"}')
        return AuthResult(success=success, handled=False, message=None if success else "535 5.7.8 not accepted")

    async def handle_EHLO(self, server: SMTP, session: Session, push_envelope: Envelope, hostname: str) -> str:
        self.greetings.append(hostname)
        session.host_name = hostname
        return "250 HELP"

    async def handle_MAIL(
        self, server: SMTP, session: Session, push_envelope: Envelope, address: str, options: list[str]
    ) -> str:
        push_envelope.mail_from = address
        push_envelope.mail_options.extend(options)
        return self.replies.get("MAIL", "250 OK")

    async def handle_RCPT(
        self, server: SMTP, session: Session, push_envelope: Envelope, address: str, options: list[str]
    ) -> str:
        push_envelope.rcpt_tos.append(address)
        return self.replies.get("RCPT", "250 OK")

    async def handle_DATA(self, server: SMTP, session: Session, push_envelope: Envelope) -> str:
        self.envelopes.append(push_envelope)
        reply = self.replies.get("DATA", "250 2.0.0 OK: queued as 4F2")
        if reply == "hang":
            await self._stopping.wait()
        if reply == "reset":
            assert server.transport
            server.transport.abort()  # type: ignore[attr-defined]
        return reply


# From Python 3.13 on, an authority must say that it signs, and both certificates must name its key.
USES = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
USES += ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
SIGNS = x509.KeyUsage(**{use: use == "key_cert_sign" for use in USES})


def certificate(directory: Path) -> tuple[Path, Path]:
    """Key and certificate for 127.0.0.1 in one file, and the authority that vouches for it in another."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority of this test")])
    authority = _builder(issuer, issuer, authority_key)
    authority = authority.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    identifier = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    authority = authority.add_extension(identifier, critical=False).add_extension(SIGNS, critical=True)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.test")])
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    leaf = _builder(issuer, subject, key).add_extension(alternative, critical=False)
    named = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    leaf = leaf.add_extension(named, critical=False)
    trusted, chain = directory / "authority.pem", directory / "server.pem"
    pem = serialization.Encoding.PEM
    trusted.write_bytes(authority.sign(authority_key, hashes.SHA256()).public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    chain.write_bytes(private + leaf.sign(authority_key, hashes.SHA256()).public_bytes(pem))
    return chain, trusted


def _builder(issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
