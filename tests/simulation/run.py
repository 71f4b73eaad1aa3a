"""One run: a script played against the relay in virtual time, with what goes wrong decided elsewhere."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Any

import phonenumbers

from shared.domain import policy, search, signers
from shared.domain.errors import OutcomeUnknown, RetryLater
from shared.domain.model import ChannelName, NoticeRecord, NoticeState, Request, Status, Suppression
from shared.domain.policy import Policy
from shared.domain.receipts import Receipt
from shared.ports import Outgoing
from shared.services.operator_actions import ActionRefused, Why
from tests.fakes import START
from tests.simulation.chance import Chance, Given
from tests.simulation.kernel import Decision, Decisions, Kernel, Task
from tests.simulation.relay import Instance, Relay
from tests.simulation.script import HOOKS, Act, Facts, Row, Script, after

MAX_STEPS = 60_000
WHY = Why("op@example.com", "a test")


@dataclass
class Sent:
    """A line of the provider's book."""

    at: datetime
    provider: str
    to: str
    notice: str
    kind: str
    day: int
    about: str
    round: int
    name: str
    link: str
    task: Task
    version: int  # of the facts, at that time

    @property
    def effect(self) -> tuple[str, str, str, int, str]:
        return self.name, self.to, self.kind, self.day, self.about


@dataclass
class Played:
    """What a run leaves for the oracle."""

    script: Script
    policy: Policy
    relay: Relay
    start: datetime
    end: datetime
    versions: list[Facts] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)  # of the versions
    book: list[Sent] = field(default_factory=list)
    mails: list[str] = field(default_factory=list)  # notices of the mails to the sender
    hooks: list[tuple[datetime, str, str]] = field(default_factory=list)  # taken: when, type, whose
    posted: list[tuple[datetime, str, str]] = field(default_factory=list)  # the same at the first try, taken or not
    offered: int = 0
    resends: int = 0
    stopped: list[tuple[datetime, bool]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)  # addresses that a provider refused for good, or could not reach
    tasks: list[tuple[datetime, Task, str]] = field(default_factory=list)  # ended: when, which, how
    receipts: list[tuple[datetime, str, str, bool]] = field(
        default_factory=list
    )  # taken: when, notice, state, suppress
    disturbed_until: datetime = START
    pairs: set[tuple[str, ...]] = field(default_factory=set)
    made: Decisions = field(default_factory=dict)
    broken: str = ""

    def version_at(self, at: datetime) -> int:
        return sum(t <= at for t in self.times) - 1


def play(script: Script, chance: Chance | Given, *, trace: list[str] | None = None) -> Played:
    """Plays to the end. The same script and the same chance give the same run."""
    with quiet():
        return _Play(script, chance, trace).run()


