"""The composition root, composed anew from an environment of a test's own."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from shared import bootstrap
from shared.bootstrap import operators, parts, runtime


def clear() -> None:
    """Forgets whatever was composed."""
    for module in (runtime, parts, operators, bootstrap):
        for maker in vars(module).values():
            getattr(maker, "cache_clear", lambda: None)()


@contextmanager
def composed(environ: Mapping[str, str], **instead: Any) -> Iterator[None]:
    """instead: of the runtime's own names, like `_local`, the backend, and `_time`."""
    clear()
    with patch.multiple(runtime, environ=environ, **{"_local": None, **instead}):
        yield
    clear()
