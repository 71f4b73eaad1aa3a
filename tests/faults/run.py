"""One run: the script is played while the relay is killed and cut off, then all comes to rest, then the days pass."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from shared.domain.dead_letters import REASON, dead_topic
from shared.domain.model import Event
from shared.domain.policy import Policy
from shared.ports import Message
from shared.services.dead_letters import DeadLetterService, ReplayOutcome
from shared.services.resource_names import ResourceNames
from tests.e2e.stack import until
from tests.faults.api import Api
from tests.faults.chaos import ABSENCE, Chaos
from tests.faults.consumer import Consumer
from tests.faults.director import Director
from tests.faults.oracle import due
from tests.faults.provider import Provider
from tests.faults.script import DAY, SILENT, STEPS, plays
from tests.faults.serving import Serving
from tests.faults.stack import Emulated, relay, settings
from tests.faults.table import Row
from tests.faults.verdict import Decision

QUIET = 1.5  # seconds without a call to the provider
HOLD = 12.0  # seconds of waiting for what is left over, before another absence; a redelivery's longest pause is 10
ROUNDS = 15  # of them; each reaches at least to when the next deferred message comes back, for its next step
LONGEST_LIFE = 2_700.0  # seconds a request may take: each of four signers may wait in vain
POLICY = Policy(window=None, day=DAY)
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Size:
    """pace: seconds between the starts of two requests. alive: least and most seconds between two kills.

    days: the reminders that are waited for, each after a leap of the clock.
    """

    requests: int
    pace: float
    alive: tuple[float, float]
    days: tuple[int, ...] = STEPS


class Run:
    def __init__(self, seed: int, size: Size, backend: str, directory: Path, tell: Tell) -> None:
        self._seed, self._size, self._backend, self._directory = seed, size, backend, directory
        self._tell = tell
        self._plays, self._last_day = plays(seed, size.requests, size.pace), max(size.days, default=0)

    def rows(self) -> list[Row]:
        api, provider = Api(self._seed, self._plays, self._now), Provider(self._seed, self._now)
        self._consumer = Consumer(self._seed)
        doors = (Serving(one.answer) for one in (api, provider, self._consumer))
        with ExitStack() as stack:
            urls = [stack.enter_context(door).url for door in doors]
            chosen = settings(self._backend, *urls)
            with relay(self._directory, chosen) as (running, emulated):
                self._running, self._api, self._provider = running, api, provider
                return self._lived(emulated)

    def _now(self) -> datetime:
        return self._running.clock()

    def _lived(self, emulated: Emulated | None) -> list[Row]:
        began = time.monotonic()
        chaos = Chaos(self._seed, self._running, emulated, self._size.alive)
        self._provider.receipts.base = self._running.base
        self._director = Director(self._running.port, self._plays, self._api, self._provider, self._bury)
        self._play(chaos)
        chaos.stop()
        self._come_to_rest()
        replayed = self._replay(day=0)
        self._let_days_pass()
        replayed += self._replay(day=self._last_day)
        verdict = self._verdict()
        told = [
            Row("requests", len(self._plays)),
            Row("webhooks posted", self._director.posted),
            Row("webhooks lost", sum(not s.hooks and s.type not in SILENT for p in self._plays for s in p.steps)),
            *[Row(f"requests {word}", self._having(type_)) for word, type_ in TURNED],
            Row("calls of the API", self._api.faults.calls),
            Row("  of them gone wrong", self._api.faults.served.total()),
            Row("calls of the providers", self._provider.faults.calls),
            Row("  of them gone wrong", self._provider.faults.served.total()),
            Row("  of them with their answer lost", self._provider.lost_answers),
            Row("questions to the providers", self._provider.questions.calls),
            Row("  of them gone wrong", self._provider.questions.served.total()),
            Row("receipts taken", self._provider.receipts.posted),
            Row("SIGKILLs", self._running.kills),
            Row("  sends cut off by them", len(self._running.cut_claims)),
            *([Row("connections cut", chaos.cuts), Row("emulators paused", chaos.pauses)] if emulated else []),
            Row("seconds", round(time.monotonic() - began)),
            Row("messages accepted", len(self._provider.book)),
            Row("posts to another system", self._consumer.faults.calls),
            Row("  of them gone wrong", self._consumer.faults.served.total()),
        ]
        return [*told, *self._judged(verdict, replayed)]

    def _verdict(self) -> Decision:
        expected = due(self._plays, self._director.taken)
        ports = self._api, self._provider, self._consumer, self._running.ledger
        return Decision(self._plays, expected, *ports)

    def _having(self, type_: str) -> int:
        return sum(p.has(type_) for p in self._plays)

    def _judged(self, v: Decision, replayed: Counter[ReplayOutcome]) -> list[Row]:
        self.verdict = v
        allowed = len(self._running.cut_claims) + self._provider.lost_answers
        kinds = ("invitation", "completion", "reminder")
        lost = [row for kind in kinds for row in self._lost(v, kind)]
        return [
            *lost,
            _none("sent twice after a lost answer, as recorded", v.second_tries()),
            _none("doubled otherwise", v.doubled()),
            _none("sent to whom nothing was due", v.undue()),
            _none("sent before it was true", v.untrue()),
            _none("sent though the API had said signed, complete or expired", v.against_the_api()),
            Row("recorded as `unknown`", v.unknowns(), allowed),
            Row("  left `unknown` for good", v.unknown_for_good(), allowed // 100),
            _none("invitations and completions without their second try", v.second_tries_owed()),
            _none("notices left planned or sending", v.not_at_rest()),
            _none("ledger and provider disagree", v.book_differs()),
            Row("signatures given again before the revision was noticed", self._director.unheard),
            Row("changes of status", v.changes()),
            Row("  told to another system", len(self._consumer.changes)),
            _none("  requests that it shows otherwise than they are", v.shown_wrong()),
            _none("  messages that it shows otherwise than the ledger", v.messages_shown_wrong()),
            Row("mails to senders", len(self._provider.mails)),
            _none("  signers unreached and untold", v.untold(self._now())),
            Row("dead letters replayed", replayed[ReplayOutcome.REPLAY]),
            Row("dead letters that had had their effect", replayed[ReplayOutcome.SETTLED]),
            Row("dead letters left", len(self._desk().held()), 0),
        ]

    def _lost(self, v: Decision, kind: str) -> list[Row]:
        due_, lost = v.due(kind, self._last_day), v.lost(kind, self._last_day)
        return [Row(f"{kind}s due", len(due_)), _none(f"  lost {kind}s", lost)]

    # -- the phases

    def _play(self, chaos: Chaos) -> None:
        thread = threading.Thread(target=self._director.run, daemon=True)
        thread.start()
        end = time.monotonic() + len(self._plays) * self._size.pace + LONGEST_LIFE
        while thread.is_alive():
            thread.join(0.5)
            chaos.check()
            assert time.monotonic() < end, f"{len(self._plays) - self._director.over} requests do not end"
            self._show()

    def _show(self) -> None:
        sent, kills = len(self._provider.book), self._running.kills
        done, all_ = self._director.over, len(self._plays)
        bar = "#" * (30 * done // all_)
        self._tell(f"[{bar:30}] {done}/{all_} requests, {sent} messages, {kills} kills")

    def _come_to_rest(self, day: int = 0) -> None:
        """All that waits for a lease, a pause or a second try is waited for, by absences. day: of the last reminder."""
        for _ in range(ROUNDS):
            if self._at_rest_within(HOLD, day):
                return
            self._running.die(self._absence())
        self._at_rest_within(HOLD, day)

    def _absence(self) -> float:
        """Seconds: past the time of the next deferred message, which may be 900 ahead."""
        due = self._running.next_retry()
        return max(ABSENCE, (due - self._now()).total_seconds() + 1 if due else 0.0)

    def _at_rest_within(self, seconds: float, day: int) -> bool:
        end = time.monotonic() + seconds
        while left := self._open(day):
            self._tell(f"coming to rest: {left} open")
            if time.monotonic() > end:
                return False
            time.sleep(1)
        self._quiet()
        return not self._open(day)

    def _open(self, day: int) -> int:
        verdict = self._verdict()
        missing = [*verdict.lost("invitation"), *verdict.lost("completion"), *verdict.lost("reminder", day)]
        missing += [*verdict.not_shown(), *verdict.messages_shown_wrong()]
        return len(verdict.not_at_rest()) + verdict.to_be_asked() + len(verdict.second_tries_owed()) + len(missing)

    def _quiet(self) -> None:
        provider = self._provider
        until(lambda: time.monotonic() - provider.last_call > QUIET, "the provider has its peace", 300)

    def _let_days_pass(self) -> None:
        """To the time of each reminder in turn: one that comes due while the relay is away is made up for."""
        begun = self._now()
        for step in self._size.days:
            target = begun + timedelta(seconds=(step + 0.1) * DAY)
            self._tell(f"day {step}")
            self._running.die((target - self._now()).total_seconds())
            self._come_to_rest(step)

    def _desk(self) -> DeadLetterService:
        r = self._running
        return DeadLetterService(r.ledger, r.letters, r.bus, ResourceNames(), POLICY, self._now)

    def _bury(self, event: Event) -> None:
        names = ResourceNames()
        message = Message(msgspec.json.encode(event), {REASON: "buried by the script"})
        self._running.bus.publish(dead_topic(names.events_topic), [message])

    def _replay(self, day: int) -> Counter[ReplayOutcome]:
        """In parts, until none is left but what cannot be replayed."""
        replayed = Counter[ReplayOutcome]()
        while done := [p.outcome for p in self._desk().replay() if p.outcome is not ReplayOutcome.STUCK]:
            replayed.update(done)
        self._director.taken |= self._director.buried
        if replayed:
            self._come_to_rest(day)
        return replayed


def _none(what: str, found: Sequence[object]) -> Row:
    """A row of which there may be none."""
    return Row(what, len(found), 0, found)


TURNED = (("paused", "pause"), ("revised", "revise"), ("delegated", "delegate"))


def on_one_line(text: str) -> None:
    sys.stderr.write(f"\r{text:100.100}")
    sys.stderr.flush()
