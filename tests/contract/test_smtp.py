"""The SMTP channel against a real SMTP server: the kit, then what only SMTP has."""

import re
import smtplib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from msgspec.structs import replace

from shared.adapters.providers.email.smtp import Sender, parse_smtp_url
from shared.domain.errors import Accepted, OutcomeUnknown, PermanentFailure, RetryLater
from shared.ports import Channel, Outgoing
from shared.setting_types import SettingError, Values
from tests.contract.channel_kit import DEADLINE, EMAIL, GOLDEN, NOTICE, NOW, ChannelKit
from tests.smtp_stand_in import LOGIN, SmtpStandIn, certificate
from tests.stand_in import closed_port

FROM = "Acme Legal <legal@example.com>"
USER, PASSWORD = LOGIN.login.decode(), LOGIN.password.decode()
PARTS: dict[str, dict[str, str]] = {
    "accept": {},
    "bad recipient": {"RCPT": "550 5.1.1 <ann@example.com>: user unknown"},
    "bad message": {"DATA": "554 5.6.0 ann@example.com will not have this"},
    "busy": {"RCPT": "451 4.7.1 ann@example.com: greylisted, try again"},
    "broken": {"MAIL": "421 4.3.2 shutting down"},
    "hang": {"DATA": "hang"},
    "reset": {"DATA": "reset"},
    "garbage": {"DATA": "It works!"},
}


def address(server: SmtpStandIn, scheme: str = "smtp", password: str = PASSWORD) -> str:
    login = f"{quote(USER, safe='')}:{quote(password, safe='')}@" if server.login else ""
    return f"{scheme}://{login}127.0.0.1:{server.port}"


def smtp(url: str, sender: str = FROM, reply_to: str = "") -> Sender:
    values = Values({"SMTP_URL": url, "EMAIL_FROM": sender, "EMAIL_REPLY_TO": reply_to})
    return Sender(values, lambda: NOW, DEADLINE)


@dataclass
class SmtpStage:
    server: SmtpStandIn
    password: str = PASSWORD

    def play(self, part: str) -> None:
        if part == "bad credentials":
            self.password = "wr0ng"
        elif part not in PARTS:
            pytest.skip(f"SMTP has no '{part}'")
        else:
            self.server.replies = PARTS[part]

    def channel(self) -> Channel:
        return smtp(address(self.server, password=self.password))

    def unreachable(self) -> Channel:
        return smtp(f"smtp://127.0.0.1:{closed_port()}")

    def calls(self) -> int:
        return len(self.server.envelopes)


class TestSmtp(ChannelKit):
    message = EMAIL
    provider_id = f"<{NOTICE}@example.com>"
    credentials = "SMTP_URL"
    secrets = (PASSWORD, "wr0ng")

    @pytest.fixture
    def stage(self) -> Iterator[SmtpStage]:
        with SmtpStandIn(login=True) as server:
            yield SmtpStage(server)


Outcome = type[RetryLater] | type[PermanentFailure]
Serve = Callable[..., AbstractContextManager[SmtpStandIn]]


@pytest.fixture
def secured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serve:
    chain, trusted = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    return lambda tls, **more: SmtpStandIn(tls=tls, certificate=chain, **more)


def received(server: SmtpStandIn) -> bytes:
    content = server.envelopes[-1].content
    assert isinstance(content, bytes)
    assert b"\r\n" in content
    return content.replace(b"\r\n", b"\n")


def test_the_message_is_exactly_the_golden_one() -> None:
    with SmtpStandIn() as server:
        smtp(address(server), reply_to="Acme <reply@example.com>").send(EMAIL)
        push_envelope = server.envelopes[0]
        assert (push_envelope.mail_from, push_envelope.rcpt_tos) == ("legal@example.com", ["ann@example.com"])
        assert push_envelope.mail_options == []
        assert server.greetings == ["example.com"]
        shown = re.sub(rb"={15}\d+==", b"BOUNDARY", received(server))
    assert shown == (GOLDEN / "smtp.eml").read_bytes()


