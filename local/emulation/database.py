"""A SQLite file that several threads share and that a kill -9 leaves whole."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Database:
    """One connection behind one lock: the stand-ins are small, and correctness is worth more than speed here."""

    def __init__(self, path: Path, schema: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, timeout=30, check_same_thread=False, isolation_level=None)
        self._connection.executescript(f"pragma journal_mode = wal; pragma synchronous = normal; {schema}")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it or, after an exception, nothing. Raises sqlite3.Error when the file cannot be written."""
        with self._lock:
            self._connection.execute("begin immediate")
            try:
                yield self._connection
                self._connection.commit()
            except BaseException:
                self._connection.rollback()
                raise

    def close(self) -> None:
        with self._lock:
            self._connection.close()
