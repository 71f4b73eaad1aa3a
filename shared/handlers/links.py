"""A short link followed: to the signing page while it is due, to the document once complete, else a reason."""

import logging
import re
from collections.abc import Callable
from datetime import datetime

import msgspec
from msgspec.structs import replace

from shared.domain.errors import RetryLater
from shared.domain.model import Link, Request, Signer, SignerState, Status
from shared.domain.policy import Policy
from shared.domain.recheck import announced
from shared.domain.signers import pending
from shared.ports import Ledger, Stored
from shared.services.links import completion_url

log = logging.getLogger(__name__)


class Followed(msgspec.Struct, frozen=True):
    """302 with a location, or 404 / 410 with a reason: of the words page_unknown, ..., the part after "page_".

    site, languages: of the request and its signer, for the page; empty where nothing is known of them.
    """

    status: int
    location: str = ""
    reason: str = ""
    site: str = ""
    languages: tuple[str, ...] = ()


CODE = re.compile(r"[A-Za-z0-9_-]{16,64}")
UNKNOWN = Followed(404, reason="unknown")
SIGNED = Followed(410, reason="signed")
DEAD = Followed(410, reason="dead")
EXPIRED = Followed(410, reason="expired")


class Links:
    """The handler of `links`."""

    def __init__(self, ledger: Ledger, policy: Policy, clock: Callable[[], datetime]) -> None:
        self._ledger, self._policy, self._clock = ledger, policy, clock

    def follow(self, code: str) -> Followed:
        """Raises RetryLater when the ledger cannot be reached."""
        link = self._ledger.get(Link, code) if CODE.fullmatch(code) else None
        if link is None:
            return UNKNOWN
        request = self._ledger.get(Request, link.item.request_id)
        signer = request.item.signers.get(link.item.signer) if request else None
        if request is None or signer is None:
            return DEAD
        followed = _alive(request.item, signer, self._policy.completion_link)
        if followed.location and pending(signer) and self._policy.opens_seen:
            self._note(request)
        return replace(followed, site=request.item.site, languages=(signer.language, request.item.language))

    def _note(self, stored: Stored[Request]) -> None:
        """A hint for `reconcile`, for which nobody waits twice: whoever else has written this knows more."""
        if (noted := announced(stored.item, self._clock(), self._policy)) is None:
            return
        try:
            self._ledger.put(noted.id, noted, stored.version)
        except RetryLater as e:
            log.warning("an opened link is not noted", extra={"json": {"reason": e.reason}})


def _alive(request: Request, signer: Signer, completion_link: str) -> Followed:
    if signer.state is SignerState.REMOVED:
        return DEAD
    if request.status is Status.COMPLETE:
        return _to(completion_url(request, signer, completion_link))
    if request.status is Status.EXPIRED:
        return EXPIRED
    if request.status is Status.GONE:
        return DEAD
    return SIGNED if signer.state is SignerState.SIGNED else _to(signer.request_url)


def _to(url: str) -> Followed:
    return Followed(302, location=url) if url else DEAD
