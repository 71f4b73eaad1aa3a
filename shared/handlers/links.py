"""A short link followed: to the signing page while it is due, to the document once complete, else a reason."""

import re

import msgspec
from msgspec.structs import replace

from shared.domain.model import Link, Request, Signer, SignerState, Status
from shared.ports import Ledger
from shared.services.links import completion_url


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
    """The handler of `links`. completion_link: the setting COMPLETION_LINK."""

    def __init__(self, ledger: Ledger, completion_link: str) -> None:
        self._ledger, self._completion_link = ledger, completion_link

    def follow(self, code: str) -> Followed:
        """Raises RetryLater when the ledger cannot be reached."""
        link = self._ledger.get(Link, code) if CODE.fullmatch(code) else None
        if link is None:
            return UNKNOWN
        request = self._ledger.get(Request, link.item.request_id)
        signer = request.item.signers.get(link.item.signer) if request else None
        if request is None or signer is None:
            return DEAD
        followed = _alive(request.item, signer, self._completion_link)
        return replace(followed, site=request.item.site, languages=(signer.language, request.item.language))


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
