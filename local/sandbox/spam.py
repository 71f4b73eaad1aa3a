"""What SpamAssassin says of an e-mail, by its own rules and without the network."""

import os
import re
import shutil
import subprocess
import tempfile
from email import message_from_bytes
from functools import lru_cache

import msgspec

COMMAND = ("spamassassin", "--local")
TIMEOUT = 60.0  # seconds; loading the rules takes one or two
LIMIT = 5.0  # points from which on a mail is taken for spam, as it is installed
STATUS = re.compile(r"score=(-?[\d.]+).*?tests=(.*?)\sautolearn", re.DOTALL)


class Score(msgspec.Struct, frozen=True):
    """rules: those that gave points."""

    points: float
    rules: str


def installed() -> bool:
    """Whether there is a SpamAssassin to be asked."""
    return shutil.which(COMMAND[0]) is not None


@lru_cache(maxsize=100)
def score(source: bytes) -> Score:
    """Of a mail as it is sent. Raises OSError, subprocess.SubprocessError."""
    with tempfile.TemporaryDirectory() as home:  # nobody's preferences
        env = {**os.environ, "HOME": home}
        told = subprocess.run(COMMAND, input=source, capture_output=True, check=True, timeout=TIMEOUT, env=env).stdout
    return read_status(str(message_from_bytes(told)["X-Spam-Status"]))


def read_status(status: str) -> Score:
    """Reads the header X-Spam-Status."""
    [(points, rules)] = STATUS.findall(status)
    return Score(float(points), " ".join(rules.split()))
