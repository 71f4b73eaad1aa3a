"""Stand-ins for the providers of SMS."""

from typing import NoReturn
from urllib.parse import parse_qs, urlsplit

import flask

from local.provider_stubs.common import E164, first_wrong, keep, presents, refuse, setting
from shared.text.segments import segments

sms = flask.Blueprint("sms", __name__)

MOST_CHARACTERS = 1600
LONGEST_REFERENCE = 100
TYPES = ("text", "binary", "wappush", "unicode", "vcal", "vcard")


@sms.post("/2010-04-01/Accounts/<account>/Messages.json")
def twilio(account: str) -> flask.typing.ResponseReturnValue:
    """https://www.twilio.com/docs/messaging/api/message-resource, https://www.twilio.com/docs/api/errors"""
    sid = setting("TWILIO_ACCOUNT_SID")
    if account != sid or not presents(sid, setting("TWILIO_AUTH_TOKEN")):
        _twilio_error(401, 20003)
    form = flask.request.form  # empty when the content type is another: then `To` is what is missing
    to, body, callback = (form.get(name, "") for name in ("To", "Body", "StatusCallback"))
    sender, service = form.get("From", ""), form.get("MessagingServiceSid", "")
    wrong = first_wrong(
        [
            (21604, bool(to)),
            (21211, bool(E164.fullmatch(to))),
            (21603, bool(sender or service)),
            (21606, not sender or sender == setting("TWILIO_FROM")),
            (21705, not service or service == setting("TWILIO_MESSAGING_SERVICE_SID")),
            (21602, bool(body)),
            (21617, len(body) <= MOST_CHARACTERS),
            (21609, not callback or urlsplit(callback).scheme in ("http", "https")),
        ]
    )
    if wrong:
        _twilio_error(400, wrong)
    notice = parse_qs(urlsplit(callback).query).get("n", [""])[0]
    parts = str(segments(body).count)
    key = keep("sms", to, body, notice=notice)
    return {"sid": f"SM{key}", "status": "queued", "error_code": None, "num_segments": parts, "to": to}, 201


def _twilio_error(status: int, code: int) -> NoReturn:
    url = f"https://www.twilio.com/docs/errors/{code}"
    refuse(status, {"code": code, "message": f"error {code}", "more_info": url, "status": status})


@sms.post("/sms/json")
def vonage() -> flask.typing.ResponseReturnValue:
    """Always 200, the verdict in the body: https://developer.vonage.com/en/api/sms"""
    form = flask.request.form
    to, text, kind = form.get("to", ""), form.get("text", ""), form.get("type", "text")
    wrong = first_wrong(
        [
            (("4", "Bad Credentials"), presents(setting("VONAGE_API_KEY"), setting("VONAGE_API_SECRET"))),
            *((("2", f"Missing {name} param"), bool(form.get(name))) for name in ("from", "to", "text")),
            (("3", "Invalid value for param: to"), bool(E164.fullmatch(f"+{to}"))),
            (("3", "Invalid value for param: type"), kind in TYPES),
            (("3", "Invalid value for param: client-ref"), len(form.get("client-ref", "")) <= LONGEST_REFERENCE),
        ]
    )
    if wrong:
        refuse(200, {"message-count": "1", "messages": [{"status": wrong[0], "error-text": wrong[1]}]})
    count, key = segments(text).count, keep("sms", f"+{to}", text, notice=form.get("client-ref", ""))
    parts = [{"to": to, "message-id": f"{key[:12]}{n:04X}", "status": "0"} for n in range(count)]
    return {"message-count": str(count), "messages": parts}
