"""The dead letters on SQLite: the messages in a dead-letter topic, which has no subscription."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import msgspec

from local.emulation.database import Database
from local.emulation.embedded_ledger import port_transaction
from shared.domain.dead_letters import DeadLetter, dead_topic, letter

QUERY = "select id, data, attributes, published_at from messages where topic = ? order by id limit ?"


class EmbeddedDeadLetters:
    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def open(self, topic: str, limit: int) -> Iterator[Sequence[DeadLetter]]:
        with port_transaction(self._database) as db:
            rows = db.execute(QUERY, (dead_topic(topic), limit)).fetchall()
        yield [_letter(topic, *row) for row in rows]

    def drop(self, letters: Sequence[DeadLetter]) -> None:
        with port_transaction(self._database) as db:
            db.executemany("delete from messages where id = ?", [(one.handle,) for one in letters])


def _letter(topic: str, key: int, data: bytes, attributes: bytes, at: float) -> DeadLetter:
    decoded = msgspec.json.decode(attributes, type=dict[str, str])
    return letter(topic, str(key), data, decoded, datetime.fromtimestamp(at, UTC), key)