def test_a_message_of_a_brand_goes_out_under_its_own_sender() -> None:
    message = replace(EMAIL, sender="Other <hi@other.example>", reply_to="re@other.example")
    with SmtpStandIn() as server:
        smtp(address(server), reply_to="Acme <reply@example.com>").send(message)
        smtp(address(server), reply_to="Acme <reply@example.com>").send(replace(message, reply_to=""))
        assert [e.mail_from for e in server.envelopes] == ["hi@other.example"] * 2
        first, second = (message_from_bytes(e.content, policy=default) for e in server.envelopes)
    assert (first["From"], first["Reply-To"]) == ("Other <hi@other.example>", "re@other.example")
    assert first["Message-ID"].endswith("@other.example>")
    assert second["Reply-To"] is None, "replies do not go to another brand"


def test_the_message_reads_as_it_was_written() -> None:
    with SmtpStandIn() as server:
        smtp(address(server)).send(EMAIL)
        mail = message_from_bytes(received(server), policy=default)
    assert mail["Subject"] == EMAIL.subject
    body, page = mail.get_body(("plain",)), mail.get_body(("html",))
    assert body
    assert page
    assert body.get_content().strip() == EMAIL.text.strip()
    assert page.get_content().strip() == EMAIL.html
    assert received(server).isascii(), "nothing here asks for 8BITMIME"


def test_a_line_that_begins_with_a_dot_arrives_whole() -> None:
    with SmtpStandIn() as server:
        smtp(address(server)).send(Outgoing(notice=NOTICE, to="ann@example.com", text="a\n.\n..b\n.c", subject="S"))
        mail = message_from_bytes(received(server), policy=default)
    assert mail.get_content() == "a\n.\n..b\n.c\n"


@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
def test_tls_and_a_login_with_reserved_characters_work(secured: Serve, scheme: str) -> None:
    with secured(scheme.removeprefix("smtp+"), login=scheme != "smtps") as server:
        assert smtp(address(server, scheme)).send(EMAIL) == Accepted(f"<{NOTICE}@example.com>")
        assert server.logins == ([LOGIN] if server.login else [])


@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
def test_a_certificate_nobody_vouches_for_gets_neither_password_nor_message(
    secured: Serve, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with secured(scheme.removeprefix("smtp+"), login=scheme != "smtps") as server:
        with pytest.raises(RetryLater, match="SMTP_URL") as raised:
            smtp(address(server, scheme)).send(EMAIL)
        assert raised.value.after == 900
        assert (server.logins, server.envelopes) == ([], [])


def test_a_server_without_starttls_gets_neither_password_nor_message() -> None:
    with SmtpStandIn(login=True) as server:
        with pytest.raises(RetryLater, match="SMTP_URL") as raised:
            smtp(address(server, "smtp+starttls")).send(EMAIL)
        assert raised.value.after == 900
        assert (server.logins, server.envelopes) == ([], [])


def test_a_server_that_speaks_no_login_keeps_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing_fits(*args: object) -> None:
        raise smtplib.SMTPNotSupportedError("AUTH")

    monkeypatch.setattr(smtplib.SMTP, "login", nothing_fits)
    with SmtpStandIn(login=True) as server, pytest.raises(RetryLater, match=r"offers no login.*SMTP_URL"):
        smtp(address(server)).send(EMAIL)


def test_a_connection_lost_at_the_login_costs_a_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*args: object) -> None:
        raise smtplib.SMTPServerDisconnected("gone")

    monkeypatch.setattr(smtplib.SMTP, "login", gone)
    with SmtpStandIn(login=True) as server, pytest.raises(RetryLater, match="connection failed"):
        smtp(address(server)).send(EMAIL)


