"""The Clickwrap REST API: one call, `GET /requests/:id`, and what it takes to read its answer.

2,000 calls a minute and token are allowed; past them the vendor mails the customer's admins, so we stay below.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from shared.adapters.fields import Fields, read, unwrap
from shared.domain.model import Answer
from shared.domain.outcomes import Retry
from shared.ports import NotFound

if TYPE_CHECKING:
    import requests

TIMEOUT = (5, 15)  # seconds to connect, to answer
REFUSED_AFTER = 900.0  # seconds; someone has to mend the token first
log = logging.getLogger(__name__)


class Bucket:
    """A token bucket: `rate` calls a minute, in bursts of a second's worth and at least one."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second, self._clock = rate / 60, clock
        self._size = max(1.0, self._per_second)
        self._left, self._at = self._size, clock()
        self._lock = threading.Lock()

    def take(self) -> None:
        """Raises Retry when the budget is used up."""
        with self._lock:
            now = self._clock()
            self._left = min(self._size, self._left + (now - self._at) * self._per_second)
            self._at = now
            if self._left < 1:
                raise Retry("our own budget of API calls is used up", after=(1 - self._left) / self._per_second)
            self._left -= 1


class Clickwrap:
    """Implements the port Requests."""

    def __init__(self, url: str, token: str, fields: Fields, rate: float) -> None:
        self._url, self._token, self._fields, self._bucket = url, token, fields, Bucket(rate)
        self._local = threading.local()  # a session is not safe to share between threads

    def fetch(self, request: str) -> Answer:
        try:
            answer = read(self.document(request), self._fields)
        except ValueError as e:
            raise Retry(f"the API's answer cannot be read: {e}") from e
        return replace(answer, id=request)

    def document(self, request: str) -> Any:
        """The raw answer, signers given as bare ids filled in. Raises NotFound, Retry."""
        document = unwrap(self._get(f"/requests/{quote(request, safe='')}"))
        rows = document.get("signers") if isinstance(document, dict) else None
        if isinstance(rows, list):
            document = {**document, "signers": [self._whole(row) for row in rows]}
        return document

    def _whole(self, row: Any) -> Any:
        """`signers[]`, or its `signer`, may be an id only: then the signer is asked for."""
        if isinstance(row, str | int):
            return {"signer_id": row, "signer": self._signer(str(row))}
        inner = row.get("signer") if isinstance(row, dict) else None
        if isinstance(inner, str | int):
            return {"signer_id": inner, **row, "signer": self._signer(str(inner))}
        return row

    def _signer(self, key: str) -> Any:
        try:
            return unwrap(self._get(f"/signers/id:{quote(key, safe='')}"))
        except NotFound:
            return {"signer_id": key}

    def _get(self, path: str) -> Any:
        self._bucket.take()
        response = self._call(path)
        if response.status_code == 200:
            return self._decoded(response)
        if response.status_code == 404:
            raise NotFound
        if response.status_code in (401, 403):
            log.error("the API refuses CLICKWRAP_API_TOKEN", extra={"json": {"alert": "api_credentials"}})
            raise Retry(f"the API refuses CLICKWRAP_API_TOKEN ({response.status_code})", after=REFUSED_AFTER)
        raise Retry(f"the API answered {response.status_code}", after=_retry_after(response))

    def _call(self, path: str) -> "requests.Response":
        import requests

        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        try:
            return self._session().get(self._url + path, headers=headers, timeout=TIMEOUT, allow_redirects=False)
        except requests.RequestException as e:
            raise Retry(f"the API cannot be reached: {type(e).__name__}") from e

    def _session(self) -> "requests.Session":
        import requests

        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
        session: requests.Session = self._local.session
        return session

    def _decoded(self, response: "requests.Response") -> Any:
        try:
            return msgspec.json.decode(response.content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
            raise Retry("the API's answer is not whole JSON") from e


def _retry_after(response: "requests.Response") -> float | None:
    if response.status_code != 429:
        return None
    text = response.headers.get("Retry-After", "")
    return min(float(text), 3_600.0) if text.isdecimal() else 60.0
