"""A signer wants no more, and later does again: what is sent in between, by each provider's own signed requests."""

from collections.abc import Callable
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from shared.adapters.providers.email import mailgun, postmark, sendgrid, ses
from shared.adapters.providers.sms import aws, twilio, vonage
from shared.domain.brands import ONE_BRAND
from shared.domain.errors import PermanentFailure
from shared.domain.inbound import InboundText, Keyword
from shared.domain.model import EventType, NoticeState, Role, Status, Suppression
from shared.domain.policy import Policy
from shared.domain.receipts import InvalidSignature, ReceiptRequest
from shared.handlers.receipts import Receipts, Taken
from shared.ports import ReceiptVerifier
from shared.services.erasure import Erasure
from shared.setting_types import Values
from shared.text.wording import Words
from tests import signed_receipts as signed
from tests.contract.test_channels import RECEIPTS as BASE
from tests.fakes import PHONES, START, seen
from tests.simulated_time import Days, invited

HELP = "Acme: write to legal@acme.example & we help"
VALUES = Values(
    {
        "TWILIO_AUTH_TOKEN": "t0ken",
        "VONAGE_SIGNATURE_SECRET": "s1gning",
        "TWILIO_HELP_REPLY": HELP,
        "AWS_SMS_TOPIC_ARN": signed.TOPIC,
        "SES_TOPIC_ARN": signed.TOPIC,
        "SENDGRID_WEBHOOK_PUBLIC_KEY": signed.sendgrid_public_key(),
        "MAILGUN_SIGNING_KEY": "s1gning",
        "POSTMARK_WEBHOOK_TOKEN": signed.HOOK,
    }
)
VERIFIERS: dict[str, ReceiptVerifier] = {
    "twilio": twilio.ReceiptVerifier(VALUES),
    "vonage": vonage.ReceiptVerifier(VALUES),
    "aws": aws.ReceiptVerifier(VALUES),
    "ses": ses.ReceiptVerifier(VALUES),
    "sendgrid": sendgrid.ReceiptVerifier(VALUES),
    "mailgun": mailgun.ReceiptVerifier(VALUES),
    "postmark": postmark.ReceiptVerifier(VALUES),
}
DAY = timedelta(days=1)
Texts = Callable[[str, datetime], ReceiptRequest]


def by_twilio(text: str, at: datetime, **more: str) -> ReceiptRequest:
    fields = {"MessageSid": "SM1", "SmsStatus": "received", "From": PHONES["a"], "To": "+13175550199", "Body": text}
    return signed.twilio(f"{BASE}/twilio", fields | more, "t0ken")


def by_vonage(text: str, at: datetime) -> ReceiptRequest:
    fields = {"msisdn": PHONES["a"].removeprefix("+"), "to": "13175550199", "text": text, "type": "text"}
    fields |= {"messageId": "0A01", "keyword": text.upper(), "timestamp": str(int(at.timestamp()))}
    return signed.vonage_jwt(f"{BASE}/vonage", fields, "s1gning", at)


def by_messages(text: str, at: datetime) -> ReceiptRequest:
    told = {"channel": "sms", "message_uuid": "aaaa", "to": "13175550199", "from": PHONES["a"].removeprefix("+")}
    told |= {"timestamp": at.isoformat(), "text": text, "message_type": "text"}
    return signed.vonage_jwt(f"{BASE}/vonage", {**told, "sms": {"num_messages": "1"}}, "s1gning", at)


def by_aws(text: str, at: datetime) -> ReceiptRequest:
    event = {"originationNumber": PHONES["a"], "destinationNumber": "+13175550199", "messageKeyword": "KEYWORD_1"}
    event |= {"messageBody": text, "inboundMessageId": "cae173d2", "previousPublishedMessageId": "862a8790"}
    return signed.sns(f"{BASE}/aws", event, at)


def receipts_of(days: Days) -> Receipts:
    return Receipts(days.ledger, VERIFIERS, days.fallback, days.outcomes, days.clock, days.policy)


