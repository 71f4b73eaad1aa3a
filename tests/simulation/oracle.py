"""What a run must have led to, worked out from its script and the provider's book, and not by the relay's own rules.

Each rule returns sentences, one for each breach. Where a fault makes two outcomes right, the rule is silent.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import msgspec

from shared.domain.model import ChannelName, NoticeRecord, NoticeState, Request, Role, SignerState, Status
from tests.simulation.ports import SimFinder
from tests.simulation.run import Played, Sent
from tests.simulation.script import Facts, Person, Row

ENDS = (NoticeState.ACCEPTED, NoticeState.FAILED, NoticeState.DELIVERED, NoticeState.UNDELIVERED)
ONCE_MORE = ("invitation", "completion")  # what may be tried again after a lost answer
SECOND, MINUTE, HOUR, DAY = (timedelta(seconds=n) for n in (1, 60, 3_600, 86_400))
CLOCKS = timedelta(seconds=5)  # how far apart two may be
UNDER_WAY = timedelta(seconds=175)  # a function's time-out, a lease, a provider's deadline, two clocks


def breaches(played: Played) -> list[tuple[str, str]]:
    """(rule, sentence) of all that went wrong."""
    oracle = Oracle(played)
    return [(name, what) for name, rule in RULES.items() for what in rule(oracle)]


class Oracle:
    def __init__(self, played: Played) -> None:
        self.p = played
        self.ledger = played.relay.ports.ledger

    # -- what is known

    @cached_property
    def final(self) -> Facts | None:
        return self.p.versions[-1] if self.p.versions else None

    @cached_property
    def settled_at(self) -> datetime:
        """From when on nothing happens any more, and nothing goes wrong."""
        last = self.p.start + timedelta(seconds=max((a.at for a in self.p.script.acts), default=0.0))
        return max(last, self.p.disturbed_until, *[h[0] for h in self.p.hooks], *self.p.times, self.p.start)

    @cached_property
    def bound(self) -> timedelta:
        """How long the repair of anything may take: a lost webhook is found by a recheck."""
        age = self.settled_at - self.p.start
        # Then the request is read once a day.
        rare = "expire" in self.acts or "request_complete" in self.forged or "request_expired" in self.forged
        rare = rare or ("status", "expired") in self.decided or self.outdated
        return min(max(2 * HOUR, age), DAY) + HOUR + DAY * bool(self.p.policy.window) + 1.2 * DAY * rare

    @cached_property
    def outdated(self) -> bool:
        """Whether a Signed webhook may have been handled when its signature was undone: it falls after a day."""
        signed = [(at, who) for at, kind, who in self.p.hooks if kind == "request_signed"]
        return any(self._undone(who, at, max(at, self.p.disturbed_until) + HOUR) for at, who in signed)

    def _undone(self, who: str, since: datetime, until: datetime) -> bool:
        first = max(self.p.version_at(since), 0)
        times = zip(self.p.times[first:], self.p.versions[first:], strict=True)
        return any(at <= until and not _signed(facts, who) for at, facts in times)

    @cached_property
    def decided(self) -> set[Any]:
        """What went wrong, the first two figures of each."""
        return {d[:2] for of in self.p.made.values() for d in of.values() if d[0] != "receipt"}

    @cached_property
    def at_rest(self) -> bool:
        return self.p.end - self.settled_at >= self.bound

    @cached_property
    def request(self) -> Request | None:
        found = self.ledger.documents.get((Request, "r1"))
        return found[0] if found else None

    @cached_property
    def acts(self) -> set[str]:
        return {a.what for a in self.p.script.acts}

    @cached_property
    def announced(self) -> bool:
        """A Sent counts within a day of the first webhook; later, only a revision that the API has shown."""
        first = min((at for at, _, _ in self.p.hooks), default=self.p.start)
        sent = (at for at, kind, _ in self.p.hooks if kind == "request_sent")
        return any(at - first < DAY for at in sent) or (self.revisions > 0 and self.seen)

    @cached_property
    def forged(self) -> set[str]:
        return {a.value for a in self.p.script.acts if a.what == "forged"}

    @cached_property
    def refused(self) -> set[str]:
        """Addresses that a provider has refused, or could not reach: what follows for them may differ."""
        channels = self.p.relay.ports.channels.values()
        return self.p.refused.union(*(c.refused for c in channels))

    @cached_property
    def revisions(self) -> int:
        return self.final.revision if self.final else 0

    @cached_property
    def went_back(self) -> bool:
        """Whether an answer from before a revision came after a newer one. Nobody can tell: one more round is right."""
        shown = [self.p.versions[i].revision for _, i in sorted(self.said)]
        return shown != sorted(shown)

    @cached_property
    def told(self) -> list[tuple[datetime, int]]:
        """When a whole answer was stored: its task ended well. The version of the facts that it showed."""
        ended = [(at, t) for at, t, how in self.p.tasks if how == "ok" and not t.label.startswith("deliver")]
        last = [(at, task.told[task.stored - 1]) for at, task in ended if task.stored]
        return [(at, i) for at, (_, i, whole) in last if whole and i >= 0]

    @cached_property
    def said(self) -> list[tuple[datetime, int]]:
        """When an answer came, whether or not it had an effect."""
        return [(at, i) for _, task, _ in self.p.tasks for at, i, _ in task.told if i >= 0]

    def known(self, sent: Sent) -> list[int]:
        """The newest version of the facts that the relay must have known when it began to deliver this, and newer ones
        that it may have known.
        """
        begun = sent.task.started - SECOND
        own = [i for _, i, honest in sent.task.told if honest]
        surely = max([i for at, i in self.told if at < begun] + own, default=-1)
        return [surely, *(i for at, i in self.said if at <= sent.at and i > surely)] if surely >= 0 else []

    def addresses(self, name: str) -> set[str]:
        rows = (f.row(name) for f in self.p.versions)
        return {a for row in rows if row for a in (row.person.mobile, row.person.email) if a}

    def strangers(self, name: str, until: datetime) -> dict[str, datetime]:
        """Addresses that are not this signer's, and when an answer last showed them as theirs."""
        mistaken = self.p.relay.ports.api.mistaken
        return {to: at for at, who, to in mistaken if who == name and at <= until}

    def channels(self, person: Person) -> list[str]:
        """The addresses at which this person is told everything."""
        wanted, _, first = self.p.policy.channels.partition("-")
        both = {"sms": person.mobile, "email": person.email}
        if first:
            order = (wanted, "email" if wanted == "sms" else "sms")
            return [both[c] for c in order if both[c]][:1]
        chosen = person.send_to if wanted == "send_to" and person.send_to else ("sms", "email")
        return [both[c] for c in chosen if both[c]]

    @cached_property
    def by_effect(self) -> dict[tuple[str, str, str, int, str], list[Sent]]:
        found: dict[tuple[str, str, str, int, str], list[Sent]] = defaultdict(list)
        for sent in self.p.book:
            found[sent.effect].append(sent)
        return found

    def disturbed_tries(self, kind: str, name: str, detail: int | str = "") -> int:
        """Tries to send whose outcome may not be known: each may have ended as `unknown`."""
        start = f"deliver {kind} {detail}".strip() + " "
        tasks = [t for _, t, _ in self.p.tasks if t.label.startswith(start) and f" {name} " in t.label]
        frozen = [t for t in tasks if t.ended_at is None or t.ended_at - t.started > 80 * SECOND]
        return sum(t.cut for t in tasks) + len(frozen)

    # -- the rules

    def broken(self) -> Iterator[str]:
        if self.p.broken:
            yield self.p.broken

    def doubled(self) -> Iterator[str]:
        for effect, sents in self.by_effect.items():
            if self.unsure & {effect[0], effect[4]}:
                continue
            notices = defaultdict(list)
            for sent in sents:
                notices[sent.notice].append(sent)
            allowed = 1 + self.p.resends + (0 if effect[2] == "completion" else self.revisions + self.went_back)
            if len(notices) > allowed:
                yield f"{effect}: {len(notices)} notices, {allowed} due"
            for tries in notices.values():
                if len(tries) > 1 and not self._second_try(tries):
                    yield f"{effect}: sent {len(tries)} times, at {[f'{s.at:%d %H:%M:%S}' for s in tries]}"

    def _second_try(self, tries: list[Sent]) -> bool:
        """A try whose outcome was not known, and one more, long enough after it."""
        first, *rest = tries
        apart = rest[0].at - first.task.started > timedelta(seconds=890)
        ended = first.task.ended_at
        unknown = first.task.cut or ended is None or ended > rest[0].task.started - SECOND
        unknown = unknown and not self._can_be_asked(first.provider, first.notice)
        return len(rest) == 1 and first.kind in ONCE_MORE and unknown and apart

    def _can_be_asked(self, provider: str, notice: str) -> bool:
        """Whether the provider says in the end what became of it. It is asked about the address that is stored."""
        channel = self.p.relay.ports.channels[ChannelName(provider)]
        moved = {"correct", "delegate", "remove", "add"} & self.acts or self._lied_about_signers or self.unsure
        return isinstance(channel, SimFinder) and notice not in channel.could_not_say and not moved

    def other_channel(self) -> Iterator[str]:
        """With a channel in reserve, the same thing goes by both only after the first has failed."""
        if not self.p.policy.channels.endswith("-first") or self.p.resends or "correct" in self.acts:
            return
        lies = sum(d[0].startswith("without") for of in self.p.made.values() for d in of.values())
        both: dict[tuple[Any, ...], set[str]] = defaultdict(set)
        for sent in self.p.book:
            both[sent.name, sent.kind, sent.day, sent.about, sent.round].add(sent.provider)
        for effect, providers in both.items():
            said = self.strangers(effect[0], self.p.end).keys()  # where an answer was believed
            failed = self.refused & (self.addresses(str(effect[0])) | said) or self.failed_receipts
            if len(providers) > 1 and not failed and lies < 2 and not self._met_without_number(effect[0]):
                yield f"{effect}: by both channels"

    def _met_without_number(self, name: str) -> bool:
        """Whether the first answer that was stored of them lacked their number.

        A number that comes back may as well be one that the sender has added, for somebody who does not read their
        e-mail. Not to invite them by it would be worse than one invitation by both channels.
        """
        stored = sorted((*task.told[task.stored - 1][:2], task.label) for _, task, _ in self.p.tasks if task.stored)
        answers = [(i, of) for _, i, of in stored if i >= 0 and self.p.versions[i].row(name)]
        first = next((a for a in answers if not self._hidden(name, "without a signer", *a)), None)
        return first is not None and self._hidden(name, "without a number", *first)

    def _hidden(self, name: str, how: str, version: int, task: str) -> bool:
        """Whether an answer to this task was wrong about this signer in this way."""
        rows = self.p.versions[version].rows
        wrong = [d[1] for d in self.p.made.get(task, {}).values() if d[0] == how]
        return any(rows[n % len(rows)].person.name == name for n in wrong)

    @cached_property
    def failed_receipts(self) -> bool:
        decisions = (d for of in self.p.made.values() for d in of.values() if d[0] == "receipt")
        return any(state == "undelivered" for d in decisions for _, state in d[1])

    def wrong_person(self) -> Iterator[str]:
        for sent in self.p.book:
            if sent.name in self.unsure:
                continue
            if sent.to not in self.addresses(sent.name) and self._corrected_since(sent):
                yield f"{sent.effect}: not an address of theirs"
            if sent.link and sent.link != f"https://sign.test/{sent.name}":
                yield f"{sent.effect}: the link of {sent.link.rpartition('/')[2]}"

    def _corrected_since(self, sent: Sent) -> bool:
        """Whether no answer had shown this address as theirs, or a whole one had been stored after it."""
        shown = self.strangers(sent.name, sent.at).get(sent.to, self.p.end)
        return any(shown < at < sent.task.started - SECOND for at in self.stored) or shown == self.p.end

    @cached_property
    def stored(self) -> list[datetime]:
        """When the whole answers came that were stored."""
        stored = [task.told[task.stored - 1] for _, task, how in self.p.tasks if how == "ok" and task.stored]
        return [at for at, i, whole in stored if whole and i >= 0]

    def against_what_was_known(self) -> Iterator[str]:
        for sent in self.p.book:
            if sent.name not in self.unsure and (reason := self._forbidden(sent)):
                yield f"{sent.effect} at {sent.at:%d %H:%M:%S}: {reason}"

    def _asked_by_another(self, sent: Sent) -> bool:
        """One answer serves all messages of a minute, and those that read the request while it is being stored."""
        earliest = sent.task.started - MINUTE - UNDER_WAY
        return any(earliest <= asked <= sent.at for asked, _ in self.p.relay.ports.api.asked)

    def _forbidden(self, sent: Sent) -> str:
        asked = sent.task.told[-1][0] if sent.task.told else sent.task.started
        if sent.at - asked > UNDER_WAY:
            return f"rests on what was known {sent.at - asked} before"
        if sent.kind == "reminder" and not sent.task.told and not self._asked_by_another(sent):
            return "without asking the API"
        if sent.kind == "completion":
            return ""
        reasons = [self._against(sent, i) for i in self.known(sent)]
        return reasons[0] if reasons and all(reasons) else ""

    def _against(self, sent: Sent, known: int) -> str:
        """Why these facts forbid it; "" if they do not."""
        facts = self.p.versions[known]
        if facts.status is Status.COMPLETE and not self.p.script.silent:
            return "complete was known"
        if sent.kind in ("invitation", "reminder"):
            return self._not_due(sent, facts, facts.row(sent.name), known)
        return ""

    def _not_due(self, sent: Sent, facts: Facts, row: Row | None, known: int) -> str:
        if self.p.script.silent:
            return ""
        # a wrong answer may deny it just when a revision is seen, which needs two readings: its round takes both
        if row is not None and row.signed and not (facts.revision and ("unsigned",) in self.decided):
            return "their signature was known"
        if row is not None and row.role is not Role.SIGNER and self._long_known(sent, known):
            return "they had delegated"
        # One answer makes no new round; one without a signer, or a forged signature, may change whose turn it is.
        unsure = facts.revision or self._lied_about_signers or "request_signed" in self.forged
        if row is not None and row.role is Role.SIGNER and not facts.turn(row) and not unsure:
            return "it was not their turn"
        own = [i for _, i, honest in sent.task.told if honest]
        if sent.kind == "reminder" and own and len(own) == len(sent.task.told):
            shown = self.p.versions[own[-1]]
            if shown.status is not Status.OPEN:
                return f"the API had just said {shown.status}"
        was_there = any(f.row(sent.name) for f in self.p.versions[:known])
        return "they had left the request" if row is None and was_there and self._long_known(sent, known) else ""

    def _long_known(self, sent: Sent, known: int) -> bool:
        """That they need not sign: told at least three times, over half an hour."""
        begun, signs = sent.task.started, lambda i: self.p.versions[i].signs(sent.name)
        times = [at for at, i in self.told if at < begun and i <= known and not signs(i)]
        since = [at for at, i in self.told if at < begun and signs(i)]
        last = max(since, default=self.p.start)
        times = [at for at in times if at > last]
        return len(times) > 2 and begun - times[0] > 30 * MINUTE

    def untrue(self) -> Iterator[str]:
        """Ahead of the fact: a completion, or news of a signature."""
        for sent in self.p.book:
            if {sent.name, sent.about} & self.unsure:
                continue
            so_far = self.p.versions[: sent.version + 1]
            complete = any(f.status is Status.COMPLETE for f in so_far)
            if sent.kind == "completion" and not complete and (reason := self._unproven(sent)):
                yield f"{sent.effect}: nothing was complete, {reason}"
            signed = any(_signed(f, sent.about) for f in so_far)
            believed = self.p.script.silent and "request_signed" in self.forged
            if sent.kind == "progress" and not signed and not believed:
                yield f"{sent.effect}: {sent.about} had not signed"

    def _unproven(self, sent: Sent) -> str:
        """Why a forged Complete was not to be believed; "" if it was, because the API never says who has signed."""
        if not self.p.script.silent:
            return "and the API says so"
        heard = [(at, kind, who) for at, kind, who in self.p.posted if at <= sent.at]
        complete = min((at for at, kind, _ in heard if kind == "request_complete"), default=None)
        if complete is None:
            return "and no webhook said so"
        if not {"request_sent", "request_signed"} & {kind for _, kind, _ in heard}:
            return "and a Complete was the first that was heard of it"
        everyone = len({who for _, kind, who in heard if kind == "request_signed"})
        signers = sum(r.role is Role.SIGNER for r in self.p.versions[sent.version].rows)
        waited = sent.at - complete >= 10 * MINUTE - 10 * SECOND
        return "" if waited or everyone >= signers else f"{sent.at - complete} after its webhook"

    def forgery(self) -> Iterator[str]:
        """What was met in one way only is not to be made what it is not by one forged webhook."""
        if not self.forged or self.p.resends:
            return
        unsure = self.p.script.silent or any(d[0] in ("unsigned", "status") for d in self.decided)
        if not (unsure or self._alive(self.said) or self._kinds(27 * HOUR, self.p.posted) > 1):
            yield from (f"{s.effect}: of one kind of webhook" for s in self.p.book if s.kind == "completion")
        met = min((at for at, _ in self.told), default=self.p.end)
        sent = any(kind == "request_sent" and at < met + 26 * HOUR for at, kind, _ in self.p.posted)
        strict = self.acts <= {"sent", "sign", "forged"} and not self.p.script.ordered
        if strict and not sent:
            yield from (f"{s.effect}: it was not sent in time" for s in self.p.book if s.kind == "invitation")

    # -- lost

    def lost(self) -> Iterator[str]:
        facts = self.final
        if facts is None or not self.at_rest or not self.announced or self.excused:
            return
        for row in facts.rows:
            if row.person.name in self.unsure:
                continue
            for address in self.channels(row.person):
                if address not in self.refused:
                    yield from self._lost(facts, row, address)

    @cached_property
    def excused(self) -> bool:
        """Something visible to an operator holds it back, or the script has made it unclear what is due."""
        letters = any(self.p.relay.ports.letters.letters.values()) or self.expired_for_long
        unheard = any(not self._first("request_signed", name) for name in self.signatures)
        nameless = "delegate" in self.acts and any(not p.ids for p in self.p.script.people)
        unclear = unheard or nameless or self.forged or {"revise", "expire", "pause"} & self.acts
        silent = self.p.script.silent and unclear
        unproven = "revise" in self.acts and not self.shown
        forged = "request_signed" in self.forged or (self.forged and ("unsigned",) in self.decided)
        return letters or bool(silent) or unproven or bool(forged)

    @cached_property
    def shown(self) -> bool:
        """Whether the API has ever shown a signature: until then its denial of one proves nothing, by design."""
        told = {i for _, i in self.told}
        return any(row.signed for i in told for row in self.p.versions[i].rows)

    @cached_property
    def expired_for_long(self) -> bool:
        """An expired request is read again for a week; of a later extension nobody hears without a webhook."""
        expired = min(
            (t for t, f in zip(self.p.times, self.p.versions, strict=True) if f.status is Status.EXPIRED), default=None
        )
        return expired is not None and self.p.times[-1] - expired > 6 * DAY

    @cached_property
    def signatures(self) -> set[str]:
        """Who has signed at any time."""
        return {r.person.name for f in self.p.versions for r in f.rows if r.signed}

    @cached_property
    def unsure(self) -> set[str]:
        """Signers without an id, of whom a changed list cannot tell who is who."""
        moved = {"shuffle", "remove", "delegate", "add", "correct"} & self.acts or self._lied_about_signers
        moved = moved or self.p.script.silent
        return {p.name for p in self.p.script.people if not p.ids} if moved else set()

    @cached_property
    def _lied_about_signers(self) -> bool:
        return any(d[0].startswith(("without", "another")) for of in self.p.made.values() for d in of.values())

    def _lost(self, facts: Facts, row: Row, address: str) -> Iterator[str]:
        name = row.person.name
        unheard = self.p.script.silent and not self._heard("request_complete")
        if facts.status is Status.COMPLETE and self.proven and not unheard:
            yield from self._missing("completion", name, address)
        if facts.status is Status.OPEN and facts.turn(row):
            yield from self._missing("invitation", name, address)
            yield from self._lost_reminders(facts, row, address)
        if facts.status is Status.OPEN:
            yield from self._lost_progress(facts, row, address)

    @cached_property
    def proven(self) -> bool:
        """A completion is told if the request was read before it, or two kinds of webhook came: one may be forged."""
        return self._alive(self.told) or self._kinds(DAY, self.p.hooks) > 1

    def _alive(self, answers: list[tuple[datetime, int]]) -> bool:
        """Whether one of these answers shows it before its end."""
        return any(self.p.versions[i].status is not Status.COMPLETE for _, i in answers)

    def _kinds(self, within: timedelta, of: list[tuple[datetime, str, str]]) -> int:
        """How many kinds of webhook came within this time of the first that was taken."""
        first = min((at for at, _, _ in self.p.hooks), default=self.p.start)
        return len({kind for at, kind, _ in of if at - first <= within})

    def _heard(self, kind: str) -> bool:
        return any(k == kind for _, k, _ in self.p.hooks)

    def _missing(self, kind: str, name: str, address: str) -> Iterator[str]:
        """Due until the end. An answer lost twice is recorded as unknown, and may be that."""
        if kind == "invitation" and self._corrected_late(name):
            return  # an operator can send it to the new address
        if kind == "completion" and self._corrected(name) and any(d[0] == "stale" for d in self.decided):
            return  # it went to the address that the last answer showed
        if kind == "completion" and any(s.to in self.strangers(name, s.at) for s in self.completions):
            return  # so did this
        sents = [s for s in self.p.book if (s.name, s.to, s.kind) == (name, address, kind)]
        current = [s for s in sents if s.round > self.revisions] if kind == "invitation" and self.seen else sents
        if not current and self.disturbed_tries(kind, name) < 2 and not self._stands_in(kind, name):
            yield f"{kind} to {name} at {address}"

    @cached_property
    def completions(self) -> list[Sent]:
        return [s for s in self.p.book if s.kind == "completion"]

    def _corrected(self, name: str) -> bool:
        """Whether they had another address for some time, or an answer said so."""
        said = bool(self.strangers(name, self.p.end))
        return said or any((a.what, a.who) == ("correct", name) for a in self.p.script.acts)

    def _corrected_late(self, name: str) -> bool:
        acts = self.p.script.acts
        corrected = [a.at for a in acts if (a.what, a.who) == ("correct", name)]
        again = [a.at for a in acts if a.what in ("resume", "extend")] if corrected else []
        return max([*corrected, *again], default=0.0) > 5 * DAY.total_seconds()

    @cached_property
    def seen(self) -> bool:
        """Every revision was seen as such: the relay asked before the signers signed anew."""
        return self.request is not None and self.request.round == self.revisions + 1

    def _stands_in(self, kind: str, name: str) -> bool:
        """By the other channel, under a policy that holds one in reserve."""
        if not self.p.policy.channels.endswith("-first"):
            return False
        return any((s.name, s.kind) == (name, kind) for s in self.p.book)

    def in_reserve(self) -> Iterator[str]:
        """What the first channel refused for good goes by the other."""
        facts = self.final
        if facts is None or not self.p.policy.channels.endswith("-first") or self.excused or not self.at_rest:
            return
        moved = {"correct", "delegate", "remove", "add", "clear", "revise", "shuffle"} & self.acts
        if moved or self.unsure or self._lied_about_signers or not self.announced or self.forged:
            return
        kind = {Status.COMPLETE: "completion", Status.OPEN: "invitation"}.get(facts.status, "")
        for row in facts.rows if kind else ():
            both = {a for a in (row.person.mobile, row.person.email) if a}
            reached = any((s.name, s.kind) == (row.person.name, kind) for s in self.p.book)
            heard = self._heard("request_complete") or not self.p.script.silent
            due = self.proven and heard if kind == "completion" else facts.turn(row)
            unsure = self.disturbed_tries(kind, row.person.name) > 1
            if due and self.refused & both and len(both) == 2 and not self.refused >= both and not (reached or unsure):
                yield f"{kind} to {row.person.name}: by neither channel"

    def stopped(self) -> Iterator[str]:
        """No reminder after an operator has stopped them. A restart that was cut off may have been stored."""
        cut = any(task.label.startswith("operate restart") and how != "ok" for _, task, how in self.p.tasks)
        for sent in self.p.book if not cut else ():
            states = [stopped for at, stopped in self.p.stopped if at < sent.task.started - SECOND]
            if sent.kind == "reminder" and states and states[-1] and not self.p.resends:
                yield f"{sent.effect} at {sent.at:%d %H:%M:%S}"

    def suppressed(self) -> Iterator[str]:
        """Nothing goes to an address after a receipt has said that it is at fault, until an operator clears it."""
        whose = {s.notice: s.to for s in self.p.book}
        faults = [(at, whose[notice]) for at, notice, _, suppress in self.p.receipts if suppress]
        for sent in self.p.book if "clear" not in self.acts else ():
            if any(to == sent.to and at < sent.task.started - SECOND for at, to in faults):
                yield f"{sent.effect} at {sent.at:%d %H:%M:%S}"

    def receipts(self) -> Iterator[str]:
        """What a receipt said of a message that left once is what is known of it."""
        if "outage" in self.acts:
            return  # one may be recorded although its publication failed
        times, states = defaultdict(int), defaultdict(set)
        for sent in self.p.book:
            times[sent.notice] += 1
        for _, notice, state, _ in self.p.receipts:
            states[notice].add(state)
        for notice, told in states.items():
            found = self.ledger.documents.get((NoticeRecord, notice))
            if found is None or times[notice] != 1 or told == {"accepted"} or self.p.end - self.settled_at < 3 * HOUR:
                continue
            if found[0].state.value not in told:
                yield f"{found[0].kind}: known as {found[0].state}, told {sorted(told)}"

    def _lost_reminders(self, facts: Facts, row: Row, address: str) -> Iterator[str]:
        name = row.person.name
        ignored = {"request_sent", "request_expired"} >= self.forged and not self.p.script.silent
        if self.p.stopped or "stop" in self.acts or not ignored or self._corrected(name):  # the days may count anew
            return
        invited = [s for s in self.p.book if (s.name, s.to, s.kind) == (name, address, "invitation")]
        last_change = max(self.p.times[-1], self.settled_at)
        for day in self.p.policy.reminder_days if invited else ():
            due = invited[0].at + day * DAY
            later = [d for d in self.p.policy.reminder_days if d > day]
            overtaken = later and invited[0].at + later[0] * DAY <= last_change + HOUR
            window = DAY if self.p.policy.window else timedelta(0)
            counted = max(invited[0].at, self._back_by(name)) + day * DAY
            if overtaken or due < last_change + HOUR or counted > self.p.end - self.bound - window:
                continue
            if self.revisions or self.disturbed_tries("reminder", name, day):
                continue
            sents = [s for s in self.p.book if (s.name, s.to, s.kind, s.day) == (name, address, "reminder", day)]
            if not sents:
                yield f"reminder of day {day} to {name} at {address}"
                continue
            before = (s.at for s in invited if s.at <= sents[0].at)  # an operator may send it again, also later
            apart = max(before, default=due - 12 * HOUR) + 12 * HOUR
            if sents[0].at > max(max(counted, apart) + 10 * MINUTE, last_change + self.bound) + window:
                yield f"reminder of day {day} to {name}: late by {sents[0].at - due}"

    def _back_by(self, name: str) -> datetime:
        """When it was known at the latest that they are on the open request again: their days count from then."""
        there = [facts.row(name) is not None for facts in self.p.versions]
        back = [n for n, here in enumerate(there) if here and any(there[:n]) and not there[n - 1]]
        known = [at for at, facts in self._since(back[-1]) if facts.status is Status.OPEN] if back else []
        return min(known) + self.bound if known else self.p.start

    def _since(self, version: int) -> list[tuple[datetime, Facts]]:
        return list(zip(self.p.times, self.p.versions, strict=True))[version:]

    def _lost_progress(self, facts: Facts, row: Row, address: str) -> Iterator[str]:
        if self.p.policy.progress_to == "none" or self.revisions or self.p.script.silent:
            return
        if self._corrected(row.person.name) or "expire" in self.acts or "request_complete" in self.forged:
            return  # whoever is invited anew reads of it there; what comes while it is expired or disputed is dropped
        invited = [s.at for s in self.p.book if (s.name, s.kind) == (row.person.name, "invitation")]
        for other in facts.rows:
            about = other.person.name
            if not other.signed or row.role is not Role.SIGNER or (about == row.person.name):
                continue
            signed_at = next(t for t, f in zip(self.p.times, self.p.versions, strict=True) if _signed(f, about))
            away = self._back_by(row.person.name) > signed_at
            if not invited or away or invited[0] > signed_at - 5 * MINUTE or self.settled_at - signed_at > 16 * HOUR:
                continue
            key = (row.person.name, address, "progress", about)
            sents = [s for s in self.p.book if (s.name, s.to, s.kind, s.about) == key]
            if not sents and not self.disturbed_tries("progress", row.person.name, self._number(about)):
                yield f"progress about {about} to {row.person.name} at {address}"

    def _number(self, name: str) -> int | str:
        """By which the relay calls this signer; "" once their data is gone."""
        signers = self.request.signers.values() if self.request else ()
        return next((s.number for s in signers if s.name == name), "")

    # -- late, stuck, silent

    def late(self) -> Iterator[str]:
        """Where nothing went wrong, everything is on time."""
        if (
            self.p.disturbed_until > self.p.start
            or self.p.policy.window
            or self.forged
            or {"outage", "unreadable"} & self.acts
        ):
            return
        for sent in self.p.book:
            heard = self._heard_twice() or sent.at
            most = (25 if self.p.script.silent else 10) * MINUTE  # a silent API leaves it unproven for ten minutes
            if sent.kind == "completion" and sent.at - heard > most and not self.p.resends:
                yield f"{sent.effect}: {sent.at - heard} after its webhook"
            plain = not (self.p.script.skew or self.p.resends) and len(self.p.times) == 1
            if sent.kind == "reminder" and plain:
                invited = min(s.at for s in self.p.book if s.name == sent.name)
                if sent.at - invited - sent.day * DAY > MINUTE:
                    yield f"{sent.effect}: late by {sent.at - invited - sent.day * DAY}"

    def _heard_twice(self) -> datetime | None:
        """When a completion was heard of, and of something else: one webhook alone may be forged."""
        other = min((at for at, kind, _ in self.p.hooks if kind != "request_complete"), default=None)
        complete = self._first("request_complete", "")
        return max(complete, other) if complete and other else None

    def _first(self, kind: str, who: str) -> datetime | None:
        return min((at for at, k, w in self.p.hooks if (k, w) == (kind, who)), default=None)

    def too_close(self) -> Iterator[str]:
        """A reminder is no second invitation."""
        first: dict[tuple[str, str], datetime] = {}
        for sent in self.p.book:
            if sent.kind == "invitation":
                first.setdefault((sent.name, sent.to), sent.at)
            invited = first.get((sent.name, sent.to))
            plain = not (self.revisions or self.p.resends or self._corrected(sent.name) or self.refused)
            if plain and sent.kind == "reminder" and invited and sent.at - invited < 12 * HOUR - 2 * CLOCKS:
                yield f"{sent.effect}: {sent.at - invited} after the invitation"

    def stuck(self) -> Iterator[str]:
        """Begun or published, and neither sent nor ended with a reason."""
        final = self.final
        held = final is None or final.status in (Status.PAUSED, Status.EXPIRED) or self.forged
        if held or not self.at_rest or self.p.script.silent or any(self.p.relay.ports.letters.letters.values()):
            return
        purged = {key for _, key, _ in self.p.relay.purges}
        for key, notice in self.p.relay.published.items():
            found = self.ledger.documents.get((NoticeRecord, key))
            what = f"{notice.kind} {notice.reminder_day or notice.about} {notice.channel} round {notice.round}"
            if found is None and key not in purged and not self._forgotten and not self._held_back(notice):
                yield f"{what}: no record"
            elif found and found[0].state in (NoticeState.PLANNED, NoticeState.SENDING) and not self._waits(found[0]):
                yield f"{what}: {found[0].state}"
            elif found and found[0].state is NoticeState.UNKNOWN and self._can_be_asked(notice.channel, key):
                yield f"{what}: unknown, though its provider can be asked"

    def _waits(self, record: NoticeRecord) -> bool:
        """For their turn: a first answer that lacked somebody before them has begun it too early."""
        signer = self.request.signers.get(record.signer) if self.request else None
        row = self.final.row(signer.name) if signer and self.final else None
        return row is not None and not row.signed and self.final is not None and not self.final.turn(row)

    @cached_property
    def _forgotten(self) -> bool:
        return self.request is None or self.request.forgotten

    def _held_back(self, notice: Any) -> bool:
        """Lost on its way, and no longer due; or kept back for a signer whose turn or address may come back."""
        return self.p.disturbed_until > self.p.start or bool({"remove", "delegate", "correct"} & self.acts)

    def forgotten_acceptance(self) -> Iterator[str]:
        """In the book, and the ledger says that it was not sent."""
        if self.p.end - self.settled_at < 3 * HOUR or self.refused or self.p.resends:
            return
        for sent in self.p.book:
            found = self.ledger.documents.get((NoticeRecord, sent.notice))
            if found and found[0].state in (NoticeState.FAILED, NoticeState.SUPPRESSED, NoticeState.PLANNED):
                yield f"{sent.effect}: {found[0].state}, {found[0].reason}"

    def letters(self) -> Iterator[str]:
        """Only what cannot be read, or names nothing known, ends as a dead letter."""
        if {"unreadable", "outage"} & self.acts:
            return
        for topic, held in self.p.relay.ports.letters.letters.items():
            for letter in held:
                if not self._forgotten:
                    yield f"{topic}: {letter.reason}"

    # -- state

    def state(self) -> Iterator[str]:
        """In the end the relay knows what is so."""
        facts, request = self.final, self.request
        if facts is None or request is None or not self.at_rest or self._ended_long_ago or self.excused:
            return
        if self.p.script.silent or self.p.relay.ports.api.outage is not None:
            return
        if request.status is not facts.status:
            yield f"the request is {facts.status}, known as {request.status}"
        by_name = {s.name: s for s in request.signers.values() if s.state is not SignerState.REMOVED}
        for row in facts.rows:
            signer = by_name.get(row.person.name)
            if row.person.name in self.unsure:
                continue
            if signer is None:
                yield f"{row.person.name} is not known"
            elif row.role is Role.SIGNER and (signer.state is SignerState.SIGNED) != row.signed:
                yield f"{row.person.name} is known as {signer.state}, signed is {row.signed}"

    @cached_property
    def _ended_long_ago(self) -> bool:
        return self._forgotten or self.p.end - self.settled_at > 6 * DAY

    def round(self) -> Iterator[str]:
        """No more rounds than revisions."""
        if self.request and self.request.round > 1 + self.revisions + self.went_back and not self.unsure:
            yield f"round {self.request.round}, after {self.revisions} revisions"

    def status_stream(self) -> Iterator[str]:
        """What a consumer shows in the end is what is known of the request."""
        letters = any(self.p.relay.ports.letters.letters.values())  # their replay tells what is missing
        if self.request is None or not self.at_rest or self._forgotten or letters:
            return
        shown = consumer([data for _, data in self.p.relay.statuses if b'"clickwrap.request.' in data])
        if shown is None:
            yield "nothing was told"
            return
        states = {k: s.state.value for k, s in self.request.signers.items()}
        expected = (self.request.status.value, self.request.round, states)
        signers = {k: s["state"] for k, s in shown["signers"].items()}
        if (shown["status"], shown["round"], signers) != expected:
            yield f"a consumer shows {shown}, it is {expected}"

    def notice_stream(self) -> Iterator[str]:
        """So is what became of each message, but for a receipt that its provider gave up to repeat."""
        if (
            not self.at_rest
            or self.p.end - self.settled_at < 3 * HOUR
            or any(self.p.relay.ports.letters.letters.values())
        ):
            return
        taken = {(notice, state) for _, notice, state, _ in self.p.receipts}
        told: dict[str, list[bytes]] = defaultdict(list)
        for _, data in self.p.relay.statuses:
            if b'"clickwrap.notice.' in data:
                told[msgspec.json.decode(data)["data"]["notice"]].append(data)
        for key, record in self.ledger.all(NoticeRecord).items():
            shown = consumer(told[key])
            state = shown["state"] if shown else ""
            known = record.state in ENDS and ((key, record.state) in taken or record.state not in ENDS[2:])
            if record.signer and known and record.state != state:
                yield f"{record.kind} {record.channel}: a consumer shows {state or 'nothing'}, it is {record.state}"

    # -- personal data, budget

    def kept(self) -> Iterator[str]:
        """Personal data past its retention."""
        final, policy = self.final, self.p.policy
        if final is None:
            return
        ended = self.settled_at + self.bound
        if final.status not in (Status.COMPLETE, Status.EXPIRED):
            ended += timedelta(days=max(policy.reminder_days) + 31)
        if self.p.end - ended < timedelta(days=policy.retention_days + 2):
            return
        rows = [r for f in self.p.versions for r in f.rows]
        personal = {a for r in rows for a in (r.person.mobile, r.person.email) if a}
        personal |= {address for _, _, address in self.p.relay.ports.api.mistaken}
        for (kind, key), (item, _) in self.ledger.documents.items():
            text = repr(item)
            if any(a in text for a in personal) and key != "r0":
                yield f"{kind.__name__} {key[:8]} holds an address {self.p.end - self.settled_at} after the end"

    def budget(self) -> Iterator[str]:
        """Calls of the API within a day, when nothing happens any more: for one notice, and for all else.

        A recheck comes after half the time since the last news, a deferred notice after twice as long each time. A
        completion that the API denies is asked about at each hour of a day. A recheck leaves its question to a reminder
        that waits, so that a day of both counts as the reminder's.
        """
        rechecks = 40 if self.forged else 20
        calls: dict[str, list[datetime]] = defaultdict(list)
        for at, notice in self.p.relay.ports.api.asked:
            if at > self.settled_at + HOUR:
                calls[notice].append(at)
        for notice, times in calls.items():
            most, first = (16 if notice else rechecks), 0
            for n, at in enumerate(times):
                while at - times[first] > DAY:
                    first += 1
                if n - first + 1 > most:
                    yield f"{n - first + 1} calls within a day for {notice[:8] or 'rechecks'}, {most} would do"
                    break

    def asked_in_vain(self) -> Iterator[str]:
        """A reminder that has left is not asked for again."""
        left: dict[str, datetime] = {}
        for at, task, how in self.p.tasks:
            for sent in task.booked:
                if how == "ok" and not task.disturbed:
                    left.setdefault(sent.notice, at)
            again = task.label.startswith("deliver reminder") and task.told and task.notice in left
            if again and task.started > left[task.notice]:
                yield f"{task.label}: the API was asked for a reminder that had left"