REPLIES: list[tuple[str, str, Outcome, object]] = [
    ("RCPT", "550 5.1.1 no mailbox", PermanentFailure, True),
    ("RCPT", "550 5.1.10 null MX", PermanentFailure, True),
    ("RCPT", "550 No such user here", PermanentFailure, True),
    ("RCPT", "550 5.7.1 relaying denied, user unknown to us", RetryLater, 900),
    ("RCPT", "554 5.7.1 <ann@example.com>: Relay access denied", RetryLater, 900),
    ("RCPT", "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", RetryLater, 900),
    ("RCPT", "550 not permitted to relay through this server without authentication", RetryLater, 900),
    ("RCPT", "550 5.7.1 rejected by policy", PermanentFailure, False),
    ("RCPT", "354 go on", RetryLater, None),
    ("MAIL", "354 go on", RetryLater, None),
    ("RCPT", "552 5.2.2 mailbox full", PermanentFailure, False),
    ("RCPT", "450 4.2.0 greylisted", RetryLater, None),
    ("RCPT", "530 5.7.0 authenticate first", RetryLater, 900),
    ("MAIL", "530 5.7.0 authenticate first", RetryLater, 900),
    ("MAIL", "550 5.7.1 not your domain", RetryLater, 900),
    ("MAIL", "451 4.3.0 later", RetryLater, None),
    ("DATA", "452 4.3.1 disk full", RetryLater, None),
    ("DATA", "554 5.7.1 spam", PermanentFailure, False),
]


@pytest.mark.parametrize(("stage", "reply", "outcome", "detail"), REPLIES)
def test_the_servers_refusals_are_told_apart(stage: str, reply: str, outcome: Outcome, detail: object) -> None:
    with SmtpStandIn(replies={stage: reply}) as server, pytest.raises(outcome) as raised:
        smtp(address(server)).send(EMAIL)
    error: Any = raised.value
    assert (error.after if isinstance(error, RetryLater) else error.suppress) == detail
    assert reply.split()[0] in error.reason


@pytest.mark.parametrize("reply", ["354 go on", "299", "600 what"])
def test_only_a_documented_yes_after_the_message_is_one(reply: str) -> None:
    with SmtpStandIn(replies={"DATA": reply}) as server:
        if reply == "299":
            assert smtp(address(server)).send(EMAIL)
        else:
            with pytest.raises(OutcomeUnknown):
                smtp(address(server)).send(EMAIL)


