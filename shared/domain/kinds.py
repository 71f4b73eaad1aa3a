"""The kinds of notice: one table of the facts in which they differ.

Who gets each kind is in `planner.PLANS`, what stops it in `eligibility.CHECKS`.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from shared.domain.model import ChannelName, Kind, Notice, NoticeRecord, Request, Signer, SignerState
from shared.domain.policy import Policy


class KindFacts(msgspec.Struct, frozen=True, kw_only=True):
    """useful_days: how long it is worth sending; a reminder at most until the next one.

    due_since: when it became due; None where the state does not say.
    answer_age: seconds; it may rest on an answer of the API no older than this. None: on the stored state.
    waits: deferred, not suppressed, while the cause may pass.
    second_try: worth the risk of a double once an answer was lost.
    link: what its link leads to: "sign", "document", or "" for no link.
    to_sender: a mail to the request's sender; its notice names no signer.
    words: the kind whose words it has, where it has none of its own.
    """

    useful_days: float
    due_since: Callable[[Request, Notice, Signer], datetime | None]
    answer_age: float | None = None
    waits: bool = False
    second_try: bool = False
    link: str = "sign"
    to_sender: bool = False
    words: Kind | None = None


def _invited_at(request: Request, notice: Notice, signer: Signer) -> datetime | None:
    return signer.invited_at


def _reminder_due_at(request: Request, notice: Notice, signer: Signer) -> datetime | None:
    reminder = signer.reminders.get(str(notice.reminder_day))
    return reminder.due_at if reminder else None


def _signature_at(request: Request, notice: Notice, signer: Signer) -> datetime | None:
    who = signed_by(request, notice)
    return who.signed_at if who else None


def _never(request: Request, notice: Notice, signer: Signer) -> datetime | None:
    return None


def _completed_at(request: Request, notice: Notice, signer: Signer) -> datetime | None:
    return request.completed_at


KINDS: dict[Kind, KindFacts] = {
    Kind.INVITATION: KindFacts(useful_days=7, due_since=_invited_at, answer_age=60.0, waits=True, second_try=True),
    Kind.REMINDER: KindFacts(useful_days=7, due_since=_reminder_due_at, answer_age=60.0, waits=True),
    Kind.PROGRESS: KindFacts(useful_days=1, due_since=_signature_at, link=""),
    Kind.COMPLETION: KindFacts(useful_days=7, due_since=_completed_at, waits=True, second_try=True, link="document"),
    Kind.UNREACHED: KindFacts(useful_days=7, due_since=_never, second_try=True, link="", to_sender=True),
    Kind.COPY_SIGNED: KindFacts(useful_days=1, due_since=_never, link="", to_sender=True, words=Kind.PROGRESS),
    Kind.COPY_COMPLETE: KindFacts(useful_days=7, due_since=_never, link="", to_sender=True, words=Kind.COMPLETION),
    Kind.COPY_EXPIRED: KindFacts(useful_days=7, due_since=_never, link="", to_sender=True),
    Kind.COPY_DAILY: KindFacts(useful_days=2, due_since=_never, link="", to_sender=True),
}
COPIES = {kind.removeprefix("copy_"): kind for kind in Kind if kind.startswith("copy_")}  # by what SENDER_COPIES names


def mail_to_sender(key: str, kind: Kind, request: str, round_: int, about: int = 0) -> Notice:
    """A mail to the request's sender, who is told by e-mail alone. key: its id."""
    email = ChannelName.EMAIL
    return Notice(notice=key, request=request, signer="", kind=kind, about=about, channel=email, round=round_)


def useful_for(kind: Kind, policy: Policy, reminder_day: int = 0) -> timedelta:
    """How long a notice of this kind is worth sending, from when it became due."""
    later = [d - reminder_day for d in policy.reminder_days if d > reminder_day] if kind is Kind.REMINDER else []
    return policy.days(min([KINDS[kind].useful_days, *later]))


def signed_by(request: Request, notice: Notice) -> Signer | None:
    """The signer whom a progress notice is about, while their signature stands."""
    found = [s for s in request.signers.values() if s.number == notice.about and s.state is SignerState.SIGNED]
    return found[0] if found else None


def described(item: Notice | NoticeRecord) -> str:
    """The kind in words, with the day of a reminder or the signer that a progress notice is about."""
    if item.kind is Kind.UNREACHED:
        return "Mail to the sender about signers not reached"
    if item.kind is Kind.COPY_DAILY:
        return "Mail of the day to the sender"
    if KINDS[item.kind].to_sender:
        about = f", about signer {item.about}" if item.about else ""
        return f"Copy to the sender: {item.kind.removeprefix('copy_')}{about}"
    of = {Kind.REMINDER: f" of day {item.reminder_day}", Kind.PROGRESS: f" about signer {item.about}"}
    return f"{item.kind.capitalize()}{of.get(item.kind, '')}"
