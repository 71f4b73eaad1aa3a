"""Implements the port Render with the templates: the text of a notice from the state of its request."""

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from shared.domain.brands import Brand, Brands
from shared.domain.daily import Summary
from shared.domain.kinds import KINDS, signed_by
from shared.domain.model import ChannelName, Notice, Request
from shared.domain.policy import Policy, zone_of
from shared.domain.signers import needed
from shared.domain.unreached import Unreached
from shared.ports import Wording
from shared.text.render import (
    BUILT_IN_TEXTS,
    CAUSE_WORDS,
    MAX_SEGMENTS,
    Context,
    Group,
    Person,
    Rendered,
    Texts,
    render,
)
from shared.text.segments import segments

MAX_PEOPLE = 100  # that a mail to the sender names
MAX_TITLES = 20  # of each group that a mail of the day names

log = logging.getLogger(__name__)


class Words:
    """texts: `check_templates` checks those of the operator."""

    def __init__(self, brands: Brands, policy: Policy, texts: Texts = BUILT_IN_TEXTS) -> None:
        self._brands, self._policy, self._texts = brands, policy, texts

    def __call__(
        self,
        request: Request,
        notice: Notice,
        link: str,
        unreached: Sequence[Unreached] = (),
        summary: Summary | None = None,
        *,
        opt_out: bool = False,
    ) -> Wording:
        if KINDS[notice.kind].to_sender:
            people = summary.unreached if summary else [(request, one) for one in unreached]
            return self._to_sender(request, notice, people, summary)
        signer, brand = request.signers[notice.signer], self._brands.of(request.site)
        language = self._texts.choose(signer.language, request.language, brand.language)
        context = replace(self._context(request, notice, brand, link), opt_out=opt_out)
        rendered = render(notice.kind, notice.channel, context, self._texts, language)
        if notice.channel is ChannelName.SMS:
            return Wording(text=rendered.text, segments=_counted(rendered.text, notice), sender=brand.sms_from)
        return _mail(rendered, brand)

    def _to_sender(
        self, request: Request, notice: Notice, unreached: Iterable[tuple[Request, Unreached]], summary: Summary | None
    ) -> Wording:
        brand = self._brands.of(request.site)
        people = sorted({_person(of, one, summary) for of, one in unreached}, key=_place)
        shown, more = tuple(people[:MAX_PEOPLE]), max(len(people) - MAX_PEOPLE, 0)
        told = _of_day(summary) if summary else _of_request(request, notice)
        context = Context(brand=brand.name, contact=brand.contact, people=shown, more=more, **told)
        language = self._texts.choose(request.language, brand.language)
        return _mail(render(notice.kind, ChannelName.EMAIL, context, self._texts, language), brand)

    def _context(self, request: Request, notice: Notice, brand: Brand, link: str) -> Context:
        who, signer = signed_by(request, notice), request.signers[notice.signer]
        return Context(
            title=request.title,
            brand=brand.name,
            contact=brand.contact,
            link=link,
            signer_name=signer.name,
            who=who.name if who else "",
            needed=needed(request),
            reminder_day=notice.reminder_day,
            sender=request.sender,
            expires=request.expires_at.astimezone(zone_of(signer.mobile, self._policy)) if request.expires_at else None,
            metadata=request.metadata,
            signer={"name": signer.name, "email": signer.email, "mobile": signer.mobile} | signer.metadata,
        )


def _mail(rendered: Rendered, brand: Brand) -> Wording:
    return Wording(
        text=rendered.text,
        subject=rendered.subject,
        html=rendered.html,
        sender=brand.email_from,
        reply_to=brand.email_reply_to,
    )


def _of_request(request: Request, notice: Notice) -> dict[str, Any]:
    who = signed_by(request, notice)
    return {"title": request.title, "who": who.name if who else "", "needed": needed(request)}


def _of_day(summary: Summary) -> dict[str, Any]:
    groups = (_group(name, getattr(summary, name)) for name in ("complete", "expired", "open"))
    return {"day": summary.day, "signatures": summary.signatures, "groups": tuple(g for g in groups if g.count)}


def _group(name: str, titles: Sequence[str]) -> Group:
    named = tuple(sorted(filter(None, titles)))
    return Group(name=name, count=len(titles), titles=named[:MAX_TITLES], more=len(named) > MAX_TITLES)


def _person(request: Request, one: Unreached, summary: Summary | None) -> Person:
    signer = request.signers[one.signer]
    person = Person(name=signer.name, number=signer.number, channel=one.channel, cause=CAUSE_WORDS[one.cause])
    return replace(person, title=request.title) if summary else person


def _place(person: Person) -> tuple[object, ...]:
    return person.title, person.number, person.channel, person.cause


def _counted(text: str, notice: Notice) -> int:
    count = segments(text).count
    if count > MAX_SEGMENTS:  # it is sent all the same, at the cost of so many
        told = {"notice": notice.notice[:12], "kind": notice.kind, "segments": count}
        log.warning("an SMS of %d segments", count, extra={"json": told})
    return count
