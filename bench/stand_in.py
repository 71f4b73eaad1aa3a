"""A stand-in for the Clickwrap API, a provider and a shortener. It answers after a fixed delay and logs its calls.

`python -m bench.stand_in PORT DELAY_SECONDS`. A request's id contains what the API returns: `n3x1-...` has three
signers, and the first has signed. `GET /log` returns the calls: [time in epoch seconds, request line, body].
"""

import asyncio
import json
import re
import sys
import time
from collections import deque

SHAPE = re.compile(r"/requests/(n(\d+)x(\d+)-[\w-]+)")
log: deque[tuple[float, str, str]] = deque(maxlen=100_000)


def document(key: str, signers: int, signed: int) -> dict[str, object]:
    """A request as the API may return it: the documented fields, and the likely names of the others."""
    status = "complete" if signed >= signers else "open"
    rows = [signer(key, n, n <= signed) for n in range(1, signers + 1)]
    return {"data": {"id": key, "name": key, "status": status, "sender": {"name": "Ann"}, "signers": rows}}


def signer(key: str, n: int, signed: bool) -> dict[str, object]:
    person = {"name": f"Signer {n}", "mobile_number": f"+1317555{n:04d}", "email": f"signer{n}@example.com"}
    send_to = {"email": False, "mobile_number": True}
    url = f"https://sign.example/{key}/{n}"
    return {"signer_id": f"s{n}", "signer": person, "send_to": send_to, "request_url": url, "signed": signed}


def answer(line: str) -> tuple[int, bytes]:
    shape = SHAPE.search(line)
    if shape:
        return 200, json.dumps(document(shape[1], int(shape[2]), int(shape[3]))).encode()
    if line.startswith("GET /log"):
        return 200, json.dumps(list(log)).encode()
    if "Messages.json" in line:
        return 201, b'{"sid": "SM00000000000000000000000000000000", "status": "queued"}'
    return 200, b'{"link": "https://s.example/abcdef"}'


class StandIn(asyncio.Protocol):
    def __init__(self, delay: float) -> None:
        self._delay, self._got = delay, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, end, body = self._got.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        if not end or len(body) < (int(length[1]) if length else 0):
            return
        self._got = b""
        line = head.split(b"\r\n", 1)[0].decode()
        if not line.startswith("GET /log"):
            log.append((time.time(), line, body.decode()))
        asyncio.get_running_loop().call_later(self._delay, self._answer, *answer(line))

    def _answer(self, status: int, body: bytes) -> None:
        head = f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)


async def serve(port: int, delay: float) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: StandIn(delay), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