class Relay:
    """Two signers, invited by SMS; the provider also brings the texts of the first one."""

    def __init__(self, provider: str, text: Texts) -> None:
        self.days, self.provider, self.text = invited(), provider, text
        self.receipts = receipts_of(self.days)

    def texted(self, words: str, at: datetime | None = None) -> Taken:
        return self.receipts.take(self.provider, self.text(words, at or self.days.now))

    def suppressed(self) -> list[str]:
        """Why each reminder of the first signer was not sent."""
        key = self.days.signer("a")
        records = [r for r in self.days.records() if r.signer == key and r.state is NoticeState.SUPPRESSED]
        return [r.reason for r in records]


@pytest.fixture(params=[("twilio", by_twilio), ("vonage", by_vonage), ("vonage", by_messages), ("aws", by_aws)])
def relay(request: pytest.FixtureRequest) -> Relay:
    return Relay(*request.param)


def test_after_stop_no_reminder_is_sent_and_after_start_the_next_is(relay: Relay) -> None:
    relay.days.live(DAY)
    relay.texted("Stop.")
    relay.days.live(4 * DAY)
    assert relay.days.steps("a") == []
    assert relay.days.steps("b") == [3], "the other signer is still reminded"
    assert relay.suppressed() == ["the address is not to be used: the signer texted STOP"]
    relay.texted("START")
    relay.days.live(3 * DAY)
    assert relay.days.steps("a") == [7]


def test_a_stop_is_kept_beside_who_lifted_it(relay: Relay) -> None:
    relay.texted("STOP")
    [kept] = relay.days.ledger.all(Suppression).values()
    assert (kept.channel, kept.reason, kept.cleared_at) == ("sms", "the signer texted STOP", None)
    relay.days.live(DAY)
    relay.texted("START")
    [kept] = relay.days.ledger.all(Suppression).values()
    assert (kept.cleared_by, kept.cleared_why) == ("the signer", "the signer texted START")
    assert kept.purge_at, "what is lifted is kept no longer than any other"


def test_a_stop_does_not_expire_and_takes_the_place_of_a_block_that_does(relay: Relay) -> None:
    """SUPPRESSION_DAYS is for addresses at fault, which may work again. A person who wants no texts has said so."""
    record = next(r for r in relay.days.records() if r.signer == relay.days.signer("a"))
    relay.days.fallback.suppress(record, "unreachable", relay.days.now)
    relay.texted("STOP")
    [kept] = relay.days.ledger.all(Suppression).values()
    assert (kept.reason, kept.purge_at) == ("the signer texted STOP", None)


def test_a_stop_outlives_the_request_that_is_forgotten(relay: Relay) -> None:
    relay.texted("STOP")
    letters = SimpleNamespace(forget=lambda request: (0, True))
    told = Erasure(relay.days.ledger, letters, relay.days.clock).forget("r1", "op@example.com")  # type: ignore[arg-type]
    assert (told.known, told.suppressions) == (True, 0)
    assert len(relay.days.ledger.all(Suppression)) == 1


@pytest.mark.parametrize("words", ["HELP", "Thank you!", "please stop texting me at work", ""])
def test_any_other_text_changes_nothing(relay: Relay, words: str) -> None:
    assert relay.texted(words).settled == 0
    assert relay.days.ledger.all(Suppression) == {}


@pytest.mark.parametrize(("provider", "texts"), [("vonage", by_vonage), ("aws", by_aws)])
def test_a_stop_that_comes_again_after_a_start_does_not_undo_it(provider: str, texts: Texts) -> None:
    relay = Relay(provider, texts)
    stopped = relay.days.now
    relay.texted("STOP")
    relay.days.live(DAY / 24)
    relay.texted("START")
    relay.texted("STOP", at=stopped)
    [kept] = relay.days.ledger.all(Suppression).values()
    assert kept.cleared_at


def test_a_start_that_comes_again_after_a_stop_does_not_undo_it() -> None:
    relay = Relay("vonage", by_vonage)
    started = relay.days.now
    relay.days.live(DAY / 24)
    relay.texted("STOP")
    relay.texted("START", at=started)
    [kept] = relay.days.ledger.all(Suppression).values()
    assert kept.cleared_at is None


