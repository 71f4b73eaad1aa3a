"""Implements the port Render with the templates: the text of a notice from the state of its request."""

import logging
from pathlib import Path

from shared.domain import eligibility
from shared.domain.kinds import signed_by
from shared.domain.model import ChannelName, Notice, Request
from shared.ports import Wording
from shared.text.render import ENGLISH, MAX_SEGMENTS, Context, folders, render
from shared.text.segments import segments

log = logging.getLogger(__name__)


class Words:
    """language: a folder within `templates_dir`; what it lacks is English. `check_templates` checks both."""

    def __init__(self, brand: str, templates_dir: Path | None = None, language: str = ENGLISH) -> None:
        self._brand, self._where = brand, folders(templates_dir, language)

    def __call__(self, request: Request, notice: Notice, link: str) -> Wording:
        rendered = render(notice.kind, notice.channel, self._context(request, notice, link), self._where)
        sms = notice.channel is ChannelName.SMS
        count = segments(rendered.text).count if sms else 0
        if count > MAX_SEGMENTS:  # it is sent all the same, at the cost of so many
            told = {"notice": notice.notice[:12], "kind": notice.kind, "segments": count}
            log.warning("an SMS of %d segments", count, extra={"json": told})
        return Wording(text=rendered.text, subject=rendered.subject, html=rendered.html, segments=count)

    def _context(self, request: Request, notice: Notice, link: str) -> Context:
        who = signed_by(request, notice)
        return Context(
            title=request.title,
            brand=self._brand,
            link=link,
            signer_name=request.signers[notice.signer].name,
            who=who.name if who else "",
            needed=eligibility.needed(request),
            reminder_day=notice.reminder_day,
            sender=request.sender,
        )
