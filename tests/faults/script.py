"""What happens in a run, made from its seed alone: who signs when, which webhooks are lost, doubled or late."""

from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import TypeVar

T = TypeVar("T")

DAY = 1_440.0  # seconds of the run's day: a second stands for a minute
STEPS = (3, 7, 14)
LOST, DOUBLED, LATE = 0.05, 0.20, 0.20  # shares of the webhooks
LATEST = 5.0  # seconds
EAGER, ORDERED = 0.20, 0.15  # shares of the requests
ENDS = (("complete", 0.70), ("expired", 0.15), ("open", 0.15))
CHANNELS: tuple[tuple[tuple[str, ...], float], ...] = ((("sms",), 0.45), (("email",), 0.45), (("sms", "email"), 0.10))


@dataclass(frozen=True)
class Person:
    number: int  # 1-based
    name: str
    email: str
    mobile: str
    channels: tuple[str, ...]

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple({"sms": self.mobile, "email": self.email}[c] for c in self.channels)


@dataclass(frozen=True)
class Step:
    """type: the webhook's. hooks: seconds after the fact at which each copy is first posted; () when it is lost."""

    type: str
    who: Person | None
    delay: float  # seconds after it becomes possible
    hooks: tuple[float, ...]


@dataclass(frozen=True)
class Play:
    """One request's life. eager: its signers do not wait for their invitation."""

    id: str
    people: tuple[Person, ...]
    ordered: bool
    eager: bool
    end: str
    starts: float
    steps: tuple[Step, ...]

    @cached_property
    def signing(self) -> tuple[Person, ...]:
        return tuple(s.who for s in self.steps if s.who)

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
    facts = [("request_sent", None), *(("request_signed", p) for p in line)]
    facts += [] if end == "open" else [(f"request_{end}", None)]
    steps = tuple(_step(random, type_, who) for type_, who in facts)
    return Play(f"r{n:05d}", people, ordered, eager, end, starts, steps)


def _person(random: Random, n: int, k: int) -> Person:
    mobile = f"+1317{2_000_000 + 10 * n + k}"
    return Person(k, f"Signer {n}-{k}", f"p{n}-{k}@example.com", mobile, _one_of(random, CHANNELS))


def _step(random: Random, type_: str, who: Person | None) -> Step:
    """A completion follows the last signature at once, as the vendor has it."""
    delay = 0.0 if type_ in ("request_sent", "request_complete") else random.uniform(0.2, 4.0)
    late = random.uniform(0.5, LATEST) if random.random() < LATE else 0.0
    again = (random.uniform(0.0, LATEST),) if random.random() < DOUBLED else ()
    return Step(type_, who, delay, () if random.random() < LOST else (late, *again))


def _one_of(random: Random, shares: tuple[tuple[T, float], ...]) -> T:
    return random.choices([value for value, _ in shares], [share for _, share in shares])[0]
