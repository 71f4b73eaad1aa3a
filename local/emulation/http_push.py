"""Calls of the functions by the local Pub/Sub and Cloud Tasks: one POST without redirects and proxies."""

import http.client
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from urllib.parse import urlsplit

import msgspec

from shared.adapters.http.client import parse_retry_after

CONNECTIONS = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}


class Reply(msgspec.Struct, frozen=True):
    """status: 0 without a response (refused, reset, too late). headers: names in lower case."""

    status: int = 0
    headers: Mapping[str, str] = {}

    @property
    def done(self) -> bool:
        return 200 <= self.status < 300


class Pace(msgspec.Struct, frozen=True):
    """The pause between attempts in seconds: it doubles, then rises linearly, up to `most`.

    https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues#RetryConfig
    """

    least: float
    most: float
    doublings: int = 16

    def backoff(self, failures: int) -> float:
        """The pause after so many failures, 1 or more."""
        doubled = self.least * math.pow(2, min(failures - 1, self.doublings))
        return min(doubled * max(1, failures - self.doublings), self.most)

    def pause(self, reply: Reply, now: datetime, failures: int) -> float:
        """The response's Retry-After, else the backoff."""
        asked = parse_retry_after(reply.headers, now)
        return self.backoff(failures) if asked is None else asked


class Tally(msgspec.Struct, frozen=True):
    """Counts of a task: calls started, calls answered with another status than 5xx, and the last status."""

    tries: int = 0
    executions: int = 0
    previous: int = 0

    def begun(self) -> "Tally":
        return msgspec.structs.replace(self, tries=self.tries + 1)

    def answered(self, reply: Reply) -> "Tally":
        executions = self.executions + (0 < reply.status < 500)
        return Tally(self.tries, executions, reply.status or self.previous)


Post = Callable[[str, bytes, Mapping[str, str], float], Reply]


def post(url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Reply:
    """Post a JSON body. timeout: seconds, for the connection and for each read. Never raises."""
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = CONNECTIONS[parts.scheme](parts.netloc, timeout=timeout)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        return Reply(response.status, {name.lower(): value for name, value in response.getheaders()})
    except (OSError, http.client.HTTPException):
        return Reply()
    finally:
        connection.close()


def task_headers(queue: str, name: str, eta: float, tally: Tally) -> dict[str, str]:
    """The headers of a call by Cloud Tasks. eta: epoch seconds. https://cloud.google.com/tasks/docs/creating-http-target-tasks"""
    headers = {
        "User-Agent": "Google-Cloud-Tasks",
        "X-CloudTasks-QueueName": queue,
        "X-CloudTasks-TaskName": name,
        "X-CloudTasks-TaskRetryCount": str(tally.tries - 1),
        "X-CloudTasks-TaskExecutionCount": str(tally.executions),
        "X-CloudTasks-TaskETA": f"{eta:.6f}",
    }
    return headers | ({"X-CloudTasks-TaskPreviousResponse": str(tally.previous)} if tally.previous else {})
