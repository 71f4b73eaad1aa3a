"""What happens in a run, made from its seed alone: who signs when, which webhooks are lost, doubled or late."""

from dataclasses import dataclass, replace
from functools import cached_property
from random import Random
from typing import TypeVar

T = TypeVar("T")
Happening = tuple[str, "Person | None"]

DAY = 1_440.0  # seconds of the run's day: a second stands for a minute
STEPS = (3, 7, 14)
LOST, DOUBLED, LATE = 0.05, 0.20, 0.20  # shares of the webhooks
LATEST = 5.0  # seconds
EAGER, ORDERED = 0.20, 0.15  # shares of the requests
TURNS = (("", 0.70), ("pause", 0.08), ("revise", 0.10), ("delegate", 0.08), ("bury", 0.04))
SILENT = ("pause", "resume", "revise", "delegate")  # the vendor has no webhook for these
DELAYS = {"resume": 6.0, "revise": 45.0}  # seconds; a revision comes once rechecks have read who had signed
ENDS = (("complete", 0.70), ("expired", 0.15), ("open", 0.15))
CHANNELS: tuple[tuple[tuple[str, ...], float], ...] = ((("sms",), 0.45), (("email",), 0.45), (("sms", "email"), 0.10))


@dataclass(frozen=True)
class Person:
    """instead_of: number of the signer who hands their signature on to this one; 0 for one there from the start."""

    number: int  # 1-based
    name: str
    email: str
    mobile: str
    channels: tuple[str, ...]
    instead_of: int = 0

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple({"sms": self.mobile, "email": self.email}[c] for c in self.channels)


@dataclass(frozen=True)
class Step:
    """hooks: seconds after the fact at which each copy is first posted; () when it is lost, or there is none.

    type: the webhook's; or "pause", "resume", "revise" or "delegate", for which the vendor has no webhook.
    """

    type: str
    who: Person | None
    delay: float  # seconds after it becomes possible
    hooks: tuple[float, ...]


@dataclass(frozen=True)
class Play:
    """One request's life. eager: its signers do not wait for their invitation.

    buried: its webhooks are found among the dead letters, as if nobody could have handled them.
    """

    id: str
    people: tuple[Person, ...]
    ordered: bool
    eager: bool
    end: str
    starts: float
    steps: tuple[Step, ...]
    buried: bool = False

    @cached_property
    def delegated(self) -> frozenset[int]:
        return frozenset(s.who.number for s in self.steps if s.who and s.type == "delegate")

    def has(self, type_: str) -> bool:
        return any(s.type == type_ for s in self.steps)

    @cached_property
    def signing(self) -> tuple[Person, ...]:
        return tuple(s.who for s in self.steps if s.who and s.type == "request_signed")

    def turn(self, person: Person, signed: frozenset[int]) -> bool:
        return not self.ordered or all(p.number in signed for p in self.people[: person.number - 1])


def plays(seed: int, size: int, pace: float) -> list[Play]:
    """pace: seconds between the starts of two requests."""
    return [_play(Random(f"{seed}/{n}"), n, n * pace) for n in range(size)]


def _play(random: Random, n: int, starts: float) -> Play:
    people = tuple(_person(random, n, k) for k in range(1, random.randint(1, 4) + 1))
    ordered, eager, end = random.random() < ORDERED, random.random() < EAGER, _one_of(random, ENDS)
    line = list(people) if ordered else random.sample(people, len(people))
    if end != "complete":
        line = line[: random.randrange(len(people))]
    facts: list[Happening] = [("request_sent", None), *(("request_signed", p) for p in line)]
    turn = _one_of(random, TURNS)
    if turn == "pause":
        place = random.randint(1, len(facts))
        facts[place:place] = [("pause", None), ("resume", None)]
    elif turn == "revise" and len(facts) > 1 and not (ordered or eager):
        signed = random.randint(1, len(facts) - 1)
        facts[1 + signed : 1 + signed] = [("revise", None), *facts[1 : 1 + signed]]
    elif turn == "delegate" and not ordered:
        people, facts = _delegated(random, n, people, facts)
    facts += [] if end == "open" else [(f"request_{end}", None)]
    steps = tuple(_step(random, type_, who) for type_, who in facts)
    if turn == "bury":
        steps, eager = tuple(replace(s, hooks=s.hooks or (0.0,)) for s in steps), True
    return Play(f"r{n:05d}", people, ordered, eager, end, starts, steps, turn == "bury")


def _delegated(
    random: Random, n: int, people: tuple[Person, ...], facts: list[Happening]
) -> tuple[tuple[Person, ...], list[Happening]]:
    """One signer hands their signature on to somebody new, who signs in their place, if they would have signed."""
    old = random.choice(people)
    new = replace(_person(random, n, len(people) + 1), instead_of=old.number)
    place = next((i for i, (_, who) in enumerate(facts) if who == old), len(facts))
    facts[place : place + 1] = [("delegate", old), *([("request_signed", new)] if place < len(facts) else [])]
    return (*people, new), facts


def _person(random: Random, n: int, k: int) -> Person:
    mobile = f"+1317{2_000_000 + 10 * n + k}"
    return Person(k, f"Signer {n}-{k}", f"p{n}-{k}@example.com", mobile, _one_of(random, CHANNELS))


def _step(random: Random, type_: str, who: Person | None) -> Step:
    """A completion follows the last signature at once, as the vendor has it."""
    delay = DELAYS.get(type_) or random.uniform(0.2, 4.0)
    delay = 0.0 if type_ in ("request_sent", "request_complete") else delay
    late = random.uniform(0.5, LATEST) if random.random() < LATE else 0.0
    again = (random.uniform(0.0, LATEST),) if random.random() < DOUBLED else ()
    return Step(type_, who, delay, () if type_ in SILENT or random.random() < LOST else (late, *again))


def _one_of(random: Random, shares: tuple[tuple[T, float], ...]) -> T:
    return random.choices([value for value, _ in shares], [share for _, share in shares])[0]
