"""Changes the rules one operator at a time, and shows the changes that no test finds.

mutmut makes the changes. Its runner collects all tests again for each of them; here they are collected once, and each
change is tried in a fork of that process, in which the code of one function is replaced, with the tests of its line.
"""

import difflib
import gc
import importlib
import inspect
import math
import os
import re
import resource
import signal
import sys
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import libcst
import pytest
from _pytest.runner import runtestprotocol
from coverage import Coverage
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.configuration import config
from mutmut.mutation import file_mutation, mutators

REASONS = Path(__file__).with_suffix(".toml")
SLOW = 1.0  # seconds of processor time: a test of more is left out
LIMIT = float(os.environ.get("LIMIT") or 5)  # seconds of processor time for the tests of one change
AGAIN = set(Path(again).read_text().splitlines()) if (again := os.environ.get("AGAIN")) else set()  # only these
SENTENCE = re.compile(r"""f?(["'])(?:(?!\1)[^\n])* (?:(?!\1)[^\n])*\1""")  # for people to read: not changed


def one_per_text(node: libcst.BaseString) -> Iterator[libcst.BaseString]:
    """mutmut makes three changes of each text, which would count it three times."""
    yield from list(mutators.operator_string(node))[:1]


@dataclass(frozen=True)
class Mutant:
    """One change of one function. name: `Class.method`. spans: the lines of the changed node, and of the function."""

    path: Path
    name: str
    spans: tuple[range, range]
    node: libcst.CSTNode
    mutated: libcst.CSTNode
    source: libcst.Module

    @property
    def module(self) -> str:
        return ".".join(self.path.with_suffix("").parts)

    def code(self) -> str:
        return file_mutation.deep_replace(self.source, self.node, self.mutated).code

    def lines(self) -> list[str]:
        """What is different, as lines with their sign."""
        old, new, (place, _) = self.source.code.splitlines(), self.code().splitlines(), self.spans
        end = len(new) - len(old) + place.stop - 1
        differ = difflib.ndiff(old[place.start - 1 : place.stop - 1], new[place.start - 1 : end])
        return [f"{line[0]} {line[2:].strip()}" for line in differ if line[0] in "+-"]

    def key(self) -> str:
        """What it is listed by: it stays the same when other lines change."""
        added = " ".join(line[2:] for line in self.lines() if line[0] == "+")
        return f"{self.path.stem} {self.name}: {added or 'without ' + self.lines()[0][2:]}"


def mutants(path: Path) -> list[Mutant]:
    """All changes of a file."""
    found = file_mutation.create_mutations(str(path), path.read_text())
    names = dict(_functions(found[0]))
    places = MetadataWrapper(found[0], unsafe_skip_copy=True).resolve(PositionProvider)

    def span(node: libcst.CSTNode) -> range:
        return range(places[node].start.line, places[node].end.line + 1)

    plain = [(m.original_node, m.mutated_node, m.contained_by_top_level_function) for m in found[1]]
    return [
        Mutant(path, names[within], (span(old), span(within)), old, new, found[0])
        for old, new, within in plain
        if within in names and _said(found[0], old) != _said(found[0], new)
    ]


def _functions(module: libcst.Module) -> Iterator[tuple[libcst.CSTNode, str]]:
    for node in module.body:
        if isinstance(node, libcst.FunctionDef):
            yield node, node.name.value
        elif isinstance(node, libcst.ClassDef):
            for method in node.body.body:
                if isinstance(method, libcst.FunctionDef):
                    yield method, f"{node.name.value}.{method.name.value}"


def _said(module: libcst.Module, node: libcst.CSTNode) -> str:
    return SENTENCE.sub("None", module.code_for_node(node))


def function(module: ModuleType, name: str) -> FunctionType:
    """The function or method of this name."""
    found: Any = module
    for part in name.split("."):
        found = inspect.getattr_static(found, part)
    return inspect.unwrap(getattr(found, "__func__", found))


def apply(mutant: Mutant) -> None:
    """Gives the function of this process the code of the changed one."""
    changed = ModuleType(mutant.module)
    exec(compile(mutant.code(), str(mutant.path), "exec"), changed.__dict__)
    live, new = function(sys.modules[mutant.module], mutant.name), function(changed, mutant.name)
    live.__code__, live.__defaults__, live.__kwdefaults__ = new.__code__, new.__defaults__, new.__kwdefaults__


