"""SENDER_COPIES=daily: one mail about several requests, through the real queues of each backend."""

import re
from pathlib import Path

import pytest

from tests.e2e.stack import ERIC, ERICS, JANE, JANES, Running, until

ANN = "ann@example.com"
TITLE = "Lease http://evil.example/ of Flat"


@pytest.mark.parametrize("backend", ["embedded", pytest.param("emulators", marks=pytest.mark.emulators)])
def test_the_sender_is_told_once_of_each_signature_of_a_day(tmp_path: Path, backend: str) -> None:
    stack = Running(tmp_path, backend, SECONDS_PER_DAY="12", SENDER_COPIES="daily", REMINDER_DAYS="30")
    try:
        for signer, address in ((ERIC, ERICS), (JANE, JANES)):
            stack.send(
                signer,
                ERIC | {"name": "Max", "mobile_number": "317-123-9999"},
                sender="Ann",
                sender_email=ANN,
                title=f"{TITLE} {signer['name']}",
            )
            until(lambda to=address: stack.messages(to), "the invitation")
            stack.sign(address)

        def told() -> int:
            return sum(int(n) for text in stack.texts(ANN) for n in re.findall(r"- Signatures: (\d+)", text))

        until(lambda: told() >= 2, "both signatures are told", seconds=60)
        mails = stack.messages(ANN)
        assert told() == 2
        assert len(mails) == len({mail["subject"] + mail["text"] for mail in mails}) <= 2  # midnight may lie between
        assert all(mail["subject"].startswith("Your requests on ") for mail in mails)
        assert all("http://evil" not in mail["text"] and "of Flat" in mail["text"] for mail in mails)
    finally:
        stack.stop()
