"""Which collection holds which document: the one table that every ledger reads."""

import msgspec

from shared.domain.model import Control, Link, Record, Request, Suppression

COLLECTIONS: dict[type[msgspec.Struct], str] = {
    Request: "requests",
    Record: "notices",
    Link: "links",
    Suppression: "suppressions",
    Control: "control",
}

# What lists are sorted by, newest first, and what they may be narrowed to: an index each.
CHANGED: dict[type[msgspec.Struct], str] = {Request: "changed_at", Record: "changed_at", Suppression: "since"}
NARROWED: dict[type[msgspec.Struct], tuple[str, ...]] = {Request: ("status", "search"), Record: ("state",)}
