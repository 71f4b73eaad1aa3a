"""Which collection holds which document: the one table that every ledger reads."""

import msgspec

from shared.domain.model import Link, NoticeRecord, RelayStatus, Request, Suppression

COLLECTIONS: dict[type[msgspec.Struct], str] = {
    Request: "requests",
    NoticeRecord: "notices",
    Link: "links",
    Suppression: "suppressions",
    RelayStatus: "control",
}

# What lists are sorted by, newest first, and what they may be narrowed to: an index each.
CHANGED: dict[type[msgspec.Struct], str] = {Request: "changed_at", NoticeRecord: "changed_at", Suppression: "since"}
NARROWED: dict[type[msgspec.Struct], tuple[str, ...]] = {
    Request: ("status", "search"),
    NoticeRecord: ("state", "provider_id"),
}
