"""Puts a fault into the relay as its modules are imported: one piece of source text is replaced by another."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Fault:
    """file: below shared/. old: text that stands in it once."""

    name: str
    file: str
    old: str
    new: str

    @property
    def module(self) -> str:
        return "shared." + self.file.removesuffix(".py").replace("/", ".")

    def applied(self) -> str:
        """The file with the fault. Raises ValueError where its text is not there once."""
        text = (ROOT / "shared" / self.file).read_text()
        if text.count(self.old) != 1:
            raise ValueError(f"{self.name}: {self.file} holds its text {text.count(self.old)} times")
        return text.replace(self.old, self.new)


class _Loader(SourceFileLoader):
    """Never reads or writes compiled files."""

    def __init__(self, fullname: str, path: str, text: str) -> None:
        super().__init__(fullname, path)
        self._text = text

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._text, self.path, "exec")


class _Finder(MetaPathFinder):
    def __init__(self, fault: Fault) -> None:
        self._fault, self._text = fault, fault.applied()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._fault.module:
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin, self._text)
        return spec


def install(fault: Fault) -> None:
    """To be called before anything of the relay is imported."""
    if fault.module in sys.modules:
        raise RuntimeError(f"{fault.module} is imported already")
    sys.meta_path.insert(0, _Finder(fault))
