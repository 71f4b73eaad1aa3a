"""The outbox: what the signers would have received."""

import html
import re
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from local.sandbox import spam
from local.sandbox.outbox import Outbox, OutboxChannel, create_outbox_app
from shared.adapters.providers.common.mail import Letterhead
from shared.domain.errors import Accepted, RetryLater
from shared.domain.model import ChannelName
from shared.ports import Channel, Outgoing
from shared.setting_types import Values

NOW = datetime(2026, 3, 2, 12, 0, 0, 578_000, tzinfo=UTC)
SMS = Outgoing(notice="n1", to="+13175550142", text="Please review & sign: https://relay.test/l/abc")
MAIL = Outgoing(
    notice="n2",
    to="jane@example.com",
    subject='Sign "X" <now>',
    text="Sign at https://relay.test/l/def",
    html='<p style="color:red">Sign "X"</p><script>alert(1)</script>',
)


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox.db")


@pytest.fixture
def client(outbox: Outbox) -> FlaskClient:
    return create_outbox_app(outbox).test_client()


def channel(outbox: Outbox, name: ChannelName = ChannelName.SMS) -> Channel:
    return OutboxChannel(name, outbox, lambda: NOW)


def test_a_sent_message_is_accepted_and_kept_whole(outbox: Outbox, client: FlaskClient) -> None:
    assert channel(outbox, ChannelName.EMAIL).send(MAIL) == Accepted("outbox-1")
    assert client.get("/messages").get_json() == [
        {
            "id": 1,
            "channel": "email",
            "notice": "n2",
            "to": "jane@example.com",
            "subject": MAIL.subject,
            "text": MAIL.text,
            "html": MAIL.html,
            "at": "2026-03-02T12:00:00.578Z",
        }
    ]


def test_messages_are_told_and_shown_on_the_phone_newest_last(outbox: Outbox, client: FlaskClient) -> None:
    for n in range(3):
        outbox.add("sms", f"n{n}", "+13175550142", f"text {n}", at=NOW + timedelta(seconds=n))
    assert [m.text for m in outbox.messages()] == ["text 0", "text 1", "text 2"]
    assert re.findall(r"text \d", client.get("/").text) == ["text 0", "text 1", "text 2"]


def test_the_phone_shows_one_number_at_a_time_the_last_to_get_a_text_first(outbox: Outbox, client: FlaskClient) -> None:
    for n, number in enumerate(("+13175550142", "+13175550143", "+13175550142")):
        outbox.add("sms", f"n{n}", number, f"text {n}", at=NOW)
    assert re.findall(r"text \d", client.get("/").text) == ["text 0", "text 2"]
    assert re.findall(r'id="to-([^"]+)"', client.get("/").text) == ["+13175550142", "+13175550143"]
    assert re.findall(r"text \d", client.get("/?sms=%2B13175550143").text) == ["text 1"]


def test_every_mail_is_listed_under_its_address_and_one_is_read(outbox: Outbox, client: FlaskClient) -> None:
    for n, to in enumerate(("jane@example.com", "joe@example.com", "jane@example.com")):
        outbox.add("email", f"n{n}", to, f"body {n}", f"subject {n}", at=NOW)
    page = client.get("/").text
    assert re.findall(r"<h2>(\S+@\S+)", page) == ["jane@example.com", "joe@example.com"]
    assert re.findall(r'id="mail-(\d)"', page) == ["3", "1", "2"]
    assert re.findall(r"body \d", page) == ["body 2"]
    assert re.findall(r"body \d", client.get("/?mail=2").text) == ["body 1"]


def test_choosing_a_mail_keeps_the_chosen_number(outbox: Outbox, client: FlaskClient) -> None:
    channel(outbox).send(SMS)
    channel(outbox, ChannelName.EMAIL).send(MAIL)
    assert 'href="/?sms=%2B13175550142&amp;mail=2"' in client.get("/?sms=%2B13175550142").text


def test_the_same_notice_sent_twice_is_there_twice_and_marked(outbox: Outbox, client: FlaskClient) -> None:
    provider_ids = {channel(outbox).send(SMS).provider_id for _ in range(2)}
    assert len(provider_ids) == len(outbox.messages()) == 2
    assert client.get("/").text.count("sent 2 times</span>") == 2


def test_one_notice_on_its_own_is_not_marked(outbox: Outbox, client: FlaskClient) -> None:
    channel(outbox).send(SMS)
    channel(outbox, ChannelName.EMAIL).send(MAIL)
    assert "times</span>" not in client.get("/").text


def test_links_in_texts_can_be_followed(outbox: Outbox, client: FlaskClient) -> None:
    channel(outbox).send(SMS)
    page = client.get("/").text
    assert '<a href="https://relay.test/l/abc"' in page
    assert "review &amp; sign" in page


