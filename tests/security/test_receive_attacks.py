"""Attacks on `receive` over the wire, through functions-framework and gunicorn as deployed. One attack a test."""

import gzip
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from shared.handlers.receive import MAX_BODY
from tests.security.receive_server import TOKEN, ReceiveServer, head, hook, status, whole

THREADS = 4


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReceiveServer]:
    with ReceiveServer(tmp_path_factory.mktemp("door"), THREADS) as server:
        yield server


@pytest.fixture
def nothing_published(server: ReceiveServer) -> Iterator[None]:
    before = len(server.published())
    yield
    assert len(server.published()) == before


def test_a_good_webhook_is_taken_whatever_the_case_of_the_headers_name(server: ReceiveServer) -> None:
    before = len(server.published())
    body = hook("good")
    for name in ("Pactsafe-Webhook-Token", "pactsafe-webhook-token", "PACTSAFE-WEBHOOK-TOKEN"):
        assert server.says(whole(body, f"{name}: {TOKEN}", token=None)) == 200
    assert len(server.published()) == before + 3


def test_a_webhook_without_a_token_is_refused(server: ReceiveServer, nothing_published: None) -> None:
    assert server.says(whole(hook(), token=None)) == 401


@pytest.mark.parametrize(
    "token", ["guess", TOKEN.upper(), TOKEN[:-1], TOKEN + "x", f"{TOKEN},x", f"Bearer {TOKEN}", "é", ""]
)
def test_a_forged_token_is_refused(server: ReceiveServer, nothing_published: None, token: str) -> None:
    assert server.says(whole(hook(), token=token)) == 401


def test_of_two_tokens_none_counts_even_when_both_are_right(server: ReceiveServer, nothing_published: None) -> None:
    for other in ("guess", TOKEN):
        assert server.says(whole(hook(), f"Pactsafe-Webhook-Token: {other}")) == 401


def test_a_token_under_a_name_that_only_looks_alike_is_refused(server: ReceiveServer, nothing_published: None) -> None:
    for name in ("Pactsafe_Webhook_Token", "X-Pactsafe-Webhook-Token", "Authorization"):
        assert server.says(whole(hook(), f"{name}: {TOKEN}", token=None)) == 401


def test_a_token_in_the_url_is_refused(server: ReceiveServer, nothing_published: None) -> None:
    line = f"POST /?Pactsafe-Webhook-Token={TOKEN} HTTP/1.1".encode()
    assert server.says(whole(hook(), token=None).replace(b"POST / HTTP/1.1", line)) == 401


def test_a_replayed_webhook_keeps_its_id_so_that_it_has_no_second_effect(server: ReceiveServer) -> None:
    request, before = whole(hook("replayed")), len(server.published())
    assert [server.says(request), server.says(request)] == [200, 200]
    events = {msgspec.json.decode(m.data)["event"] for m in server.published()[before:]}
    assert events == {"replayed"}


def test_an_oversized_webhook_is_refused_before_it_is_all_read(server: ReceiveServer, nothing_published: None) -> None:
    with server.connect() as connection:
        connection.sendall(head(f"Content-Length: {50 * 1024 * 1024}") + b"{")
        assert status(connection) == 413


