"""What happens outside: a sender sends within an hour, signers sign when they like, some webhooks are lost."""

import random
from collections import defaultdict

import msgspec
from msgspec.structs import replace

from bench.rehearsal.relay import Relay
from bench.rehearsal.simulation import seconds_of
from shared.domain.model import ApiRequest, ApiSigner, Event, EventType, Kind, NoticeRecord, Request, Status
from shared.ports import Message, Outgoing

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
# How long after the sending each signer signs: share of the signers, from and to (seconds); the others never do.
SIGN_WITHIN = ((0.35, 2 * MINUTE, 4 * HOUR), (0.35, 4 * HOUR, 3 * DAY), (0.2, 3 * DAY, 14 * DAY))
# How long before they sign a signer opens the link: share of those who do, from and to (seconds).
OPEN_BEFORE = ((0.8, 1 * MINUTE, 15 * MINUTE), (0.15, 15 * MINUTE, 4 * HOUR), (0.05, 4 * HOUR, DAY))
# When a signer opens the link of a message without signing, and how many do: after the sending and each reminder.
VISIT_AT, VISITS = (0, 3 * DAY, 7 * DAY, 14 * DAY), 0.5
WEBHOOK = 1.0  # seconds until a webhook arrives


class Script:
    """size: requests. signers: of each. lost: share of the signatures whose webhooks never arrive.

    opened: share of the signatures before which the signer opened their link. over, after: seconds that the sending
    takes, and until it begins.
    """

    def __init__(
        self,
        relay: Relay,
        size: int,
        signers: int,
        lost: float,
        seed: int,
        opened: float = 0.95,
        over: float = HOUR,
        after: float = 0.0,
    ) -> None:
        self._relay, self._size, self._signers, self._lost, self._opened = relay, size, signers, lost, opened
        self._random, self._over, self._after = random.Random(seed), over, after
        self.lateness: dict[Kind, list[float]] = defaultdict(list)
        self.caused: dict[tuple[str, int], float] = {}  # when a signature was given, by request and signer
        self.sent_at: dict[str, float] = {}
        self.unheard: list[tuple[str, int]] = []  # signatures whose webhook was lost
        self.unheard_requests: set[str] = set()

    def begin(self) -> None:
        """Schedules the sending of every request."""
        for n in range(self._size):
            at = self._after + n * self._over / self._size
            self._relay.simulation.at(at, lambda key=f"r{n}": self._send(key))  # type: ignore[misc]

    def sent(self, message: Outgoing) -> None:
        """A provider took a message: how late was it?"""
        record: NoticeRecord = self._relay.ledger.peek(NoticeRecord, message.notice)
        if record.request_id not in self.unheard_requests:
            request = self._relay.ledger.peek(Request, record.request_id)
            self.lateness[record.kind].append(self._relay.simulation.seconds() - self._due(request, record))

    def _due(self, request: Request, record: NoticeRecord) -> float:
        if record.kind is Kind.INVITATION:
            return self.sent_at[request.id]
        if record.kind is Kind.REMINDER:
            return seconds_of(request.signers[record.signer].reminders[str(record.reminder_day)].due_at)
        if record.kind is Kind.PROGRESS:
            return self.caused[request.id, record.about]
        return max(self.caused[request.id, n] for n in range(1, self._signers + 1))

    def _send(self, key: str) -> None:
        simulation = self._relay.simulation
        people = tuple(
            ApiSigner(
                ids=(f"s{n}",),
                name=f"Signer {n}",
                mobile="+13175550101",
                request_url=f"https://sign.test/{key}/{n}",
                signed=False,
            )
            for n in range(1, self._signers + 1)
        )
        self._relay.truth[key] = ApiRequest(id=key, title="Lease", sender="ACME", status=Status.OPEN, signers=people)
        self.sent_at[key] = simulation.now
        self._webhook(key, EventType.SENT, None)
        for n in range(1, self._signers + 1):
            wait = self._drawn(SIGN_WITHIN)
            before, opened = self._drawn(OPEN_BEFORE) or DAY, self._random.random() < self._opened
            visits = [at + self._random.uniform(MINUTE, 4 * HOUR) for at in VISIT_AT if self._random.random() < VISITS]
            if wait:
                simulation.at(simulation.now + wait, lambda n=n: self._sign(key, n))  # type: ignore[misc]
                visits += [max(MINUTE, wait - before)] if opened else []
            for at in visits:
                if wait is None or at < wait:
                    simulation.at(simulation.now + at, lambda n=n: self._relay.opens(key, n))  # type: ignore[misc]

    def _drawn(self, table: tuple[tuple[float, float, float], ...]) -> float | None:
        """A span drawn from a table of shares; None for the share that is in no row."""
        drawn = self._random.random()
        for share, least, most in table:
            if drawn < share:
                return self._random.uniform(least, most)
            drawn -= share
        return None

    def _sign(self, key: str, n: int) -> None:
        self.caused[key, n] = self._relay.simulation.now
        told = self._relay.truth[key]
        people = tuple(replace(s, signed=True) if s.ids == (f"s{n}",) else s for s in told.signers)
        over = all(s.signed for s in people)
        self._relay.truth[key] = replace(told, signers=people, status=Status.COMPLETE if over else Status.OPEN)
        if self._random.random() < self._lost:
            self.unheard.append((key, n))
            self.unheard_requests.add(key)
            return
        self._webhook(key, EventType.SIGNED, f"s{n}")
        if over:
            self._webhook(key, EventType.COMPLETE, None)

    def _webhook(self, key: str, kind: EventType, signer: str | None) -> None:
        at = self._relay.simulation.now + WEBHOOK

        def arrive() -> None:
            event = Event(
                event=f"{key}-{kind}-{signer}",
                type=kind,
                request=key,
                signer=signer,
                received_at=self._relay.simulation.clock(),
            )
            self._relay.bus.publish(self._relay.names.events_topic, [Message(msgspec.json.encode(event))])

        self._relay.simulation.at(at, arrive)
