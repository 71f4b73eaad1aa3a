"""What is due in a run, worked out from the script and from which webhooks got through, not by a planner."""

from collections.abc import Iterator, Set
from dataclasses import dataclass

from tests.faults.script import STEPS, Person, Play

Effect = tuple[str, str, str | int]  # kind, address, and: which round, whose signature and in which round, which day


@dataclass(frozen=True)
class Due:
    """must: to be accepted once. may: besides, what can be right or not, by how fast the relay was."""

    must: frozenset[Effect]
    may: frozenset[Effect]


def due(plays: list[Play], taken: Set[tuple[str, int]]) -> Due:
    must, may = set[Effect](), set[Effect]()
    for play in plays:
        for certain, effect in _effects(play, taken):
            (must if certain else may).add(effect)
    return Due(frozenset(must), frozenset(may - must))


def _effects(play: Play, taken: Set[tuple[str, int]]) -> Iterator[tuple[bool, Effect]]:
    announced = (play.id, 0) in taken
    for person in play.people:
        if play.end == "complete":
            last = len(play.steps) - 1  # of a request that is complete when first met, one webhook alone proves nothing
            told = (play.id, last) in taken and any((play.id, n) in taken for n in range(last))
            yield from _to(person, told or (announced and not play.eager), "completion")
        if in_turn(play, person) or play.delegated:
            yield from _while_open(play, person, announced)


def _while_open(play: Play, person: Person, announced: bool) -> Iterator[tuple[bool, Effect]]:
    if announced:
        yield from _to(person, invited_for_sure(play, person), "invitation", 1)
    rounds = (1, 2) if play.has("revise") else (1,)
    if play.has("revise") or play.delegated:  # the relay may learn of it in the midst of the next signature
        for round_ in rounds:
            yield from _to(person, False, "invitation", round_)
    for step in STEPS:
        yield from _to(person, announced and waits_for_ever(play, person), "reminder", step)
    for other in play.signing:
        if other != person:
            for round_ in rounds:
                yield from _to(person, False, "progress", told_of(other.name, round_))


def told_of(name: str, round_: int) -> str:
    return name if round_ == 1 else f"{name} in round {round_}"


def _to(person: Person, certain: bool, kind: str, detail: str | int = 0) -> Iterator[tuple[bool, Effect]]:
    return ((certain, (kind, to, detail)) for to in person.addresses)


def in_turn(play: Play, person: Person) -> bool:
    """The signing order reaches this person at some time."""
    before = frozenset(p.number for p in play.signing if p != person)
    return play.turn(person, before)


def waits_for_ever(play: Play, person: Person) -> bool:
    return play.end == "open" and person not in play.signing and person.number not in play.delegated


def invited_for_sure(play: Play, person: Person) -> bool:
    """Otherwise the signer may have signed before the invitation could be sent."""
    return not play.eager or waits_for_ever(play, person)