@pytest.mark.parametrize(
    "request_",
    [
        signed.twilio(f"{BASE}/twilio", {"SmsStatus": "received", "From": PHONES["a"], "Body": "STOP"}, "wr0ng"),
        signed.vonage_jwt(f"{BASE}/vonage", {"msisdn": "13175550101", "text": "STOP"}, "wr0ng", START),
        signed.sns(f"{BASE}/aws", {"inboundMessageId": "1", "messageBody": "STOP"}, START, TopicArn="arn:of:others"),
    ],
)
def test_a_stop_that_nobody_has_signed_stops_nothing(request_: ReceiptRequest) -> None:
    relay = Relay("twilio", by_twilio)
    with pytest.raises(InvalidSignature):
        relay.receipts.take(request_.url.rpartition("/")[2], request_)
    assert relay.days.ledger.all(Suppression) == {}


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("HELP", "<Response><Message>Acme: write to legal@acme.example &amp; we help</Message></Response>"),
        ("STOP", "<Response></Response>"),  # Twilio confirms it, and would refuse a reply of ours
        ("hello", "<Response></Response>"),
    ],
)
def test_twilio_is_told_what_to_reply(words: str, answer: str) -> None:
    assert Relay("twilio", by_twilio).texted(words).answer == answer


def test_without_a_reply_of_ours_help_is_left_to_twilio() -> None:
    bare = twilio.ReceiptVerifier(Values({"TWILIO_AUTH_TOKEN": "t0ken"}))
    [text] = bare.receipts(by_twilio("HELP", START), START)
    assert isinstance(text, InboundText)
    assert text.answer == "<Response></Response>"


@pytest.mark.parametrize(
    ("words", "told", "keyword"),
    [("ALTO", "STOP", Keyword.STOP), ("hola", "", None), ("STOP", "START", Keyword.START), ("STOP", "?", Keyword.STOP)],
)
def test_twilios_own_word_for_it_goes_first(words: str, told: str, keyword: Keyword | None) -> None:
    """With Advanced Opt-Out an account has keywords of its own, in any language."""
    [text] = VERIFIERS["twilio"].receipts(by_twilio(words, START, OptOutType=told), START)
    assert isinstance(text, InboundText)
    assert text.keyword is keyword


# -- the first text says how


def worded(policy: Policy | None = None) -> Days:
    """With the built-in texts."""
    days = Days(policy)
    days.deliver._render = Words(ONE_BRAND, days.policy)
    return days


def say_how(days: Days) -> list[bool]:
    """Of each text, in their order."""
    return [message.text.endswith("\nReply STOP to end") for message in days.sms.sent]


def test_an_invitation_says_how_to_opt_out_and_what_follows_it_does_not() -> None:
    days = worded()
    days.says(seen("a"), seen("b", mobile=""))
    days.hear(EventType.SENT)
    days.live(8 * DAY)
    days.says(seen("a", signed=True), seen("b", mobile="", signed=True), status=Status.COMPLETE)
    days.hear(EventType.COMPLETE)
    assert say_how(days) == [True, False, False, False]


def test_a_text_to_a_number_elsewhere_does_not_say_how_to_opt_out() -> None:
    days = worded()
    days.says(seen("a", mobile="+4915112345678"))
    days.hear(EventType.SENT)
    assert say_how(days) == [False]


def test_the_first_reminder_of_a_request_met_late_says_how_to_opt_out() -> None:
    days = worded()
    days.says(seen("a"), seen("b"), created_at=START)
    days.hear(EventType.SIGNED, "b")
    days.live(8 * DAY)
    assert days.steps("a") == [3, 7]
    assert say_how(days) == [True, False]


