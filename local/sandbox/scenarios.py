"""Failures to play: each button makes a request of its own in which one thing goes wrong."""

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import flask
import msgspec
from msgspec.structs import replace

from local.sandbox import answers, web
from local.sandbox.api import service
from local.sandbox.drafts import new_id, read_draft
from local.sandbox.model import SignatureRequest
from local.sandbox.outbox import ALL, Outbox
from local.sandbox.service import Played, unchanged
from local.sandbox.store import Webhook

scenarios = flask.Blueprint("scenarios", __name__)

LATE = timedelta(seconds=20)  # by which the first webhook comes after the second
OUTAGE = timedelta(hours=1)


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """failure: how the provider treats the first signer, by e-mail or by SMS. faults: of the API's next responses.

    played: what becomes of the webhook. after: what happens once the request is there.
    """

    title: str
    text: str
    failure: str = ""
    email: bool = False
    mobile: str = ""
    everyone: bool = False
    faults: Sequence[dict[str, Any]] = ()
    played: Played = unchanged
    ordered: bool = False
    after: Callable[[SignatureRequest], None] | None = None


def lost(webhooks: Sequence[Webhook]) -> Sequence[Webhook]:
    return []


def twice(webhooks: Sequence[Webhook]) -> Sequence[Webhook]:
    """The same body, with the same id in it."""
    return [*webhooks, *(replace(w, id=new_id()) for w in webhooks)]


def late(webhooks: Sequence[Webhook]) -> Sequence[Webhook]:
    return [replace(w, due_at=w.fired_at + LATE) for w in webhooks]


def sign(request: SignatureRequest) -> None:
    service().trigger(request.id, "signed")


def sign_unseen(request: SignatureRequest) -> None:
    """The API goes on answering as before the signature, a few times."""
    old = answers.answer(request, service().store.settings(), service().public_url)
    service().store.set({"faults": [{"status": 200, "body": old}] * 3})
    sign(request)


SCENARIOS: dict[str, Scenario] = {
    "delivered": Scenario(title="Delivered", text="A receipt says that the SMS arrived.", failure="delivered"),
    "opted-out": Scenario(title="Opted out", text="The signer has answered STOP before.", failure="opted_out"),
    "stop": Scenario(title="Answers STOP", text="The SMS arrives, and the signer texts STOP.", failure="stop"),
    "landline": Scenario(title="Landline", text="The number cannot take an SMS.", failure="landline"),
    "invalid": Scenario(title="Invalid number", text="“12345” is not a phone number.", mobile="12345"),
    "filtered": Scenario(title="Filtered", text="The provider takes it; the carrier drops it.", failure="filtered"),
    "bounced": Scenario(title="Bounced", text="The mailbox does not exist.", failure="bounced", email=True),
    "down": Scenario(
        title="Provider down",
        text="The SMS provider answers 503 for an hour of local time.",
        failure="down",
        everyone=True,
    ),
    "lost-answer": Scenario(
        title="Lost answer", text="The SMS leaves, and the provider's answer is lost.", failure="lost_answer"
    ),
    "not-their-turn": Scenario(title="Not their turn", text="Jane signs only after Eric.", ordered=True),
    "api-429": Scenario(
        title="API says 429",
        text="Clickwrap's API refuses three calls, with Retry-After.",
        faults=[{"status": 429, "headers": {"Retry-After": "5"}}] * 3,
    ),
    "api-500": Scenario(title="API says 500", text="Clickwrap's API fails three times.", faults=[{"status": 500}] * 3),
    "api-stale": Scenario(
        title="API lags", text="Eric signs, and the API does not show it three times.", after=sign_unseen
    ),
    "webhook-lost": Scenario(
        title="Webhook lost", text="Nobody hears of the request. Send it again from its page.", played=lost
    ),
    "webhook-twice": Scenario(title="Webhook twice", text="The same event comes two times.", played=twice),
    "webhook-late": Scenario(
        title="Out of order", text="Eric signs; “sent” comes 20 seconds after “signed”.", played=late, after=sign
    ),
}


def add_scenarios(app: flask.Flask, outbox: Outbox) -> None:
    """Add the buttons to the sandbox, before its first request. outbox: where its provider keeps the messages."""
    app.extensions["outbox"] = outbox
    app.jinja_env.globals["scenarios"] = SCENARIOS
    app.register_blueprint(scenarios)


@scenarios.post("/scenarios/<name>")
def play(name: str) -> flask.typing.ResponseReturnValue:
    """Makes the request and leads to it."""
    scenario = SCENARIOS.get(name) or flask.abort(404, "no such scenario")
    request = played(scenario, flask.current_app.extensions["outbox"], service().clock())
    where = flask.url_for("pages.show", key=request.id)
    return {"id": request.id} if web.wants_json() else flask.redirect(where, 303)


@scenarios.post("/recover")
def recover() -> flask.typing.ResponseReturnValue:
    """The provider, the API and the webhooks work again."""
    flask.current_app.extensions["outbox"].recover()
    service().store.set({"faults": [], "webhooks": "sent"})
    return ("", 204) if web.wants_json() else flask.redirect(flask.url_for("pages.index"), 303)


def played(scenario: Scenario, outbox: Outbox, now: datetime) -> SignatureRequest:
    """The request, in which the first signer fares as the scenario says."""
    eric = _eric(scenario)
    if scenario.failure:
        to = f"{ALL}sms" if scenario.everyone else str(eric.get("email") or eric["mobile_number"])
        outbox.fail(to, scenario.failure, now + OUTAGE if scenario.everyone else None)
    if scenario.faults:
        service().store.set({"faults": list(scenario.faults)})
    body = {"title": f"Scenario: {scenario.title}", "signers": [eric, JANE], "ordered": scenario.ordered}
    request = service().create(read_draft(body, now), scenario.played)
    if scenario.after:
        scenario.after(request)
    return request


JANE = {"name": "Jane Doe", "email": "jane.doe@example.com", "send_to": {"email": True}}


def _eric(scenario: Scenario) -> dict[str, Any]:
    """With an address of their own each time, so that one scenario does not block another's."""
    if scenario.email:
        address = f"eric.{secrets.token_hex(3)}@example.com"
        return {"name": "Eric Smith", "email": address, "send_to": {"email": True}}
    number = scenario.mobile or f"+1317555{secrets.randbelow(10_000):04}"
    return {"name": "Eric Smith", "mobile_number": number, "send_to": {"mobile_number": True}}