class Plugin:
    """Replaces pytest's loop over the tests."""

    def __init__(self, paths: list[Path], share: int) -> None:
        self.paths, self.share, self.survived = paths, share, list[Mutant]()
        self.found = Counter[tuple[str, str]]()  # by module and test: those that found most come first
        self.seconds = dict[str, float]()  # of a test: the shortest come next
        self.tests = defaultdict[tuple[str, int], set[str]](set)  # that run a line of a file
        self.running = dict[int, tuple[Mutant, int]]()

    def pytest_configure(self) -> None:
        """A failing example is not made shorter."""
        from hypothesis import Phase, settings  # pytest wants to import it first

        settings.register_profile("mutation", phases=[Phase.explicit, Phase.generate])
        settings.load_profile("mutation")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> pytest.TestReport:
        """Without the text of a failure: it takes longer than most tests."""
        skipped = call.excinfo is not None and call.excinfo.errisinstance(pytest.skip.Exception)
        outcome = "passed" if call.excinfo is None else "skipped" if skipped else "failed"
        return pytest.TestReport(item.nodeid, item.location, {}, outcome, None, call.when)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = {item.nodeid: item for item in session.items}
        self._measure()
        gc.freeze()
        for path in self.paths:
            self._try_all(path, [m for m in mutants(path)[:: self.share] if not AGAIN or _once_more(m)])
        return True

    def _measure(self) -> None:
        """Notes which lines each test runs, unless it fails or takes long."""
        measured = Coverage(data_file=None, config_file=False, source=["shared"])
        measured.start()
        for name, item in self.items.items():
            measured.switch_context(name)
            started = time.process_time()
            if not _passes(item):
                print(f"left out: {name} fails without any change", file=sys.__stdout__)
                started = -math.inf
            self.seconds[name] = time.process_time() - started
        measured.stop()
        data = measured.get_data()
        for file in data.measured_files():
            for line, names in data.contexts_by_lineno(file).items():
                self.tests[file, line] = {name for name in names if self.seconds.get(name, math.inf) <= SLOW}

    def _try_all(self, path: Path, wanted: list[Mutant]) -> None:
        before = len(self.survived)
        for mutant in wanted:
            if len(self.running) == int(os.environ.get("WORKERS") or os.cpu_count() or 1):
                self._await_one()
            self._start(mutant)
        while self.running:
            self._await_one()
        report(path, len(wanted), self.survived[before:])

    def _tests_of(self, mutant: Mutant) -> list[str]:
        """Those that run its line; where a line is never a step of its own, as of a default, those of its function."""
        file = function(importlib.import_module(mutant.module), mutant.name).__code__.co_filename
        near = (set().union(*(self.tests[file, line] for line in span)) for span in mutant.spans)
        tests = next(filter(None, near), set())
        return sorted(tests, key=lambda t: (-self.found[mutant.module, t], self.seconds[t]))

    def _start(self, mutant: Mutant) -> None:
        tests = self._tests_of(mutant)
        reads, writes = os.pipe()
        if pid := os.fork():
            os.close(writes)
            self.running[pid] = mutant, reads
            return
        most = 5 + 3 * int(LIMIT)
        resource.setrlimit(resource.RLIMIT_CPU, (most, most))
        signal.alarm(100 * most)
        os.close(reads)
        try:
            apply(mutant)
        except Exception as e:
            os.write(writes, f"{mutant.key()}: cannot be applied: {e}".encode())
            os._exit(0)
        try:
            os._exit(self._find(tests, writes))
        finally:
            os._exit(1)

    def _find(self, tests: list[str], writes: int) -> int:
        started = time.process_time()
        for test in tests:
            if not _passes(self.items[test]):
                os.write(writes, test.encode())
                return 1
            if time.process_time() - started > LIMIT:
                break
        return 0

    def _await_one(self) -> None:
        pid, status = os.wait()
        mutant, reads = self.running.pop(pid)
        if found := os.read(reads, 10_000).decode():
            self.found[mutant.module, found] += 1
        os.close(reads)
        if status == 0:
            self.survived.append(mutant)
            print(f"\n{mutant.key()}", *mutant.lines(), found, sep="\n  ", file=sys.__stdout__, flush=True)


def _once_more(mutant: Mutant) -> bool:
    within = f"{mutant.path.stem} {mutant.name}:"
    return any(key.startswith(within) for key in AGAIN) and mutant.key() in AGAIN


def _passes(item: pytest.Item) -> bool:
    return not any(report.failed for report in runtestprotocol(item, log=False, nextitem=None))


def main() -> None:
    """MODULES: files or folders, all of `only_mutate` without. SHARE=4: each fourth change. LIMIT, WORKERS, AGAIN."""
    operators = [(t, one_per_text if o is mutators.operator_string else o) for t, o in file_mutation.mutation_operators]
    file_mutation.mutation_operators[:] = operators
    paths = [p for pattern in config().only_mutate for p in sorted(Path().glob(pattern))]
    modules = os.environ.get("MODULES", "").split() or ["."]
    plugin = Plugin([p for m in modules for p in paths if p.is_relative_to(m)], int(os.environ.get("SHARE") or 1))
    tests = os.environ.get("TESTS", "").split() or config().pytest_add_cli_args_test_selection
    pytest.main(["-q", "-s", "-p", "no:xdist", "-p", "no:cov", *tests], [plugin])


def report(path: Path, tried: int, survived: list[Mutant]) -> None:
    """A line for a module."""
    listed = {key for group in tomllib.loads(REASONS.read_text()).values() for key in group}
    reasoned = sum(mutant.key() in listed for mutant in survived)
    found, of = tried - len(survived), tried - reasoned
    line = f"{path}: {tried} changes, {found} found, {reasoned} listed, {found / of if of else 1:.1%}"
    print(line, file=sys.__stdout__, flush=True)


if __name__ == "__main__":
    main()
