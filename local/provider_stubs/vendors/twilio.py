"""A stand-in for Twilio."""

from email.utils import format_datetime
from typing import NoReturn
from urllib.parse import parse_qs, urlsplit

import flask

from local.provider_stubs.common import E164, Account, first_wrong, keep, kept, key_of, presents, refuse, setting
from shared.domain.model import ChannelName
from shared.text.segments import segments

blueprint = flask.Blueprint("twilio", __name__)
ACCOUNTS = (
    Account(
        ChannelName.SMS,
        "TWILIO_API_URL",
        credentials={
            "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
            "TWILIO_AUTH_TOKEN": "demo-token",
            "TWILIO_FROM": "+15005550006",
        },
    ),
)
MOST_CHARACTERS = 1600


@blueprint.post("/2010-04-01/Accounts/<account>/Messages.json")
def twilio(account: str) -> flask.typing.ResponseReturnValue:
    """https://www.twilio.com/docs/messaging/api/message-resource, https://www.twilio.com/docs/api/errors"""
    _sign_in(account)
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


@blueprint.get("/2010-04-01/Accounts/<account>/Messages.json")
def messages(account: str) -> flask.typing.ResponseReturnValue:
    """The list of messages to a number, the newest first."""
    _sign_in(account)
    args = flask.request.args
    rows = [
        {
            "sid": f"SM{key_of(m.id)}",
            "to": m.to,
            "body": m.text,
            "date_created": format_datetime(m.at),
            "date_sent": None,
        }
        for m in kept(args.get("To", ""))
    ]
    size = args.get("PageSize", 50, int)
    return {
        "messages": rows[:size],
        "page_size": size,
        "next_page_uri": f"?Page=1&PageSize={size}" if rows[size:] else None,
    }


def _sign_in(account: str) -> None:
    sid = setting("TWILIO_ACCOUNT_SID")
    if account != sid or not presents(sid, setting("TWILIO_AUTH_TOKEN")):
        _twilio_error(401, 20003)


def _twilio_error(status: int, code: int) -> NoReturn:
    url = f"https://www.twilio.com/docs/errors/{code}"
    refuse(status, {"code": code, "message": f"error {code}", "more_info": url, "status": status})
