"""A whole life at LOG_LEVEL=DEBUG: what is printed holds nothing that lets its reader sign, and names nobody."""

import json
import re
from pathlib import Path

from tests.e2e.stack import ERIC, ERICS, JANE, JANES, Running, until
from tests.smtp_stand_in import SmtpStandIn
from tests.stand_in import Reply, StandIn

SECRETS = {
    "CLICKWRAP_WEBHOOK_TOKENS": "tok-webhook-31415",
    "ADDRESS_SECRET": "tok-address-16180-and-enough-of-it",
    "LINKS_SECRET": "tok-links-27182",
    "CLICKWRAP_API_TOKEN": "tok-api-16180",
}
EMAILS = re.compile(r"[\w.+-]+@(?!clickwrap-local\.iam|localhost)[\w-]+\.\w+")
NUMBERS = re.compile(r"\+?1?[ (.-]*317[ ).-]*\d{3}[ .-]*\d{4}")


def told(stack: Running, to: str, kind: str) -> bool:
    return any(kind in text for text in stack.texts(to))


def test_a_life_at_debug_logs_no_token_url_code_address_number_or_name(tmp_path: Path) -> None:
    stack = Running(tmp_path, "embedded", LOG_LEVEL="DEBUG", SECONDS_PER_DAY="1", **SECRETS)
    try:
        request = stack.send(ERIC, {**JANE, "signer_id": JANES}, title="Zebra Contract")
        until(lambda: told(stack, ERICS, "been sent") and told(stack, JANES, "been sent"), "both are invited")
        links = [stack.link(ERICS), stack.link(JANES)]
        forged = {"event_type": "request_signed", "id": JANES, "request": request, "signer": JANES}
        assert stack.call("POST", "/receive", forged, Pactsafe_Webhook_Token="tok-guess-14142")[0] == 401
        assert stack.call("POST", "/receipts/outbox", {"to": JANES})[0] == 401
        until(lambda: len(stack.texts(ERICS)) >= 2, "Eric is reminded")
        stack.sign(ERICS)
        until(lambda: told(stack, JANES, "has signed"), "Jane hears of it")
        stack.sign(JANES)
        until(lambda: told(stack, ERICS, "accepted by all"), "everyone hears of the completion")
        signing = [s["request_url"].rsplit("/", 1)[1] for s in signers(stack, request)]
        stack.call("GET", f"/receive?token={SECRETS['CLICKWRAP_WEBHOOK_TOKENS']}")
    finally:
        stack.stop()
    codes = [link.rsplit("/", 1)[1] for link in links]
    log = silent_log(tmp_path, *SECRETS.values(), "tok-guess", *codes, *signing)
    assert "webhook accepted" in log
    assert "notice accepted" in log


def test_providers_that_repeat_our_secrets_in_their_refusals_get_none_of_them_into_the_log(tmp_path: Path) -> None:
    account = {"TWILIO_ACCOUNT_SID": "ACsid", "TWILIO_AUTH_TOKEN": "tok-twilio-17320", "TWILIO_FROM": "+13175550000"}
    gossip = f"To {ERICS} or {JANES} with tok-twilio-17320: not valid"
    refused, later = Reply(400, {"code": 21211, "message": gossip}), Reply(503, {"message": gossip})
    with StandIn(later, refused) as twilio, SmtpStandIn(replies={"RCPT": f"550 5.1.1 <{JANES}> unknown"}) as smtp:
        mail = {"SMTP_URL": f"smtp://127.0.0.1:{smtp.port}", "EMAIL_FROM": "relay@localhost.localdomain"}
        chosen = {"SMS_PROVIDER": "twilio", "EMAIL_PROVIDER": "smtp", "TWILIO_API_URL": twilio.url}
        given = {**account, **mail, **chosen, **SECRETS}
        stack = Running(tmp_path, "embedded", LOG_LEVEL="DEBUG", SECONDS_PER_DAY="60", **given)
        try:
            stack.send(ERIC, JANE, title="Zebra Contract")
            until(lambda: (tmp_path / "stack.log").read_text().count("notice failed") == 2, "both are refused", 60)
        finally:
            stack.stop()
    log = silent_log(tmp_path, *SECRETS.values(), "tok-twilio")
    assert "the number is not valid" in log


def silent_log(directory: Path, *secrets: str) -> str:
    log = (directory / "stack.log").read_text()
    for secret in (*secrets, "Eric", "Jane", "Zebra"):
        assert secret not in log
    assert EMAILS.findall(log) == []
    assert NUMBERS.findall(log) == []
    return log


def signers(stack: Running, request: str) -> list[dict[str, str]]:
    header = {"Authorization": f"Bearer {SECRETS['CLICKWRAP_API_TOKEN']}"}
    status, body = stack.call("GET", f"/sandbox/api/v1.1/requests/{request}", None, **header)
    assert status == 200, body
    document = json.loads(body)
    found: list[dict[str, str]] = document.get("data", document)["signers"]
    return found
