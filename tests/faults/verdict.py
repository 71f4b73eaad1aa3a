"""The provider's book held against what was due: the table of a run."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from functools import cached_property
from math import inf

from shared.domain import unreached
from shared.domain.model import ChannelName, NoticeRecord, NoticeState, Request
from shared.domain.notice_record import NOT_AGAIN
from shared.domain.policy import Policy, address_key
from shared.ports import Ledger
from tests.faults.api import Api
from tests.faults.consumer import Consumer
from tests.faults.oracle import Due, Effect, told_of, waits_for_ever
from tests.faults.provider import BOSS, Provider, Sent
from tests.faults.script import DAY, STEPS, Play

MANY = 1_000_000
KEYED = Policy(address_secret="local-address-secret")  # as the local stack sets it
UNDER_WAY = 5.0  # seconds from a gate's reading to the provider's first byte, on a busy machine
FRESH = 5.0  # seconds for which an invitation may rely on the API's last answer, at this length of a day
RETENTION = timedelta(seconds=90 * DAY)
GONE_OUT = (NoticeState.ACCEPTED, NoticeState.DELIVERED, NoticeState.UNDELIVERED, NoticeState.UNKNOWN)
TOLD = (*GONE_OUT, NoticeState.FAILED)
STATUSES = {"sent": "open"}  # of the vendor's words those that are not ours
TELLING = Policy(tell_sender=True, sender_fallback=BOSS, day=DAY)
_NEVER = (datetime.min.replace(tzinfo=UTC), "", "")
ONCE_MORE = ("invitation", "completion")  # what may be tried again after a lost answer


class Decision:
    def __init__(
        self, plays: list[Play], due: Due, api: Api, provider: Provider, consumer: Consumer, ledger: Ledger
    ) -> None:
        self._due, self._api, self._provider, self._ledger = due, api, provider, ledger
        self._plays, self._consumer = plays, consumer
        self._whose = {to: (play, person) for play in plays for person in play.people for to in person.addresses}

    @cached_property
    def records(self) -> dict[str, NoticeRecord]:
        return dict(self._ledger.newest(NoticeRecord, MANY))

    @cached_property
    def requests(self) -> dict[str, Request]:
        return dict(self._ledger.newest(Request, MANY))

    @cached_property
    def accepted(self) -> dict[Effect, list[Sent]]:
        found: dict[Effect, list[Sent]] = defaultdict(list)
        for sent in self._book:
            found[self._effect(sent)].append(sent)
        return found

    @cached_property
    def _book(self) -> list[Sent]:
        """What went to signers."""
        return [sent for sent in self._provider.book if sent.to != BOSS]

    @cached_property
    def unknown(self) -> set[Effect]:
        return {e for r in self.records.values() if r.state is NoticeState.UNKNOWN and (e := self._recorded(r))}

    def _effect(self, sent: Sent) -> Effect:
        record = self.records.get(sent.notice)
        return sent.kind, sent.to, _detail(sent.kind, record, sent.about)

    def _recorded(self, record: NoticeRecord) -> Effect | None:
        to = self._addresses.get(record.address)
        play, _ = self._whose[to] if to else (None, None)
        if to is None or play is None:
            return None
        about = {p.number: p.name for p in play.people}
        return record.kind.value, to, _detail(record.kind, record, about.get(record.about, ""))

    @cached_property
    def _addresses(self) -> dict[str, str]:
        return {address_key(ChannelName.EMAIL if "@" in to else ChannelName.SMS, to, KEYED): to for to in self._whose}

    # -- what went wrong

    def due(self, kind: str, day: int = STEPS[-1]) -> list[Effect]:
        """day: of reminders, up to which step."""
        return [e for e in self._due.must if e[0] == kind and (kind != "reminder" or int(e[2]) <= day)]

    def lost(self, kind: str, day: int = STEPS[-1]) -> list[Effect]:
        return [e for e in self.due(kind, day) if e not in self.accepted and e not in self.unknown]

    def second_tries(self) -> list[Effect]:
        """Accepted twice after a lost answer, which the record shows."""
        return [e for e, sents in self.accepted.items() if len(sents) == 2 and self._excused(sents)]

    def doubled(self) -> list[Effect]:
        return [
            e for e, sents in self.accepted.items() if len(sents) > 1 and not (len(sents) == 2 and self._excused(sents))
        ]

    def _excused(self, sents: list[Sent]) -> bool:
        first, second = sents
        record = self.records.get(first.notice)
        if record is None or first.kind not in ONCE_MORE or first.notice != second.notice:
            return False
        return any(s.state is NoticeState.UNKNOWN and s.at <= second.when for s in record.history)

    def second_tries_owed(self) -> list[Effect]:
        """Still due, and tried once only though the answer was lost."""
        once = [r for r in self.records.values() if r.kind in ONCE_MORE and _lost_answers(r) == 1]
        lost = {e for r in once if r.state is NoticeState.UNKNOWN and (e := self._recorded(r))}
        return [e for e in lost & self._due.must if self._still_due(e)]

    def _still_due(self, effect: Effect) -> bool:
        kind, to, _ = effect
        play, person = self._whose[to]
        fact = self._api.facts[play.id][-1]
        return kind == "completion" or (fact.status == "sent" and fact.waits_for(person))

    def undue(self) -> list[Effect]:
        return [e for e in self.accepted if e not in self._due.must and e not in self._due.may]

    def untrue(self) -> list[Sent]:
        """Of what nobody had done yet: a completion, or news of a signature, ahead of the fact."""
        return [s for s in self._book if not self._happened(s)]

    def _happened(self, sent: Sent) -> bool:
        play, _ = self._whose[sent.to]
        facts = [f for f in self._api.facts[play.id] if f.at <= sent.when]
        if sent.kind == "completion":
            return any(f.status == "complete" for f in facts)
        if sent.kind == "progress":
            return any(f.signed & {p.number for p in play.people if p.name == sent.about} for f in facts)
        return bool(facts)

    def against_the_api(self) -> list[tuple[Sent, float]]:
        """And how many seconds before it the API last allowed it."""
        return [(s, self._last_allowed(s)) for s in self._book if not self._gate_could_pass(s)]

    def _last_allowed(self, sent: Sent) -> float:
        return min((w for w in range(1, 1_000) if self._said_due(sent, w)), default=inf)

    def _gate_could_pass(self, sent: Sent) -> bool:
        """An invitation or reminder rests on an answer of the API's, progress on the state at its claim."""
        if sent.kind in ("invitation", "reminder"):
            window = UNDER_WAY + (FRESH if sent.kind == "invitation" else 0.0)
            return self._said_due(sent, window)
        return sent.kind == "completion" or self._was_open(sent)

    def _said_due(self, sent: Sent, window: float) -> bool:
        play, person = self._whose[sent.to]
        facts = [t.fact for t in self._api.told[play.id] if sent.at - window <= t.at <= sent.at]
        return any(f.status == "sent" and f.waits_for(person) and play.turn(person, f.signed) for f in facts)

    def _was_open(self, sent: Sent) -> bool:
        play, _ = self._whose[sent.to]
        request, record = self.requests[play.id], self.records[sent.notice]
        ended = request.completed_at or (request.purge_at - RETENTION if request.purge_at else None)
        claims = [s.at for s in record.history if s.state is NoticeState.SENDING and s.at <= sent.when]
        return ended is None or max(claims) <= ended + timedelta(seconds=UNDER_WAY)

    def not_at_rest(self) -> list[str]:
        under_way = (NoticeState.PLANNED, NoticeState.SENDING)
        return [key for key, r in self.records.items() if r.state in under_way and not self._held_back(r)]

    def _held_back(self, record: NoticeRecord) -> bool:
        """An invitation of a request that has expired waits: it may be extended yet."""
        return record.kind == "invitation" and self._api.facts[record.request_id][-1].status == "expired"

    def book_differs(self) -> list[str]:
        """Recorded as accepted but not in the book, or in the book without a record that says so."""
        booked = {sent.notice for sent in self._provider.book}
        claimed = {k for k, r in self.records.items() if r.state in GONE_OUT}
        sure = {k for k, r in self.records.items() if r.state is not NoticeState.UNKNOWN and r.state in GONE_OUT}
        return sorted((sure - booked) | (booked - claimed))

    # -- what others are told

    def changes(self) -> int:
        """Of status, that were committed."""
        return sum(request.status_sequence for request in self.requests.values())

    def not_shown(self) -> list[str]:
        """Requests whose last change another system has not heard of."""
        shown = self._consumer.requests()
        return [key for key, r in self.requests.items() if r.status_sequence > shown.get(key, (0,))[0]]

    def shown_wrong(self) -> list[str]:
        """Known requests that another system shows otherwise than Clickwrap would."""
        shown, facts = self._consumer.requests(), {key: self._api.facts[key][-1] for key in self.requests}
        return [
            key
            for key, fact in facts.items()
            if shown.get(key, (0,))[1:] != (STATUSES.get(fact.status, fact.status), len(fact.signed))
        ]

    def messages_shown_wrong(self) -> list[tuple[str, str, str]]:
        """Signers and channels of which another system shows another last message, or another end of it."""
        last: dict[tuple[str, str, str], tuple[datetime, str, str]] = {}
        for key, r in self.records.items():
            if r.signer and r.state in TOLD:
                place = (r.request_id, r.signer, r.channel.value)
                last[place] = max(last.get(place, _NEVER), (r.history[0].at, key, r.state.value))
        shown = self._consumer.messages()
        return [place for place, (_, *expected) in last.items() if shown.get(place) != tuple(expected)]

    def untold(self, now: datetime) -> list[str]:
        """Signers whose only address a message did not reach, which matters still, and of whom no mail tells."""
        mails = "\n".join(sent.text for sent in self._provider.mails)
        bounced = [s for s in self._book if s.notice in self._provider.receipts.bounced and self._matters(s)]
        names = {self._whose[s.to][1].name for s in bounced}
        by_records = (u for key, r in self.requests.items() for u in unreached.untold(r, self._of(key), now, TELLING))
        return [
            *(name for name in names if name not in mails),
            *(u.notice for u in by_records),
        ]

    def _of(self, request: str) -> dict[str, NoticeRecord]:
        return {key: r for key, r in self.records.items() if r.request_id == request}

    def _matters(self, sent: Sent) -> bool:
        """An invitation or a reminder of whoever waits for ever, and any completion."""
        play, person = self._whose[sent.to]
        waits = waits_for_ever(play, person) and not (play.has("revise") or play.delegated)
        return len(person.channels) == 1 and sent.kind != "progress" and (sent.kind == "completion" or waits)

    def unknown_for_good(self) -> int:
        """How many notices are left of which nobody knows whether they arrived."""
        return sum(r.state is NoticeState.UNKNOWN for r in self.records.values())

    def to_be_asked(self) -> int:
        return sum(r.state is NoticeState.UNKNOWN and r.ask_at is not None for r in self.records.values())

    def unknowns(self) -> int:
        return sum(map(_lost_answers, self.records.values()))


def _detail(kind: str, record: NoticeRecord | None, about: str) -> str | int:
    round_ = record.round if record else 1
    return {"invitation": round_, "progress": told_of(about, round_)}.get(kind, record.reminder_day if record else 0)


def _lost_answers(record: NoticeRecord) -> int:
    return sum(s.state is NoticeState.UNKNOWN and not s.why.startswith(NOT_AGAIN) for s in record.history)
