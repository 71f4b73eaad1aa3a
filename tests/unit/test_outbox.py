"""The outbox: what the signers would have received."""

import re
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from local.outbox import Outbox, OutboxChannel, create_outbox_app
from shared.domain.model import ChannelName
from shared.domain.outcomes import Accepted, Retry
from shared.ports import Channel, Outgoing

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


def test_messages_are_told_newest_last_and_shown_newest_first(outbox: Outbox, client: FlaskClient) -> None:
    for n in range(3):
        outbox.add("sms", f"n{n}", "+13175550142", f"text {n}", at=NOW + timedelta(seconds=n))
    assert [m.text for m in outbox.messages()] == ["text 0", "text 1", "text 2"]
    assert re.findall(r"text \d", client.get("/").text) == ["text 2", "text 1", "text 0"]


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
    assert "&lt;script&gt;" in frame[0]
    assert "<script" not in answer.text
    assert "<now>" not in answer.text
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


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


def test_messages_survive_a_restart(tmp_path: Path) -> None:
    channel(Outbox(tmp_path / "outbox.db")).send(SMS)
    assert [m.text for m in Outbox(tmp_path / "outbox.db").messages()] == [SMS.text]


def test_a_message_that_cannot_be_kept_was_not_sent(outbox: Outbox) -> None:
    outbox.close()
    with pytest.raises(Retry, match="the outbox cannot be written"):
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
