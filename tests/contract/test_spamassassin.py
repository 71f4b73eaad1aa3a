"""Every built-in e-mail against SpamAssassin's own rules, without the network. In CI a missing spamassassin fails."""

import itertools
import mailbox
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.sandbox.spam import COMMAND, LIMIT, Score, installed, read_status
from shared.adapters.providers.common.mail import Letterhead
from shared.domain.model import ChannelName, Kind
from shared.ports import Outgoing
from shared.setting_types import Values
from tests.texts import LANGUAGES, written

MOST = 2.0  # points; a mail is taken for spam from LIMIT on
EVERY = list(itertools.product(Kind, LANGUAGES))
LETTERHEAD = Letterhead(Values({"EMAIL_FROM": "Acme Legal <legal@acme-example.com>", "EMAIL_REPLY_TO": ""}))
GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
SPAM = b"Message-ID: <spam@b.example>\r\nFrom: a@b.example\r\n\r\n" + GTUBE


def mail(kind: Kind, language: str) -> bytes:
    text = written(kind, ChannelName.EMAIL, language)
    told = {"subject": text.subject, "text": text.text, "html": text.html}
    message = Outgoing(notice=f"{kind}-{language}", to="jane.doe@customer-example.com", **told)
    return LETTERHEAD.compose(message, datetime.now(UTC)).as_bytes()


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Score]:
    """By Message-ID."""
    if not installed():
        if os.environ.get("CI") == "true":
            raise FileNotFoundError("there is no spamassassin: apt-get install spamassassin")
        pytest.skip("there is no spamassassin: apt-get install spamassassin")
    folder = tmp_path_factory.mktemp("mails")
    box = mailbox.mbox(folder / "sent")
    for one in (*itertools.starmap(mail, EVERY), SPAM):
        box.add(one)
    box.flush()
    judge(folder)
    return {told["Message-ID"]: read_status(told["X-Spam-Status"]) for told in mailbox.mbox(folder / "judged")}


def judge(folder: Path) -> None:
    """All mails in one call, which takes a second to load the rules. Its home is the folder: nobody's preferences."""
    command = [*COMMAND, "--mbox", str(folder / "sent")]
    with open(folder / "judged", "wb") as output:
        env = {**os.environ, "HOME": str(folder)}
        subprocess.run(command, stdout=output, stderr=subprocess.DEVNULL, check=True, timeout=240, env=env)


@pytest.mark.parametrize(("kind", "language"), EVERY)
def test_a_built_in_email_is_far_from_spam(scores: dict[str, Score], kind: Kind, language: str) -> None:
    found = scores[f"<{kind}-{language}@acme-example.com>"]
    assert found.points < MOST, found.rules


def test_the_judge_knows_spam(scores: dict[str, Score]) -> None:
    """Without its rules it would find nothing in any mail."""
    assert scores["<spam@b.example>"].points > 100 * LIMIT