@pytest.mark.parametrize(
    ("reply", "advice"),
    [
        ((535, b"5.7.8 bad credentials"), "check the user and password"),
        (
            (550, b"5.7.30 Basic authentication is not supported for Client Submission."),
            r"takes no passwords any more; set SMTP_AUTH=microsoft, or EMAIL_PROVIDER=microsoft",
        ),
        (
            (535, b"5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant."),
            r"switched off for this mailbox.*EMAIL_PROVIDER=microsoft",
        ),
    ],
)
def test_a_refused_login_says_what_to_do(
    reply: tuple[int, bytes], advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise smtplib.SMTPAuthenticationError(*reply)

    monkeypatch.setattr(smtplib.SMTP, "login", refuse)
    with SmtpStandIn(login=True) as server, pytest.raises(RetryLater, match=advice) as raised:
        smtp(address(server)).send(EMAIL)
    assert raised.value.after == 900


@pytest.mark.parametrize(
    "broken",
    [
        {"to": "ann@example.com\r\nRCPT TO:<bob@example.com>"},
        {"to": "ann@example.com\nBcc: bob@example.com"},
        {"to": "ann@example.com, bob@example.com"},
        {"to": "ann@exa mple.com"},
        {"to": f"ann@{'x' * 80}.com"},
        {"to": "ann"},
        {"to": ""},
        {"subject": "Hi\r\nBcc: bob@example.com"},
        {"subject": "Hi\nthere"},
    ],
)
def test_an_address_or_subject_that_breaks_out_of_its_header_is_refused(broken: dict[str, str]) -> None:
    message = Outgoing(**{"notice": NOTICE, "to": "ann@example.com", "text": "x", "subject": "s", **broken})
    with SmtpStandIn() as server:
        with pytest.raises(PermanentFailure):
            smtp(address(server)).send(message)
        assert server.envelopes == []


def test_an_international_domain_needs_no_smtputf8() -> None:
    with SmtpStandIn(smtputf8=False) as server:
        smtp(address(server)).send(Outgoing(notice=NOTICE, to="ann@bücher.example", text="x", subject="s"))
        assert server.envelopes[0].rcpt_tos == ["ann@xn--bcher-kva.example"]


def test_an_international_mailbox_is_sent_with_smtputf8_or_given_up() -> None:
    message = Outgoing(notice=NOTICE, to="jürgen@example.com", text="x", subject="für")
    with SmtpStandIn() as server:
        smtp(address(server)).send(message)
        assert server.envelopes[0].rcpt_tos == ["jürgen@example.com"]
        assert "SMTPUTF8" in server.envelopes[0].mail_options
        assert "To: jürgen@example.com".encode() in received(server)
    with SmtpStandIn(smtputf8=False) as server, pytest.raises(PermanentFailure, match="SMTPUTF8"):
        smtp(address(server)).send(message)


def test_a_server_that_hangs_before_the_message_leaves_costs_a_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    with SmtpStandIn() as server:
        monkeypatch.setattr(smtplib.SMTP, "rcpt", lambda smtp, address: smtp.getreply())
        with pytest.raises(RetryLater, match="connection failed"):
            smtp(address(server)).send(EMAIL)
        assert server.envelopes == []


def test_a_connection_lost_within_the_message_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = smtplib.SMTP.send

    def cut(client: smtplib.SMTP, octets: bytes | str) -> None:
        if isinstance(octets, str):
            return genuine(client, octets)
        genuine(client, octets[:50])
        client.close()
        raise smtplib.SMTPServerDisconnected("gone")

    with SmtpStandIn() as server:
        monkeypatch.setattr(smtplib.SMTP, "send", cut)
        with pytest.raises(OutcomeUnknown):
            smtp(address(server)).send(EMAIL)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example", ("smtp", "mail.example", 25, "", "")),
        ("smtps://mail.example", ("smtps", "mail.example", 465, "", "")),
        ("smtp+starttls://mail.example", ("smtp+starttls", "mail.example", 587, "", "")),
        ("smtp://u%40x:p%3A%2F%40@[::1]:2525", ("smtp", "::1", 2525, "u@x", "p:/@")),
        ("smtp://u:p@localhost", ("smtp", "localhost", 25, "u", "p")),
        ("smtps://u:p@mail.example", ("smtps", "mail.example", 465, "u", "p")),
    ],
)
def test_an_smtp_url_is_read(url: str, expected: tuple[object, ...]) -> None:
    server = parse_smtp_url(url)
    assert (server.scheme, server.host, server.port, server.user, server.password) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mail.example",
        "http://u:hush@h",
        "smtps://u:hush@",
        "smtps://u:hush@h:x",
        "smtps://u:hushé@h",
        "smtp://u:hush@mail.example",
        "smtp://u:hush@127.0.0.1.example",
        "smtp://u:hush@10.0.0.1",
    ],
)
def test_an_smtp_url_that_cannot_be_used_is_named_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="SMTP_URL") as raised:
        parse_smtp_url(url)
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize("sender", ["", "Acme", "Acme, Inc. <a@b.example>", "a@b\nBcc: c@d.example"])
def test_a_sender_that_cannot_be_used_is_named(sender: str) -> None:
    with pytest.raises(SettingError, match="EMAIL_FROM"):
        smtp("smtp://mail.example", sender)
    with pytest.raises(SettingError, match="EMAIL_REPLY_TO"):
        smtp("smtp://mail.example", reply_to=sender or "nobody")