def test_an_html_mail_is_shown_in_a_frame_that_runs_no_script(outbox: Outbox, client: FlaskClient) -> None:
    channel(outbox, ChannelName.EMAIL).send(MAIL)
    answer = client.get("/")
    frame = re.search(r"<iframe[^>]+>", answer.text, re.DOTALL)
    assert frame
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in frame[0]
    assert "alert" not in answer.text
    assert "<now>" not in answer.text
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert 'src="/mails/1"' in frame[0]
    mail = client.get("/mails/1")
    assert MAIL.html in mail.text
    assert "default-src 'none'" in mail.headers["Content-Security-Policy"]
    assert "; sandbox allow-popups" in mail.headers["Content-Security-Policy"]
    assert client.get("/mails/2").status_code == 404


@pytest.fixture
def mailed(outbox: Outbox, client: FlaskClient) -> FlaskClient:
    letterhead = Letterhead(Values({"EMAIL_FROM": "Acme <legal@acme.example>"}))
    OutboxChannel(ChannelName.EMAIL, outbox, lambda: NOW, letterhead=letterhead).send(MAIL)
    return client


def test_a_mails_headers_are_those_it_is_sent_with(mailed: FlaskClient) -> None:
    page = html.unescape(mailed.get("/").text)
    for header in ("From: Acme <legal@acme.example>", "Message-ID: <n2@acme.example>", "X-Clickwrap-Notice: n2"):
        assert header in page


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("", "SpamAssassin is not installed."),
        (
            "printf 'X-Spam-Status: No, score=1.3 required=5.0 tests=A,\\n\\tB autolearn=no\\n'; cat",
            "1.3 points; from 5",
        ),
        ("exit 3", "SpamAssassin gave none (CalledProcessError)."),
        ("cat", "SpamAssassin gave none (ValueError)."),
    ],
)
def test_spamassassin_is_asked_where_it_is_installed(
    mailed: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    spam.score.cache_clear()
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/bin" if script else str(tmp_path))
    (tmp_path / "bin").mkdir()
    if script:
        (tmp_path / "bin" / "spamassassin").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin" / "spamassassin").chmod(0o755)
        page = mailed.get("/").text
        assert 'href="/?mail=1&amp;spam=1"' in page
        assert said not in page
    assert said in mailed.get("/?mail=1&spam=1" if script else "/").text


def test_the_page_refreshes_itself_only_when_asked(client: FlaskClient) -> None:
    assert "http-equiv" not in client.get("/").text
    assert 'http-equiv="refresh"' in client.get("/?live=1").text


def test_clearing_empties_it_and_numbers_go_on(outbox: Outbox, client: FlaskClient) -> None:
    channel(outbox).send(SMS)
    assert client.post("/clear").status_code == 303
    assert client.get("/messages").get_json() == []
    assert channel(outbox).send(SMS) == Accepted("outbox-2")
    assert client.post("/clear", headers={"Accept": "application/json"}).status_code == 204


def test_another_sites_page_cannot_clear_it(outbox: Outbox, client: FlaskClient) -> None:
    channel(outbox).send(SMS)
    assert client.post("/clear", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert len(outbox.messages()) == 1


def test_a_signer_texts_back_from_their_phone(outbox: Outbox) -> None:
    channel(outbox).send(SMS)
    told: list[tuple[str, str]] = []
    client = create_outbox_app(outbox, reply=lambda number, text: told.append((number, text))).test_client()
    assert f'name="number" value="{SMS.to}"' in client.get("/").text
    answer = client.post("/texts", data={"number": SMS.to, "text": " STOP "})
    assert (answer.status_code, told) == (303, [(SMS.to, "STOP")])
    assert client.post("/texts", data={"number": SMS.to, "text": " "}).status_code == 400
    assert client.post("/texts", data={"number": SMS.to}, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert len(told) == 1


def test_messages_survive_a_restart(tmp_path: Path) -> None:
    channel(Outbox(tmp_path / "outbox.db")).send(SMS)
    assert [m.text for m in Outbox(tmp_path / "outbox.db").messages()] == [SMS.text]


def test_a_message_that_cannot_be_kept_was_not_sent(outbox: Outbox) -> None:
    outbox.close()
    with pytest.raises(RetryLater, match="the outbox cannot be written"):
        channel(outbox).send(SMS)


def test_a_failed_add_leaves_nothing_behind(outbox: Outbox) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        outbox.add("sms", "n1", None, "text", at=NOW)  # type: ignore[arg-type]
    assert outbox.messages() == []
    channel(outbox).send(SMS)
    assert len(outbox.messages()) == 1


def test_links_follow_the_mount(client: FlaskClient) -> None:
    page = client.get("/", environ_overrides={"SCRIPT_NAME": "/outbox"}).text
    assert 'action="/outbox/clear"' in page
    assert client.get("/static/style.css").status_code == 200
