"""Each provider against the kit: the answers are those its own documentation shows."""

from shared.adapters.channels.twilio import Twilio
from shared.domain.receipts import ReceiptRequest
from shared.ports import Channel
from tests import signed
from tests.contract.channel_kit import DEADLINE, NOTICE, NOW, SMS, HttpChannelKit, ReceiptKit
from tests.stand_in import Reply

RECEIPTS = "https://relay.example/receipts"


def twilio(url: str) -> Twilio:
    return Twilio("AC0123", "t0ken", "+15005550006", url, RECEIPTS, lambda: NOW, DEADLINE)


def refusal(code: int, status: int = 400) -> Reply:
    url = f"https://www.twilio.com/docs/errors/{code}"
    body = {"code": code, "message": "+13175551234 ...", "more_info": url, "status": status}
    return Reply(status, body)


class TestTwilio(HttpChannelKit):
    message = SMS
    provider_id = "SM" + "0" * 32
    credentials = "TWILIO_AUTH_TOKEN"
    secrets = ("t0ken",)
    golden = "twilio"
    parts = {
        "accept": Reply(201, {"sid": provider_id, "status": "queued", "error_code": None, "num_segments": "1"}),
        "truncate": Reply(201, {"sid": provider_id}, fault="truncate"),
        "bad credentials": refusal(20003, 401),
        "bad recipient": refusal(21211),
        "opted out": refusal(21610),
        "bad message": refusal(21617),
        "busy": refusal(20429, 429),
    }

    def make(self, url: str) -> Channel:
        return twilio(url)


class TestTwilioReceipts(ReceiptKit):
    def reader(self) -> Twilio:
        return twilio("https://api.twilio.com")

    def request(self, kind: str) -> ReceiptRequest:
        told = {
            "accepted": {"MessageStatus": "sent"},
            "delivered": {"MessageStatus": "delivered", "RawDlrDoneDate": "2603011200"},
            "undelivered": {"MessageStatus": "undelivered", "ErrorCode": "30003"},
            "opted out": {"MessageStatus": "failed", "ErrorCode": "21610"},
            "other": {"MessageStatus": "receiving"},
        }
        fields = {"MessageSid": TestTwilio.provider_id, "AccountSid": "AC0123", "To": "+13175551234", "Body": ""}
        return signed.twilio(f"{RECEIPTS}/twilio?n={NOTICE}", fields | told[kind], "t0ken")