def test_a_completion_that_is_the_first_text_says_how_to_opt_out() -> None:
    days = worded()
    days.says(seen("a"), seen("b", role=Role.RECIPIENT))
    days.hear(EventType.SENT)
    days.says(seen("a", signed=True), seen("b", role=Role.RECIPIENT), status=Status.COMPLETE)
    days.hear(EventType.COMPLETE)
    assert [(m.to == PHONES["b"], how) for m, how in zip(days.sms.sent, say_how(days), strict=True)] == [
        (False, True),
        (False, False),
        (True, True),
    ]


def test_the_first_text_after_one_that_did_not_arrive_or_went_to_another_number_says_how_to_opt_out() -> None:
    days = worded(Policy(channels="sms"))
    days.sms.outcomes = [PermanentFailure("refused")]
    days.says(seen("a"), seen("b"))
    days.hear(EventType.SENT)
    days.live(4 * DAY)
    assert say_how(days) == [True, True, False], "of b's invitation, and of both reminders"
    days.says(seen("a", mobile="+13175550177"), seen("b"))
    days.live(4 * DAY)
    assert [m.text.endswith("STOP to end") for m in days.sms.sent if m.to == "+13175550177"][:1] == [True]


def test_a_text_that_stands_in_for_an_email_says_how_to_opt_out() -> None:
    days = worded(Policy(channels="email-first"))
    days.says(seen("a", email="a@example.com"))
    days.hear(EventType.SENT)
    days.email.always = PermanentFailure("bounced")
    days.live(8 * DAY)
    assert say_how(days) == [True, False]


# -- by e-mail


def by_sendgrid(event: dict[str, Any], notice: str, at: datetime) -> ReceiptRequest:
    told = {"email": "ann@example.com", "sg_message_id": "m1.x", "notice": notice, "timestamp": at.timestamp()}
    return signed.sendgrid(f"{BASE}/sendgrid", [told | event], at)


def by_mailgun(event: dict[str, Any], notice: str, at: datetime) -> ReceiptRequest:
    told = {"recipient": "ann@example.com", "user-variables": {"notice": notice}, "timestamp": at.timestamp()}
    return signed.mailgun(f"{BASE}/mailgun", told | event, "s1gning", at)


def by_postmark(event: dict[str, Any], notice: str, at: datetime) -> ReceiptRequest:
    told = {"MessageID": "m1", "Metadata": {"notice": notice}, "BouncedAt": at.isoformat(), "ChangedAt": at.isoformat()}
    return signed.postmark(f"{BASE}/postmark", told | event, signed.HOOK)


def by_ses(event: dict[str, Any], notice: str, at: datetime) -> ReceiptRequest:
    return signed.sns(f"{BASE}/ses", event | {"mail": {"messageId": "m1", "tags": {"notice": [notice]}}}, at)


MAILED = {"sendgrid": by_sendgrid, "mailgun": by_mailgun, "postmark": by_postmark, "ses": by_ses}


class MailRelay:
    """Two signers, invited by e-mail through this provider."""

    def __init__(self, provider: str) -> None:
        self.provider = provider
        self.days = Days(Policy(channels="email"))
        self.days.email.name = provider
        self.days.says(seen("a", email="a@example.com"), seen("b", email="b@example.com"))
        self.days.hear(EventType.SENT)
        self.receipts = receipts_of(self.days)

    def told(self, event: dict[str, Any], notice: str = "") -> None:
        invitation = next(m.notice for m in self.days.email.sent if m.to == "a@example.com")
        self.receipts.take(self.provider, MAILED[self.provider](event, notice or invitation, self.days.now))

    def blocked(self) -> Suppression | None:
        return next(iter(self.days.ledger.all(Suppression).values()), None)


CHANGED = {"RecordType": "SubscriptionChange", "SuppressSending": True, "SuppressionReason": "ManualSuppression"}
FAILED = {"event": "failed", "severity": "permanent"}
BOUNCE = {"bounceType": "Permanent", "bouncedRecipients": []}
COMPLAINT = {"complaintFeedbackType": "abuse"}
UNTRIED = "OnAccountSuppressionList"


