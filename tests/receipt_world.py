"""A World whose SMS provider sends receipts, and that may use e-mail instead of SMS."""

from shared.domain.model import EventType, NoticeRecord, NoticeState
from shared.domain.policy import Policy
from shared.domain.receipts import InvalidSignature, Receipt, ReceiptRequest
from shared.handlers.receipts import Receipts
from tests.fakes import World, seen

SENT, SIGNED, COMPLETE, _ = EventType
SMS_FIRST = Policy(channels="sms-first")
MAIL = "a@example.com"
NOTHING = ReceiptRequest("https://receipts.test/sms", {}, b"")
PLANNED, SENDING, ACCEPTED, DELIVERED, UNDELIVERED, FAILED, UNKNOWN, SUPPRESSED = NoticeState


class Provider:
    """Says what it is told to say."""

    name = "sms"

    def __init__(self) -> None:
        self.told: list[Receipt] = []

    def receipts(self, request, now):
        if not self.told:
            raise InvalidSignature("nothing proven")
        return self.told


class ReceiptWorld(World):
    def __init__(self, policy: Policy = SMS_FIRST, **fields) -> None:
        super().__init__(policy)
        self.provider = Provider()
        ports = self.ledger, {"sms": self.provider}, self.fallback, self.outcomes
        self.receipts = Receipts(*ports, self.clock, self.policy)
        self.says(seen("a", email=MAIL, **fields), seen("b"))

    def told_of(self, state: NoticeState, reason: str = "", **fields) -> int:
        """A receipt for the first SMS that left."""
        notice = fields.pop("notice", self.sms.sent[0].notice if self.sms.sent else "")
        at = fields.pop("at", self.now)
        self.provider.told = [Receipt(notice=notice, provider_id="", state=state, reason=reason, at=at, **fields)]
        settled = self.receipts.take("sms", NOTHING).settled
        self.pump()
        return settled

    def first(self) -> NoticeRecord:
        return self.records()[0]
