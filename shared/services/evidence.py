"""One request's evidence as a file: entries in a hash chain, the last hash signed, and a page to print."""

import base64
import hashlib
from collections.abc import Callable
from datetime import datetime

from shared.domain import evidence
from shared.domain.model import NoticeRecord, Request, Suppression
from shared.ports import Ledger, SigningKey
from shared.text.evidence_page import evidence_page


class EvidenceService:
    """The evidence of any request in the ledger."""

    def __init__(self, ledger: Ledger, key: SigningKey, clock: Callable[[], datetime]) -> None:
        self._ledger, self._key, self._clock = ledger, key, clock

    def export(self, request: str) -> bytes | None:
        """The file, HTML with the JSON in it; None when there is no such request. Raises RetryLater."""
        stored = self._ledger.get(Request, request)
        return self._file(stored.item) if stored else None

    def _file(self, request: Request) -> bytes:
        records = self._ledger.records(request.id)
        chain = evidence.chained(evidence.entries(request, records, self._blocked(records)))
        statement = {
            "v": 1,
            "about": evidence.ABOUT,
            "request": request.id,
            "made_at": self._clock().isoformat(),
            "entries": len(chain),
            "head": chain[-1]["hash"],
            "key": self._key.name,
            "public_key": self._key.public_key(),
        }
        before, after = evidence_page(statement, chain)
        statement["page"] = hashlib.sha256(before.encode() + after.encode()).hexdigest()
        signature = base64.b64encode(self._key.sign(evidence.canonical(statement))).decode()
        document = {"statement": statement, "entries": chain, "signature": signature}
        return before.encode() + evidence.canonical(document) + after.encode()

    def _blocked(self, records: dict[str, NoticeRecord]) -> dict[str, Suppression]:
        keys = dict.fromkeys(record.address for record in records.values() if record.address)
        found = {key: self._ledger.get(Suppression, key) for key in keys}
        return {key: stored.item for key, stored in found.items() if stored}
