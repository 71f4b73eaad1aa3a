"""The link of a message: which page it leads to, made short where that is possible."""

import logging

from shared.domain.brands import ONE_BRAND, Brands
from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.kinds import KINDS
from shared.domain.model import Notice, Request, Signer
from shared.ports import Shortener, Target

log = logging.getLogger(__name__)


class LinkService:
    """completion_link: the setting COMPLETION_LINK."""

    def __init__(self, shortener: Shortener, completion_link: str, brands: Brands = ONE_BRAND) -> None:
        self._shortener, self._completion_link, self._brands = shortener, completion_link, brands

    def link_for(self, request: Request, notice: Notice) -> str:
        """The link of this notice's text; "" where it has none. A shortener that fails costs a longer text."""
        url = self._url(request, notice)
        domain = self._brands.of(request.site).links_domain
        target = Target(request=request.id, signer=notice.signer, round=request.round, url=url, domain=domain)
        try:
            return self._shortener.shorten(target) if url else ""
        except (RetryLater, PermanentFailure) as e:
            log.warning("shortener failed, the long link is used", extra={"json": {"reason": e.reason}})
            return url

    def _url(self, request: Request, notice: Notice) -> str:
        signer, leads_to = request.signers[notice.signer], KINDS[notice.kind].link
        if leads_to == "document":
            return completion_url(request, signer, self._completion_link)
        return signer.request_url if leads_to else ""


def completion_url(request: Request, signer: Signer, choice: str) -> str:
    """Where a completion leads: `request_url` is the vendor's way, the other choices prefer the document itself.

    Where one is missing the other is used: a message without a link helps nobody.
    """
    ways = [signer.request_url, request.download_url]
    return next(filter(None, ways if choice == "request_url" else reversed(ways)), "")


def masked(text: str, link: str) -> str:
    """The text as sent, without what would let its reader sign."""
    return text.replace(link, "/".join(link.split("/")[:3]) + "/***") if link else text