def test_an_oversized_webhook_that_hides_its_length_is_refused(server: ReceiveServer, nothing_published: None) -> None:
    """The first part is a whole webhook, so that cutting it off would not do."""
    piece = hook().ljust(65_536)
    chunks = b"10000\r\n" + piece + (b"\r\n10000\r\n" + b" " * 65_536) * (MAX_BODY // 65_536) + b"\r\n0\r\n\r\n"
    assert server.says(head("Transfer-Encoding: chunked") + chunks) == 413


def test_two_lengths_that_differ_are_refused(server: ReceiveServer, nothing_published: None) -> None:
    for other in ("Content-Length: 5", "Transfer-Encoding: chunked"):
        assert server.says(whole(hook(), other)) == 400


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"event_type":"request_sent","x":['])
def test_a_deeply_nested_webhook_is_refused(server: ReceiveServer, nothing_published: None, opening: bytes) -> None:
    assert server.says(whole(opening * (MAX_BODY // len(opening)))) == 400


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip"])
def test_a_compressed_webhook_is_refused_unread(server: ReceiveServer, nothing_published: None, encoding: str) -> None:
    bomb = gzip.compress(b'{"event_type": "request_sent", "x": "' + b"0" * 10_000_000 + b'"}')
    assert server.says(whole(bomb, f"Content-Encoding: {encoding}")) == 415


def test_a_compressed_webhook_that_does_not_say_so_is_refused(server: ReceiveServer, nothing_published: None) -> None:
    assert server.says(whole(gzip.compress(hook()))) == 400


@pytest.mark.parametrize("number", ["1e400", "9" * 5000, "NaN", "1" + "0" * 300])
def test_numbers_that_no_id_can_be_are_refused(server: ReceiveServer, nothing_published: None, number: str) -> None:
    assert server.says(whole(hook().replace(b'"r1"', number.encode()))) == 400


def test_strangers_who_send_slowly_are_refused_at_once_and_soon_let_go(
    server: ReceiveServer, nothing_published: None
) -> None:
    """As many as there are threads. gunicorn gives each 5 seconds for the rest of the body, which nobody reads."""
    slow = [server.connect() for _ in range(THREADS)]
    try:
        for connection in slow:
            connection.sendall(head("Content-Length: 1000", token="guess") + b"{")
        began = time.monotonic()
        assert [status(connection) for connection in slow] == [401] * len(slow)
        assert time.monotonic() - began < 4
        assert server.says(whole(hook(), token=None)) == 401
    finally:
        for connection in slow:
            connection.close()


def test_a_slow_sender_who_knows_the_token_holds_one_thread_only(server: ReceiveServer) -> None:
    before, body = len(server.published()), hook("slow")
    with server.connect() as connection:
        connection.sendall(head(f"Content-Length: {len(body)}") + body[:10])
        for n in range(3):
            assert server.says(whole(hook(f"quick-{n}"))) == 200
        connection.sendall(body[10:])
        assert status(connection) == 200
    assert len(server.published()) == before + 4


def test_a_sender_who_goes_away_in_the_middle_publishes_nothing(server: ReceiveServer, nothing_published: None) -> None:
    with server.connect() as connection:
        connection.sendall(head("Content-Length: 1000") + hook()[:-1])
        connection.shutdown(socket.SHUT_WR)
        assert status(connection) in (0, 400)


def test_what_strangers_send_takes_no_memory(tmp_path: Path) -> None:
    with ReceiveServer(tmp_path, THREADS) as server:
        assert server.says(whole(hook(), token="guess")) == 401
        before = server.memory()
        large = whole(b"x" * 30_000_000, token="guess")
        assert {server.says(large) for _ in range(4)} <= {401, 0}
        assert server.memory() - before < 20_000_000
        assert server.published() == []


def test_neither_answer_nor_log_repeats_a_token_or_a_body(server: ReceiveServer) -> None:
    with server.connect() as connection:
        connection.sendall(whole(b'{"oops": "jo@example.com"', token=TOKEN) + whole(b"{}", token="almost-a-token"))
        connection.shutdown(socket.SHUT_WR)
        answers = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert b"401" in answers
    for secret in (TOKEN, "almost-a-token", "jo@example.com"):
        assert secret not in answers.decode()
        assert secret not in server.log()


def test_an_answer_is_json_with_a_reason(server: ReceiveServer) -> None:
    with server.connect() as connection:
        connection.sendall(whole(hook(), "Connection: close", token=None))
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    header, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/json" in header
    assert "Pactsafe-Webhook-Token" in json.loads(body)["error"]
