"""A number that is none: whoever sent the request is told by e-mail, and nobody else."""

from pathlib import Path

import pytest

from tests.e2e.stack import Running, until

ANN = "ann@example.com"
MAX = {"name": "Max http://evil.example/", "mobile_number": "12345", "send_to": {"email": False, "mobile_number": True}}


@pytest.mark.parametrize("backend", ["embedded", pytest.param("emulators", marks=pytest.mark.emulators)])
def test_an_invalid_number_is_told_to_the_sender(tmp_path: Path, backend: str) -> None:
    stack = Running(tmp_path, backend, SECONDS_PER_DAY="1000")  # so that half a minute is less than a second
    try:
        stack.send(MAX, sender="Ann", sender_email=ANN)
        (mail,) = until(lambda: stack.messages(ANN), "the sender is told")
        assert mail["subject"] == 'Not everyone was reached: "Employment Agreement"'
        assert "on no channel: The number or address is not valid" in mail["text"]
        assert "http://evil" not in mail["text"]
        assert stack.messages() == [mail]
    finally:
        stack.stop()
