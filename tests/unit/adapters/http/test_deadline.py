import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import pytest

from shared.adapters.http.deadline import Deadline

LONG = 10.0  # seconds in which a socket must have been shut down


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    made = [socket.socketpair() for _ in range(3)]
    yield made
    for one in (end for pair in made for end in pair):
        one.close()


def seconds_until_shut(sock: socket.socket, seconds: float) -> float:
    sock.settimeout(LONG)
    began = time.monotonic()
    with Deadline(seconds, lambda: sock) as deadline:
        assert sock.recv(1) == b""
        with pytest.raises(TimeoutError):
            deadline.check()
    return time.monotonic() - began


def test_each_is_cut_at_its_own_time(pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    seconds = [0.9, 0.2, 0.5]
    with ThreadPoolExecutor() as pool:
        lasted = list(pool.map(seconds_until_shut, [ours for ours, _ in pairs], seconds))
    assert all(found >= least for least, found in zip(seconds, lasted, strict=True))


def test_what_has_ended_in_time_is_cut_no_more(pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    """The next exchange of the thread may use the same socket."""
    (ours, theirs), (other, _), _ = pairs
    with Deadline(0.1, lambda: ours) as deadline:
        deadline.check()
    seconds_until_shut(other, 0.2)
    ours.send(b"x")
    assert theirs.recv(1) == b"x"


def test_a_deadline_without_a_connection_yet_cuts_nothing(pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    with Deadline(0.1, lambda: None):
        seconds_until_shut(pairs[0][0], 0.2)


def test_deadlines_share_a_thread() -> None:
    with Deadline(LONG, lambda: None):
        pass
    started: list[threading.Thread] = []
    with patch.object(threading.Thread, "start", started.append):
        for _ in range(3):
            with Deadline(LONG, lambda: None):
                pass
    assert started == []