@pytest.mark.parametrize(
    ("provider", "event", "why"),
    [
        ("sendgrid", {"event": "unsubscribe"}, "SendGrid: unsubscribed"),
        ("sendgrid", {"event": "group_unsubscribe", "asm_group_id": 10}, "SendGrid: unsubscribed"),
        ("sendgrid", {"event": "spamreport"}, "SendGrid: reported as spam"),
        ("sendgrid", {"event": "dropped", "reason": "Unsubscribed Address"}, "SendGrid: unsubscribed before"),
        ("sendgrid", {"event": "dropped", "reason": "Spam Reporting Address"}, "SendGrid: reported as spam before"),
        ("mailgun", {"event": "unsubscribed"}, "Mailgun: unsubscribed"),
        ("mailgun", {"event": "complained"}, "Mailgun: reported as spam"),
        ("mailgun", {**FAILED, "reason": "suppress-unsubscribe"}, "Mailgun: unsubscribed before"),
        ("mailgun", {**FAILED, "reason": "suppress-complaint"}, "Mailgun: reported as spam before"),
        ("postmark", {**CHANGED, "Origin": "Recipient"}, "Postmark: has opted out"),
        ("postmark", {"RecordType": "SpamComplaint"}, "Postmark: reported as spam"),
        ("postmark", {"RecordType": "Bounce", "Type": "Unsubscribe"}, "Postmark: has opted out"),
        ("ses", {"eventType": "Complaint", "complaint": COMPLAINT}, "Amazon SES: reported as spam"),
        (
            "ses",
            {"eventType": "Complaint", "complaint": {**COMPLAINT, "complaintSubType": UNTRIED}},
            "Amazon SES: reported as spam before",
        ),
    ],
)
def test_who_unsubscribes_or_complains_gets_no_reminder_and_it_does_not_expire(
    provider: str, event: dict[str, Any], why: str
) -> None:
    relay = MailRelay(provider)
    relay.told(event)
    blocked = relay.blocked()
    assert blocked
    assert (blocked.opted_out, blocked.purge_at, blocked.reason) == (True, None, why)
    relay.days.live(4 * DAY)
    assert (relay.days.steps("a"), relay.days.steps("b")) == ([], [3])


@pytest.mark.parametrize(
    ("provider", "event"),
    [
        ("sendgrid", {"event": "bounce", "type": "bounce"}),
        ("sendgrid", {"event": "dropped", "reason": "Bounced Address"}),
        ("sendgrid", {"event": "dropped", "reason": "Invalid"}),
        ("mailgun", {**FAILED, "reason": "bounce"}),
        ("mailgun", {**FAILED, "reason": "suppress-bounce"}),
        ("postmark", {"RecordType": "Bounce", "Type": "HardBounce"}),
        ("postmark", {**CHANGED, "Origin": "Customer"}),
        ("ses", {"eventType": "Bounce", "bounce": {**BOUNCE, "bounceSubType": "NoEmail"}}),
        ("ses", {"eventType": "Bounce", "bounce": {**BOUNCE, "bounceSubType": UNTRIED}}),
    ],
)
def test_an_address_at_fault_is_blocked_for_a_time(provider: str, event: dict[str, Any]) -> None:
    relay = MailRelay(provider)
    relay.told(event)
    blocked = relay.blocked()
    assert blocked
    assert not blocked.opted_out
    assert blocked.purge_at


def test_who_subscribes_again_at_sendgrid_gets_the_next_reminder() -> None:
    relay = MailRelay("sendgrid")
    relay.told({"event": "group_unsubscribe"})
    relay.days.live(4 * DAY)
    relay.told({"event": "group_resubscribe"})
    relay.days.live(4 * DAY)
    assert relay.days.steps("a") == [7]
    blocked = relay.blocked()
    assert blocked
    assert (blocked.cleared_by, blocked.cleared_why) == ("the signer", "SendGrid: subscribed again")


def test_an_unsubscription_from_mails_of_others_on_the_account_is_none_from_ours() -> None:
    relay = MailRelay("sendgrid")
    relay.told({"event": "group_unsubscribe"}, notice="another's")
    relay.told({"event": "unsubscribe", "notice": None})
    assert relay.blocked() is None
