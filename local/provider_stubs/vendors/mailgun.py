"""A stand-in for Mailgun."""

import flask

from local.provider_stubs.common import Account, first_wrong, is_address, keep, presents, refuse, setting
from shared.domain.model import ChannelName

blueprint = flask.Blueprint("mailgun", __name__)
ACCOUNTS = (
    Account(
        ChannelName.EMAIL,
        "MAILGUN_API_URL",
        credentials={"MAILGUN_API_KEY": "demo-key", "MAILGUN_DOMAIN": "mg.example.com"},
    ),
)


@blueprint.post("/v3/<domain>/messages")
def mailgun(domain: str) -> flask.typing.ResponseReturnValue:
    """https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages"""
    if not presents("api", setting("MAILGUN_API_KEY")):
        refuse(401, "Forbidden")
    if domain != setting("MAILGUN_DOMAIN"):
        refuse(404, {"message": f"Domain not found: {domain}"})
    form = flask.request.form
    sender, to, text, html = (form.get(name, "") for name in ("from", "to", "text", "html"))
    wrong = first_wrong(
        [
            ("from parameter is missing", bool(sender)),
            ("from parameter is not a valid address. please check documentation", is_address(sender)),
            ("to parameter is missing", bool(to)),
            ("to parameter is not a valid address. please check documentation", is_address(to)),
            ("Need at least one of 'text' or 'html' parameters specified", bool(text or html)),
        ]
    )
    if wrong:
        refuse(400, {"message": wrong})
    key = keep("email", to, text, form.get("subject", ""), html, notice=form.get("v:notice", ""))
    return {"id": f"<{key}@{domain}>", "message": "Queued. Thank you."}
