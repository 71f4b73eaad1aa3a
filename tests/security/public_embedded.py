"""A source file for functions-framework: a public function, its backend on SQLite at BUS, opened after the fork."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import msgspec

from local.emulation.embedded import Embedded
from local.emulation.http_push import Pace
from shared import bootstrap
from shared.ports import Ledger, Message, Stored


@cache
def embedded() -> Embedded:
    return Embedded(Path(os.environ["BUS"]), partial(datetime.now, UTC), Pace(1, 1))


class LateBus:
    def publish(self, topic: str, messages: Sequence[Message]) -> None:
        embedded().bus.publish(topic, messages)


class LateLedger(Ledger):
    def get(self, kind: type[Any], key: str) -> Stored[Any] | None:
        return embedded().ledger.get(kind, key)

    def put(self, key: str, item: msgspec.Struct, version: object | None) -> object | None:
        return embedded().ledger.put(key, item, version)


class LateBackend:
    def bus(self) -> LateBus:
        return LateBus()

    def ledger(self) -> LateLedger:
        return LateLedger()

    scheduler = outbox = NotImplemented


bootstrap.use(LateBackend())  # type: ignore[arg-type]

if "SNS_CERTIFICATE" in os.environ:  # in the place of Amazon's
    from shared.adapters.providers.common import sns
    from tests import signed_receipts

    sns.certificates.keep(signed_receipts.CERTIFICATE, os.environ["SNS_CERTIFICATE"].encode())

# Each looks for its backend when imported, and only the one that is served has its settings.
if os.environ["FUNCTION_TARGET"] == "receive":
    from functions.receive.main import receive as receive
elif os.environ["FUNCTION_TARGET"] == "links":
    from functions.links.main import links as links
else:
    from functions.receipts.main import receipts as receipts
