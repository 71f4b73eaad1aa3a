"""Housekeeping: how long documents are kept, who may act in the console, and what is logged."""

from datetime import datetime

from shared.setting_types import MAX_DAYS, Setting, secret, text, whole, words


def _restored(value: str) -> tuple[datetime, datetime] | None:
    if not value:
        return None
    copied, stopped = (datetime.fromisoformat(t) for t in value.split("/"))
    if copied.utcoffset() is None or copied >= stopped:  # it raises TypeError where only one has a zone
        raise ValueError
    return copied, stopped


RETENTION_DAYS = whole(
    "RETENTION_DAYS",
    f"32 to {MAX_DAYS}; days from a request's end until its personal data is deleted",
    90,
    least=32,
    most=MAX_DAYS,
)
RESTORED: Setting[tuple[datetime, datetime] | None] = Setting(
    name="RESTORED",
    meaning="after a restore: the copy's time/when work was stopped, like `2026-11-25T14:03:00Z/2026-11-25T15:10:00Z`; "
    "what fell due in between is not sent again, see docs/runbook-restore.md",
    parse=_restored,
    wanted="two rising times with a zone, joined by a slash",
)
CONSOLE_OPERATORS = words(
    "CONSOLE_OPERATORS",
    "comma-separated addresses of those who may act in the console; the others only read; empty: everyone may act",
)
SUPPRESSION_DAYS = whole(
    "SUPPRESSION_DAYS",
    f"32 to {MAX_DAYS}; when a blocked address is tried again although no operator has cleared it",
    365,
    least=32,
    most=MAX_DAYS,
)
ADDRESS_SECRET = secret(
    "ADDRESS_SECRET",
    "key of the hashes under which blocked addresses are kept",
    needed_by=("deliver", "receipts", "console"),
    example="local-address-secret",
)
EVIDENCE_KEY = text(
    "EVIDENCE_KEY",
    "key that signs evidence: a version of a Cloud KMS key (`projects/...`), or a PEM file, which is made if missing",
)
LOG_LEVEL = text("LOG_LEVEL", "least level of what is logged", "INFO")
