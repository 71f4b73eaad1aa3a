"""Changes the rules one operator at a time, and shows the changes that no test finds.

mutmut makes the changes. Its runner collects all tests again for each of them; here they are collected once, and each
change is tried in a fork of that process, in which the code of one function is replaced.
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
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

import libcst
import pytest
from _pytest.runner import runtestprotocol
from mutmut.configuration import config
from mutmut.mutation import file_mutation, mutators

REASONS = Path(__file__).with_suffix(".toml")
SLOW = 1.0  # seconds of processor time: a test of more is left out
LIMIT = float(os.environ.get("LIMIT") or 5)  # seconds of processor time for the tests of one change
SENTENCE = re.compile(r"""f?(["'])(?:(?!\1)[^\n])* (?:(?!\1)[^\n])*\1""")  # for people to read: not changed


def one_per_text(node: libcst.BaseString) -> Iterator[libcst.BaseString]:
    """mutmut makes three changes of each text, which would count it three times."""
    yield from list(mutators.operator_string(node))[:1]


@dataclass(frozen=True)
class Mutant:
    """One change of one function. name: `Class.method`."""

    path: Path
    name: str
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
        differ = difflib.ndiff(self.source.code.splitlines(), self.code().splitlines())
        return [f"{line[0]} {line[2:].strip()}" for line in differ if line[0] in "+-"]

    def key(self) -> str:
        """What it is listed by: it stays the same when other lines change."""
        added = " ".join(line[2:] for line in self.lines() if line[0] == "+")
        return f"{self.path.stem} {self.name}: {added or 'without ' + self.lines()[0][2:]}"


def mutants(path: Path) -> list[Mutant]:
    """All changes of a file."""
    found = file_mutation.create_mutations(str(path), path.read_text())
    names = dict(_functions(found[0]))
    plain = [(m.original_node, m.mutated_node, m.contained_by_top_level_function) for m in found[1]]
    return [
        Mutant(path, names[within], old, new, found[0])
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

    def __init__(self, wanted: list[Mutant]) -> None:
        self.wanted, self.survived, self.tried = wanted, list[Mutant](), Counter[str]()
        self.found = Counter[tuple[str, str]]()  # by module and test: those that found most come first
        self.breadth = dict[str, int]()  # of a test: how many functions it runs; those that run few come next
        self.tests = defaultdict[CodeType, list[str]](list)  # of a function
        self.running = dict[int, tuple[Mutant, int]]()

    def pytest_configure(self) -> None:
        """A failing example is not made shorter."""
        from hypothesis import Phase, settings  # pytest wants to import it first

        settings.register_profile("mutation", phases=[Phase.explicit, Phase.generate])
        settings.load_profile("mutation")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = {item.nodeid: item for item in session.items}
        self._measure_all()
        gc.freeze()
        for mutant in self.wanted:
            if len(self.running) == int(os.environ.get("WORKERS") or os.cpu_count() or 1):
                self._await_one()
            self._start(mutant)
        while self.running:
            self._await_one()
        return True

    def _measure_all(self) -> None:
        """Which tests run which function."""
        for name, item in self.items.items():
            seconds, codes = self._measure(item)
            self.breadth[name] = len(codes)
            for code in codes if seconds <= SLOW else ():
                self.tests[code].append(name)

    def _measure(self, item: pytest.Item) -> tuple[float, set[CodeType]]:
        codes = set[CodeType]()

        def note(frame: FrameType, event: str, arg: object) -> None:
            if event == "call":
                codes.add(frame.f_code)

        started = time.process_time()
        sys.setprofile(note)
        passed = _passes(item)
        sys.setprofile(None)
        if not passed:
            print(f"left out: {item.nodeid} fails without any change", file=sys.__stdout__)
            return math.inf, set()
        return time.process_time() - started, {code for code in codes if "/shared/" in code.co_filename}

    def _start(self, mutant: Mutant) -> None:
        self.tried[mutant.module] += 1
        live = function(importlib.import_module(mutant.module), mutant.name)
        tests = sorted(self.tests[live.__code__], key=lambda t: (-self.found[mutant.module, t], self.breadth[t]))
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


def _passes(item: pytest.Item) -> bool:
    return not any(report.failed for report in runtestprotocol(item, log=False, nextitem=None))


def main() -> None:
    """MODULES: files or folders, all of `only_mutate` without. SHARE=4: each fourth change. LIMIT, WORKERS."""
    operators = [(t, one_per_text if o is mutators.operator_string else o) for t, o in file_mutation.mutation_operators]
    file_mutation.mutation_operators[:] = operators
    paths = [p for pattern in config().only_mutate for p in sorted(Path().glob(pattern))]
    modules = os.environ.get("MODULES", "").split()
    paths = [p for p in paths if not modules or any(p.is_relative_to(m) for m in modules)]
    share = int(os.environ.get("SHARE") or 1)
    plugin = Plugin([m for path in paths for m in mutants(path)[::share]])
    pytest.main(["-q", "-s", "-p", "no:xdist", "-p", "no:cov", *config().pytest_add_cli_args_test_selection], [plugin])
    report(plugin)


def report(plugin: Plugin) -> None:
    """A line for each module."""
    listed = {key for group in tomllib.loads(REASONS.read_text()).values() for key in group}
    left, reasoned = Counter(m.module for m in plugin.survived), Counter[str]()
    for mutant in plugin.survived:
        reasoned[mutant.module] += mutant.key() in listed
    for module, tried in plugin.tried.items():
        found, of = tried - left[module], tried - reasoned[module]
        print(f"{module}: {tried} changes, {found} found, {reasoned[module]} listed, {found / max(of, 1):.1%}")


if __name__ == "__main__":
    main()
