"""A run in figures."""

from collections.abc import Sequence
from dataclasses import dataclass

SHOWN = 20  # at most, of what makes a row wrong


@dataclass(frozen=True)
class Row:
    """most: the highest figure that is right; None for one that is only told. found: what is shown if it is wrong."""

    what: str
    count: int
    most: int | None = None
    found: Sequence[object] = ()

    @property
    def right(self) -> bool:
        return self.most is None or self.count <= self.most


def table(rows: Sequence[Row], seed: int) -> str:
    lines = [f"{'':58}{'found':>8}{'at most':>9}", *(_line(row) for row in rows)]
    wrong = (f"{row.what}: {one}" for row in rows if not row.right for one in row.found[:SHOWN])
    return "\n".join([*lines, f"seed {seed}", *wrong])


def _line(row: Row) -> str:
    most = "" if row.most is None else str(row.most)
    return f"{row.what:58}{row.count:>8}{most:>9}{'' if row.right else '   WRONG'}"
