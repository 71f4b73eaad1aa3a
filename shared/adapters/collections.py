"""Which collection holds which document: the one table that every ledger reads."""

import msgspec

from shared.domain.model import Link, Record, Request

COLLECTIONS: dict[type[msgspec.Struct], str] = {
    Request: "requests",
    Record: "notices",
    Link: "links",
}