def consumer(events: list[bytes]) -> dict[str, Any] | None:
    """What a consumer shows that follows the documentation."""
    known, shown, newest = set[str](), None, ""
    for data in events:
        event = msgspec.json.decode(data)
        if event["id"] in known:
            continue
        known.add(event["id"])
        place = event.get("sequence") or event["data"].get("sequence") or event["time"]
        place = f"{place:020d}" if isinstance(place, int) else str(place)
        if place >= newest:
            newest, shown = place, event["data"]
    return shown


def _signed(facts: Facts, name: str) -> bool:
    row = facts.row(name)
    return row is not None and row.signed


Rule = Callable[[Oracle], Iterator[str]]
RULES: dict[str, Rule] = {
    "broken": Oracle.broken,
    "doubled": Oracle.doubled,
    "other channel": Oracle.other_channel,
    "wrong person": Oracle.wrong_person,
    "against what was known": Oracle.against_what_was_known,
    "untrue": Oracle.untrue,
    "forgery": Oracle.forgery,
    "lost": Oracle.lost,
    "late": Oracle.late,
    "in reserve": Oracle.in_reserve,
    "stopped": Oracle.stopped,
    "suppressed": Oracle.suppressed,
    "receipts": Oracle.receipts,
    "too close": Oracle.too_close,
    "stuck": Oracle.stuck,
    "forgotten acceptance": Oracle.forgotten_acceptance,
    "dead letters": Oracle.letters,
    "state": Oracle.state,
    "round": Oracle.round,
    "status stream": Oracle.status_stream,
    "notice stream": Oracle.notice_stream,
    "kept": Oracle.kept,
    "budget": Oracle.budget,
    "asked in vain": Oracle.asked_in_vain,
}
