"""The Clickwrap REST API: `GET /requests/:id`, what it takes to read its answer, and a list where one is wanted.

2,000 calls a minute and token are allowed; above that the vendor e-mails the customer's admins.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from shared.adapters.clickwrap.fields import Fields
from shared.adapters.clickwrap.ids import REQUEST_ID
from shared.adapters.clickwrap.link_hosts import Hosts, on_loopback
from shared.adapters.clickwrap.payload import ids, read, unwrap
from shared.adapters.http.client import Http, HttpResponse, bearer, parse_retry_after
from shared.domain import model
from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.signers import check_count
from shared.ports import NotFound

DEADLINE = 15.0  # seconds
MAX_BODY = 16_000_000  # bytes of an answer: a request with a thousand signers has several million
LIMIT_WINDOW = 60.0  # seconds: the vendor counts calls by the minute
MAX_TURN_WAIT = 5.0  # seconds that a call waits for its turn
FILLED_IN = 50.0  # seconds within which signers given as bare ids are asked for: a delivery has 60
PAGE = 100  # requests a page of a list, the most the vendor allows
REFUSED_AFTER = 900.0  # seconds; an operator has to replace the token first
log = logging.getLogger(__name__)


class Bucket:
    """A token bucket: `rate` calls a minute, in bursts of a second's worth and at least one."""

    def __init__(
        self,
        rate: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._per_second, self._clock, self._sleep = rate / 60, clock, sleep
        self._size = max(1.0, self._per_second)
        self._left, self._at = self._size, clock()
        self._held_until = self._told_at = self._at
        self._calls = 0  # since they were told last
        self._lock = threading.Lock()

    def take(self) -> None:
        """Waits for its turn, at most MAX_TURN_WAIT. Raises RetryLater when the turn comes later than that."""
        with self._lock:
            wait = self._wait()
            if wait > MAX_TURN_WAIT:
                raise RetryLater(self._reason(), after=wait)
            self._left -= 1
            self._count()
        if wait:
            self._sleep(wait)

    def _count(self) -> None:
        """Tells once a minute how many calls were made: the metric of the API's budget."""
        self._calls += 1
        if self._at - self._told_at >= LIMIT_WINDOW:
            log.info("calls of the API", extra={"json": {"api_calls": self._calls}})
            self._calls, self._told_at = 0, self._at

    def hold(self, seconds: float) -> None:
        """Lets no call go for so long."""
        with self._lock:
            self._held_until = max(self._held_until, self._clock() + seconds)

    def _reason(self) -> str:
        held = self._held_until > self._clock()
        return "the API answered 429 to a call before" if held else "API_RATE_PER_MINUTE is used up"

    def _wait(self) -> float:
        """Seconds until a call may go."""
        now = self._clock()
        self._left = min(self._size, self._left + (now - self._at) * self._per_second)
        self._at = now
        return max(0.0, (1 - self._left) / self._per_second, self._held_until - now)


class ClickwrapClient:
    """Implements the port ClickwrapApi.

    Args:
        url: base URL of the API. One on this machine may also send links to this machine.
        token: bearer token.
        fields: where each field of an answer is looked for.
        rate: calls a minute.
        link_hosts: domains that links may lead to; empty means any with a public name.
        deadline: seconds for one call.
    """

    def __init__(
        self,
        url: str,
        token: str,
        fields: Fields,
        rate: float,
        link_hosts: tuple[str, ...] = (),
        *,
        deadline: float = DEADLINE,
    ) -> None:
        self._url, self._token, self._fields, self._bucket = url, token, fields, Bucket(rate)
        self._most_bare = max(1, int(rate * FILLED_IN / LIMIT_WINDOW))
        self._hosts = Hosts(link_hosts, loopback=on_loopback(url))
        self._http = Http("the API", _now, deadline, self._hold_back, most=MAX_BODY)
        self._names_request = False  # whether an answer has named the request that was asked for
        self._told = False

    def fetch(self, request: str, after: datetime | None = None) -> model.ApiRequest:
        """Asks every time, which satisfies any `after`."""
        document = self.document(request)
        try:
            answer = read(document, self._fields, self._hosts)
        except ValueError as e:
            raise RetryLater(f"the API's answer cannot be read: {e}") from e
        self._check_id(request, ids(document, self._fields))
        return replace(answer, id=request)

    def _check_id(self, request: str, told: list[str]) -> None:
        """Raises RetryLater for an answer about another request: its signers are other people.

        The vendor does not document the ids of an answer. Where none has been the one that was asked for, they are of
        another kind, and say nothing.
        """
        if request.casefold() in map(str.casefold, told):
            self._names_request = True
        elif told and (self._names_request or not self._told):
            self._told = True
            log.error("the API's answer has another id", extra={"json": {"alert": "api_other_request"}})
            if self._names_request:
                raise RetryLater("the API's answer is about another request")

    def document(self, request: str) -> Any:
        """The raw answer, signers given as bare ids filled in. Raises NotFound, RetryLater, PermanentFailure."""
        document = unwrap(self._get(f"/requests/{quote(request, safe='')}"))
        rows = document.get("signers") if isinstance(document, dict) else None
        if isinstance(rows, list):
            check_count(len(rows))  # before the calls that their ids would cost
            self._check_bare(sum(_bare(row) is not None for row in rows))
            document = {**document, "signers": [self._whole(row) for row in rows]}
        return document

    def listed(self, site: str, limit: int) -> Sequence[str]:
        """`GET /sites/{site}/requests`, which older documentation shows once and nothing describes.

        The paging is that of the vendor's other lists: `per_page` at most 100, `has_more`.
        """
        found: list[str] = []
        for page in range(1, limit // PAGE + 1):
            query = f"?per_page={PAGE}&page={page}&sort=-created_time"
            ids, more = _ids(self._listing(f"/sites/{quote(site, safe='')}/requests{query}"))
            found += ids
            if not more:
                break
        return found

    def _listing(self, path: str) -> Any:
        try:
            return self._get(path)
        except NotFound:
            raise PermanentFailure("the API does not list requests") from None

    def _check_bare(self, count: int) -> None:
        """Raises PermanentFailure for more than an instance can ask for in one delivery: the next begins anew."""
        if count > self._most_bare:
            said = f"the API gives {count} signers as ids only"
            raise PermanentFailure(
                f"{said}; at most {self._most_bare} can be asked for in time, see API_RATE_PER_MINUTE"
            )

    def _whole(self, row: Any) -> Any:
        """`signers[]`, or its `signer`, may be an id only: then the signer is asked for."""
        bare = _bare(row)
        if bare is None:
            return row
        more = row if isinstance(row, dict) else {}
        return {"signer_id": bare, **more, "signer": self._signer(str(bare))}

    def _signer(self, key: str) -> Any:
        try:
            return unwrap(self._get(f"/signers/id:{quote(key, safe='')}"))
        except NotFound:
            return {"signer_id": key}

    def _get(self, path: str) -> Any:
        self._bucket.take()
        answer = self._answer(path)
        if answer.status == 200:
            return self._decoded(answer)
        if answer.status == 404:
            raise NotFound
        if answer.status in (401, 403):
            log.error("the API refuses CLICKWRAP_API_TOKEN", extra={"json": {"alert": "api_credentials"}})
            raise RetryLater(f"the API refuses CLICKWRAP_API_TOKEN ({answer.status})", after=REFUSED_AFTER)
        raise _no_answer(f"the API answered {answer.status}")

    def _answer(self, path: str) -> HttpResponse:
        try:
            return self._http.get(self._url + path, bearer(self._token))
        except RetryLater as fault:
            raise _no_answer(fault.reason, fault.after) from fault

    def _hold_back(self, answer: HttpResponse) -> None:
        """A 429 concerns all calls of this instance: none is made until its wait is over."""
        if answer.status == 429:
            asked = parse_retry_after(answer.headers, _now())
            wait = LIMIT_WINDOW if asked is None else asked
            self._bucket.hold(wait)
            raise RetryLater("the API answered 429", wait)

    def _decoded(self, answer: HttpResponse) -> Any:
        try:
            return msgspec.json.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
            raise _no_answer("the API's answer is not whole JSON") from e


def _bare(row: Any) -> str | int | None:
    """The id, where a row, or its `signer`, is nothing else."""
    found = row.get("signer") if isinstance(row, dict) else row
    return found if isinstance(found, str | int) else None


def _no_answer(reason: str, after: float | None = None) -> RetryLater:
    """Logs the fault: a deferred message does not show it elsewhere."""
    log.warning("no answer of the API", extra={"json": {"alert": "api_unavailable", "reason": reason}})
    return RetryLater(reason, after)


def _ids(listing: Any) -> tuple[list[str], bool]:
    rows = listing.get("data") if isinstance(listing, dict) else None
    ids = [row.get("id") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else [None]
    if not all(isinstance(i, str | int) and REQUEST_ID.fullmatch(str(i)) for i in ids):
        raise PermanentFailure("the API's list of requests is not in the form of its other lists")
    return [str(i) for i in ids], listing.get("has_more") is True


def _now() -> datetime:
    return datetime.now(UTC)
