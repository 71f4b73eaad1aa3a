"""The HTTP client of all adapters: one request, no redirect, no retry; errors say whether a call may be repeated."""

import base64
import re
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import msgspec

from shared import trace
from shared.adapters.http.deadline import Deadline
from shared.domain.errors import OutcomeUnknown, RetryLater

if TYPE_CHECKING:
    from requests import Response

CONNECT = 5.0  # seconds
DEADLINE = 20.0  # seconds for a whole call
LONGEST_WAIT = 3600.0  # seconds
SAFE_TO_REPEAT = frozenset({429, 503})  # the server has not taken the call up
AND_500 = SAFE_TO_REPEAT | {500}  # where the vendor says so of a fault inside
MAX_BODY = 1_000_000  # bytes of an answer; the largest of a provider is a tenth of that

_last = threading.local()


class HttpResponse(msgspec.Struct, frozen=True):
    """`headers` by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body's object; empty when it is anything else."""
        try:
            value = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}


def field_text(value: object) -> str:
    """A field of a provider's answer as text; "" for what is neither text nor a number."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


class Http:
    """Calls to one API: no redirect is followed, nothing is repeated. No error holds an address, credential or body.

    Args:
        who: the API's name, which begins every error text.
        clock: time against which a date in `Retry-After` is read.
        deadline: seconds for a whole call.
        check: sees every answer first, and raises what only this API's answers can tell.
        most: bytes of an answer's body that are read.
        public_only: refuses to send to an address that is not public.
        safe: statuses after which a call certainly had no effect.
    """

    def __init__(
        self,
        who: str,
        clock: Callable[[], datetime],
        deadline: float = DEADLINE,
        check: Callable[[HttpResponse], None] = lambda answer: None,
        *,
        most: int = MAX_BODY,
        public_only: bool = False,
        safe: frozenset[int] = SAFE_TO_REPEAT,
    ) -> None:
        self._who, self._clock, self._deadline, self._check = who, clock, deadline, check
        self._most, self._public_only, self._safe = most, public_only, safe

    def get(self, url: str, headers: Mapping[str, str]) -> HttpResponse:
        """Raises RetryLater when no answer came, or one that says to try again."""
        return self._call("GET", url, effect=False, headers={"Accept": "application/json", **headers})

    def post_json(self, url: str, body: object, headers: Mapping[str, str], *, effect: bool = True) -> HttpResponse:
        """Sends `body` as JSON.

        Args:
            url: where to.
            body: anything that msgspec can encode.
            headers: besides the content type.
            effect: False for a call that may be repeated without harm.

        Raises:
            RetryLater: nothing can have happened, or the call has no effect.
            OutcomeUnknown: the request left, and what became of it is not known.
        """
        sent = {"Content-Type": "application/json", "Accept": "application/json", **headers}
        return self._call("POST", url, effect=effect, headers=sent, data=msgspec.json.encode(body))

    def post_form(
        self, url: str, form: Mapping[str, str | list[str]], headers: Mapping[str, str], *, effect: bool = True
    ) -> HttpResponse:
        """Sends a form; a list is a field that is repeated. Raises as `post_json` does."""
        return self._call("POST", url, effect=effect, headers=dict(headers), data=dict(form))

    def post_text(self, url: str, text: bytes, headers: Mapping[str, str]) -> HttpResponse:
        """Sends text as it is. Raises as `post_json` does for a call with an effect."""
        return self._call("POST", url, effect=True, headers={"Content-Type": "text/plain", **headers}, data=text)

    def _call(self, method: str, url: str, *, effect: bool, **request: Any) -> HttpResponse:
        from shared.adapters.http.transport import PrivateAddress, exchange

        _last.status = 0  # that of a token's call is not that of the call which is lost
        exchange.left, exchange.sock, exchange.public_only = False, None, self._public_only
        watched = exchange.__dict__  # of this thread; the deadline runs on a thread of its own
        try:
            with Deadline(self._deadline, lambda: watched.get("sock")) as exchange.deadline:
                answer = self._exchange(method, url, request)
                exchange.deadline.check()  # headers that were cut off look like complete ones
        except PrivateAddress:
            raise RetryLater(f"{self._who} has an address that is not public") from None
        except (OSError, ValueError) as fault:  # those of `requests`; a URL or header that cannot be sent
            raise self._lost(fault, exchange.left and effect) from None  # the exception's own text holds the URL
        finally:
            exchange.sock = exchange.deadline = None
        return self._settled(answer, effect)

    def _exchange(self, method: str, url: str, request: dict[str, Any]) -> HttpResponse:
        from shared.adapters.http.transport import call

        request = {**request, "headers": {**request["headers"], **trace.attributes()}}
        timeout = (min(CONNECT, self._deadline), self._deadline)
        with call(method, url, timeout, request) as response:
            _last.status = response.status_code
            headers = {name.lower(): value for name, value in response.headers.items()}
            return HttpResponse(response.status_code, headers, _body(response, self._most))

    def _lost(self, fault: Exception, left: bool) -> RetryLater | OutcomeUnknown:
        name = type(fault).__name__
        if left:
            return OutcomeUnknown(f"{self._who}: the request left, its answer was lost ({name})")
        return RetryLater(f"{self._who} could not be reached ({name})")

    def _settled(self, answer: HttpResponse, effect: bool) -> HttpResponse:
        self._check(answer)
        said = f"{self._who} answered {answer.status}"
        if answer.status in self._safe or (answer.status >= 500 and not effect):
            raise RetryLater(said, parse_retry_after(answer.headers, self._clock()), paced=answer.status == 429)
        if answer.status >= 500:  # 500: it may have failed after it acted; 502, 504: a gateway gave up waiting for it
            raise OutcomeUnknown(said)
        return answer


def last_status() -> int:
    """Of the last answer in this thread, 0 for none. Asking forgets it."""
    status: int = getattr(_last, "status", 0)
    _last.status = 0
    return status


def basic(user: str, password: str) -> dict[str, str]:
    """The header for HTTP Basic authentication (RFC 7617), in UTF-8."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def bearer(token: str) -> dict[str, str]:
    """The header for a bearer token (RFC 6750)."""
    return {"Authorization": f"Bearer {token}"}


def parse_retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait, at most an hour; None when the answer does not say.

    `Retry-After` in seconds or as a date (RFC 9110 §10.2.3), else `X-RateLimit-Reset` in epoch seconds.
    """
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    wait = _seconds(lower.get("retry-after", ""))
    if wait is None:
        wait = _until(lower.get("retry-after", ""), now)
    if wait is None and (reset := _seconds(lower.get("x-ratelimit-reset", ""))) is not None:
        wait = reset - now.timestamp()
        wait = wait if wait > 0 else None  # not an epoch time, or a clock that is wrong: ignored
    return None if wait is None else min(max(wait, 0.0), LONGEST_WAIT)


def _seconds(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) else None


def _until(text: str, now: datetime) -> float | None:
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()


def _body(response: "Response", most: int) -> bytes:
    """At most `most` bytes. A refusal is told by its status, so one whose body is lost is still a refusal."""
    from urllib3.exceptions import HTTPError

    try:
        return response.raw.read(most, decode_content=True) or b""
    except (HTTPError, OSError) as fault:
        if response.status_code >= 400:
            return b""
        raise ConnectionError(type(fault).__name__) from None