class _Play:
    def __init__(self, script: Script, chance: Chance | Given, trace: list[str] | None) -> None:
        self.script, self._chance = script, chance
        self.kernel = Kernel(START, self._decide)
        self.kernel.trace = trace
        chance.start(self.kernel, START + timedelta(seconds=script.calm))
        policy = Policy(**dict(script.policy))
        self.relay = Relay(self.kernel, policy, script.skew, script.askable)
        self.relay.ports.api.silent = script.silent
        end = START + timedelta(seconds=script.ends)
        self.played = Played(script, policy, self.relay, START, end, disturbed_until=START)
        self.relay.on_taken, self.relay.on_end = self._taken, self._ended
        self._people = {p.name: p for p in script.people}
        self._facts: Facts | None = None
        chance.watch(self.relay, script)

    def run(self) -> Played:
        for act in self.script.acts:
            self.kernel.at(START + timedelta(seconds=act.at), lambda act=act: self._act(act))
        self._sweep()
        try:
            self.kernel.run(self.played.end, MAX_STEPS)
        except RuntimeError as e:
            self.played.broken = str(e)
        self.kernel.close()
        self.played.made = self._chance.made
        return self.played

    def _decide(self, task: Task, name: str) -> Decision | None:
        decision = self._chance(task, name)
        if decision is not None:
            self._note_fault(task, name, decision)
        return decision

    def _note_fault(self, task: Task, name: str, decision: Decision) -> None:
        what = decision[0]
        lasts = decision[1] if what in ("slow", "late", "arrives", "fires") else 0.0
        if what == "receipt":
            lasts = max(delay for delay, _ in decision[1])
        if what in ("instance",) or (what == "slow" and lasts <= 2.0):
            return
        until = self.kernel.now + timedelta(seconds=lasts or 0.0)
        self.played.disturbed_until = max(self.played.disturbed_until, until)
        handler, call = task.label.partition(" ")[0].partition("/")[0], name
        self.played.pairs.add((handler, call, self._state(), str(what)))

    def _state(self) -> str:
        found = self.relay.ports.ledger.documents.get((Request, "r1"))
        if found is None:
            return "none"
        states = "".join(sorted(s.state.value[0] for s in found[0].signers.values()))
        return f"{found[0].status.value} {states}"

    # -- the script

    def _act(self, act: Act) -> None:
        self.kernel.note("#", act.what, act.who)
        if act.what in ("outage", "unreadable", "poison", "forged") or act.what in OPERATOR:
            getattr(self, f"_{act.what}")(act)
        elif act.what == "sent":
            rows = tuple(Row(p) for p in self.script.people if not p.name.startswith("dan"))
            self._happened(Facts(act.at, Status.OPEN, rows, self.script.ordered), act)
        elif self._facts is not None:
            new = after(self._facts, act, self._people)
            if new is not self._facts:
                self._happened(new, act)

    def _happened(self, facts: Facts, act: Act) -> None:
        before, self._facts = self._facts, facts
        self.played.versions.append(facts)
        self.played.times.append(self.kernel.now)
        self.relay.ports.api.versions.append((self.kernel.now, facts.answer(silent=self.script.silent)))
        if act.what in HOOKS:
            self._post(HOOKS[act.what], act.who, act.hooks)
        if facts.status is Status.COMPLETE and (before is None or before.status is not Status.COMPLETE):
            self._post("request_complete", "", act.ended)

    def _post(self, kind: str, who: str, copies: tuple[tuple[float, str], ...]) -> None:
        person = self._people.get(who)
        signer = (person.ids[0] if person.ids else person.mobile or person.email) if person else who
        for delay, key in copies:
            body = {"event_type": kind, "id": f"{key}-{kind}-{who}", "request": "r1", "signer": signer or None}
            self.kernel.after(delay, lambda body=body: self._offer(body, kind, who))

    def _offer(self, body: dict[str, Any], kind: str, who: str) -> None:
        self.played.posted.append((self.kernel.now, kind, who))
        self.relay.post(body, lambda taken: self._hooked(taken, kind, who))

    def _hooked(self, taken: bool, kind: str, who: str) -> None:
        if taken:
            self.played.hooks.append((self.kernel.now, kind, who))

    def _forged(self, act: Act) -> None:
        self._post(act.value, act.who, act.hooks)

    def _outage(self, act: Act) -> None:
        lasts, how = act.value
        ports = self.relay.ports
        if act.who in ("bus", "ledger"):
            port = getattr(ports, act.who)
            port.down = True
            self._until(lasts, lambda: setattr(port, "down", False))
            return
        port = ports.api if act.who == "api" else ports.channels[ChannelName(act.who)]
        error: Exception = RetryLater("down", after={"403": 900.0, "429": 30.0}.get(how) if act.who == "api" else None)
        if act.who != "api" and how == "lost":
            error = OutcomeUnknown("no answer")
        port.outage = error
        self._until(lasts, lambda: setattr(port, "outage", None))

    def _until(self, lasts: float, over: Callable[[], None]) -> None:
        self.kernel.after(lasts, over)
        end = self.kernel.now + timedelta(seconds=lasts)
        self.played.disturbed_until = max(self.played.disturbed_until, end)

    def _unreadable(self, act: Act) -> None:
        held = self.relay.ports.ledger.unreadable
        held.add("r1")
        self._until(act.value, lambda: held.discard("r1"))

    def _poison(self, act: Act) -> None:
        """Another request's document, long due, that cannot be read until a newer version is back."""
        ledger = self.relay.ports.ledger
        ledger.documents[Request, "r0"] = (Request(id="r0", next_at=self.kernel.now), -1)
        ledger.unreadable.add("r0")
        self.relay.plan_pass(self.kernel.now)
        self.kernel.after(12 * 3_600.0, lambda: ledger.documents.pop((Request, "r0"), None))

    # -- the operator

    def _operate(self, what: str, work: Callable[[Instance], Any]) -> None:
        def refusable(instance: Instance) -> Any:
            try:
                return work(instance)
            except ActionRefused as e:
                return f"refused: {e.reason}"

        self.relay.start(f"operate {what}", refusable, lambda how, result: None)

    def _resend(self, act: Act) -> None:
        keys = sorted(self.relay.ports.ledger.all(NoticeRecord), key=lambda k: k)
        if keys:
            self.played.resends += 1
            key = keys[act.value % len(keys)]
            self._operate("resend", lambda i: i.operate.resend("r1", key, WHY))

    def _stop(self, act: Act) -> None:
        self._operate("stop", lambda i: self._stopped(i.operate.stop("r1", WHY), stopped=True))

    def _restart(self, act: Act) -> None:
        self._operate("restart", lambda i: self._stopped(i.operate.resume("r1", WHY), stopped=False))

    def _stopped(self, done: None, *, stopped: bool) -> None:
        self.played.stopped.append((self.kernel.now, stopped))

    def _clear(self, act: Act) -> None:
        keys = sorted(self.relay.ports.ledger.all(Suppression))
        if keys:
            self._operate("clear", lambda i: i.operate.clear(keys[act.value % len(keys)], WHY))

    def _replay(self, act: Act) -> None:
        self._operate("replay", lambda i: i.letters.replay())

    # -- what is noted for the oracle

    def _taken(self, task: Task, name: str, message: Outgoing) -> str:
        if not message.text:
            self.played.mails.append(message.notice)
            return f"mail-{len(self.played.mails)}"
        kind, day, about, round_, who, link = message.text.split("|")
        entry = Sent(
            self.kernel.now, name, message.to, message.notice, kind, int(day), about, int(round_), who, link, task,
            len(self.played.versions) - 1,
        )  # fmt: skip
        self.played.book.append(entry)
        task.booked.append(entry)
        self.kernel.note("taken", *entry.effect)
        key = f"{name}-{len(self.played.book)}"
        decided = self.kernel.decide(task, "receipt")
        for delay, state in decided[1] if decided else ():
            self._report(name, entry, key, delay, state, suppress=decided[2] and state == "undelivered")
        return key

    def _report(self, name: str, entry: Sent, key: str, delay: float, state: str, *, suppress: bool) -> None:
        at = self.kernel.now + timedelta(seconds=delay)
        receipt = Receipt(
            notice=entry.notice, provider_id=key, state=NoticeState(state), reason=state, at=at, suppress=suppress
        )
        if suppress:
            self.played.refused.add(entry.to)
        told = (entry.notice, state, suppress)
        taken = lambda: self.played.receipts.append((self.kernel.now, *told))  # noqa: E731
        self.kernel.after(delay + 0.5, lambda: self.relay.report(name, receipt, taken))

    def _ended(self, task: Task, how: str) -> None:
        self.played.tasks.append((self.kernel.now, task, how))

    def _sweep(self) -> None:
        self.relay.ports.ledger.purge(self.kernel.now)
        self.kernel.after(86_400.0, self._sweep)


OPERATOR = ("resend", "stop", "restart", "clear", "replay")


@contextmanager
def quiet() -> Iterator[None]:
    """Without our log and a debugger's or coverage's trace, which cannot follow greenlets.

    Slow functions that depend on nothing but their arguments are remembered.
    """
    tracer = sys.gettrace()
    sys.settrace(None)
    log = logging.getLogger("shared")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    whole = [(place, name, getattr(place, name)) for place, name in PURE]
    for place, name, function in whole:
        setattr(place, name, _remembered(function))
    try:
        yield
    finally:
        sys.settrace(tracer)
        log.setLevel(level)
        for place, name, function in whole:
            setattr(place, name, function)


PURE = ((search, "folded"), (signers, "normal_mobile"), (policy, "zone_of"), (phonenumbers, "parse"))
_remembered = cache(lru_cache(maxsize=5_000))
