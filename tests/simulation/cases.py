"""A case is a script and what goes wrong in it: drawn from a seed, shrunk when it fails, and kept in a file."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from tests.simulation.chance import Chance, Given
from tests.simulation.kernel import Decisions
from tests.simulation.oracle import breaches
from tests.simulation.run import Played, play
from tests.simulation.script import Act, Script, script

KEPT = Path(__file__).parent / "cases.jsonl"
Breach = tuple[str, str]  # rule, sentence


@dataclass(frozen=True)
class Case:
    script: Script
    decisions: Decisions
    name: str = ""


@dataclass(frozen=True)
class Outcome:
    """pairs: (handler, call, state, fault) that the run went through."""

    breaches: list[Breach]
    pairs: set[tuple[str, ...]]


def run_seed(seed: int, trace: list[str] | None = None) -> Outcome:
    """The random run of a seed."""
    return _judged(play(script(seed), Chance(seed), trace=trace))


def run_case(case: Case, trace: list[str] | None = None) -> Outcome:
    """A given run."""
    return _judged(play(case.script, Given(case.decisions), trace=trace))


def case_of(seed: int) -> Case:
    """The same run as that of the seed, with all that went wrong in it written down."""
    made = play(script(seed), Chance(seed)).made
    return Case(script(seed), made, f"seed {seed}")


def _judged(played: Played) -> Outcome:
    return Outcome(breaches(played), played.pairs)


# -- kept in a file


def kept() -> dict[str, Case]:
    """The cases that failed once, by name."""
    cases = [msgspec.json.decode(line, type=Case) for line in KEPT.read_bytes().splitlines()]
    return {case.name: case for case in cases}


def keep(case: Case, name: str) -> None:
    """Adds a case, or replaces the one of this name."""
    cases = {**kept(), name: replace(case, name=name)}
    KEPT.write_bytes(b"".join(msgspec.json.encode(c) + b"\n" for c in cases.values()))


# -- shrunk


def fails(case: Case, rule: str) -> bool:
    """Whether it breaks this rule."""
    return any(r == rule for r, _ in run_case(case).breaches)


def shrunk(case: Case, rule: str, wanted: Callable[[Case, str], bool] = fails, most: int = 400) -> Case:
    """The shortest case found that still breaks the rule. most: runs to spend on it."""
    left = most
    while left > 0:
        for smaller in _smaller(case):
            left -= 1
            if wanted(smaller, rule):
                case = smaller
                break
            if left <= 0:
                break
        else:
            break
    return replace(case, decisions=_used(case))


def _used(case: Case) -> Decisions:
    """Only the decisions whose place the run reaches."""
    given = Given(case.decisions)
    play(case.script, given)
    return given.made


def _smaller(case: Case) -> Iterator[Case]:
    """The boldest cuts first."""
    script, decisions = case.script, case.decisions
    tasks = list(decisions)
    if len(tasks) > 1:
        for half in (tasks[: len(tasks) // 2], tasks[len(tasks) // 2 :]):
            yield replace(case, decisions={t: decisions[t] for t in half})
    for n in reversed(range(len(script.acts))):
        yield replace(case, script=replace(script, acts=(*script.acts[:n], *script.acts[n + 1 :])))
    for task in tasks:
        yield replace(case, decisions={t: d for t, d in decisions.items() if t != task})
    for task in tasks:
        for place in decisions[task] if len(decisions[task]) > 1 else ():
            fewer = {p: d for p, d in decisions[task].items() if p != place}
            yield replace(case, decisions={**decisions, task: fewer})
    for plainer in _plainer(script):
        yield replace(case, script=plainer)


def _plainer(script: Script) -> Iterator[Script]:
    for n, act in enumerate(script.acts):
        for simpler in _simpler(act):
            yield replace(script, acts=(*script.acts[:n], simpler, *script.acts[n + 1 :]))
    needed = {a.who for a in script.acts} | {str(a.value) for a in script.acts}
    for n, person in enumerate(script.people):
        others = [p for p in script.people if p is not person and not p.name.startswith("dan")]
        if others and (person.name not in needed or person.name.startswith("dan")):
            yield replace(script, people=(*script.people[:n], *script.people[n + 1 :]))
    for field, plain in (("skew", 0.0), ("silent", False), ("ordered", False), ("askable", ())):
        if getattr(script, field) != plain:
            yield replace(script, **{field: plain})
    for n in range(len(script.policy)):
        yield replace(script, policy=(*script.policy[:n], *script.policy[n + 1 :]))


def _simpler(act: Act) -> Iterator[Act]:
    for field in ("hooks", "ended"):
        copies = getattr(act, field)
        if len(copies) > 1:
            yield replace(act, **{field: copies[:1]})
        if len(copies) == 1 and copies[0][0]:
            yield replace(act, **{field: ((0.0, copies[0][1]),)})


def told(case: Case) -> str:
    """A case in words, one line for each thing that happens."""
    s = case.script
    lines = [f"{p.name}: ids {p.ids}, {p.mobile or '-'}, {p.email or '-'}" for p in s.people]
    marks = [w for w, on in (("ordered", s.ordered), ("the API is silent", s.silent), (f"skew {s.skew}", s.skew)) if on]
    marks += [f"{channel} can be asked" for channel in s.askable]
    lines += [", ".join([*marks, *(f"{k}={v}" for k, v in s.policy)])] if marks or s.policy else []
    for act in s.acts:
        hooks = "".join(f" hook {key} +{delay:g}s" for delay, key in act.hooks)
        ended = "".join(f" complete {key} +{delay:g}s" for delay, key in act.ended)
        value = "" if act.value is None else f" {act.value}"
        lines.append(f"{act.at:>12.3f} {act.what} {act.who}{value}{hooks}{ended}")
    for task, of_task in case.decisions.items():
        for place, what in of_task.items():
            lines.append(f"  {task}: {place}: {' '.join(map(str, what))}")
    return "\n".join(lines)
