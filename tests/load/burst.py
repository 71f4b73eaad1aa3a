"""Many webhooks at once, each connection kept open for its next one."""

import http.client
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

CONCURRENCY = 64


def burst(port: int, path: str, bodies: Sequence[bytes], token: str) -> Counter[int]:
    """How often each status was answered; 0 stands for no answer."""
    shares = [bodies[n::CONCURRENCY] for n in range(CONCURRENCY)]
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        return Counter(status for share in pool.map(lambda s: _post(port, path, s, token), shares) for status in share)


def _post(port: int, path: str, bodies: Sequence[bytes], token: str) -> list[int]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Content-Type": "application/json", "Pactsafe-Webhook-Token": token}
    statuses = []
    for body in bodies:
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
        except (OSError, http.client.HTTPException):
            statuses.append(0)
        finally:
            connection.close()  # the server may close an idle one at the moment in which it is used again
    return statuses
