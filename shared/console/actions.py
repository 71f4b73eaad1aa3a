"""The pages with an effect: each first shows what it will do, and does it once confirmed with a reason."""

from collections.abc import Callable

import flask
import msgspec

from shared.console.context import case_of, console, may_act, person
from shared.console.masking import Shown
from shared.domain import eligibility
from shared.domain.model import ChannelName, NoticeRecord, NoticeState, Suppression
from shared.domain.timeline import spoken
from shared.domain.verdict import SPOKEN
from shared.services.operator_actions import DELETED, ActionRefused, Why, cannot_resume, cannot_stop
from shared.services.operator_queries import Case

actions = flask.Blueprint("actions", __name__)
PageResponse = flask.typing.ResponseReturnValue
BOTH = ["GET", "POST"]
DOUBLES = "Where the provider's answer was lost, a message may have arrived: its signer then gets it twice."


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a confirmation shows. blocker: why it cannot be done; "" if it can. fields: sent along, hidden.

    button: "" where there is nothing to confirm, as it is done.
    """

    title: str
    effects: list[str]
    button: str
    back: str
    blocker: str = ""
    fields: dict[str, str] = {}


@actions.route("/requests/<key>/resend/<notice>", methods=BOTH)
def resend(key: str, notice: str) -> PageResponse:
    """Sends a message once more."""
    case = case_of(key)
    record = case.records.get(notice) or flask.abort(404, "There is no such message.")
    return asked(_resending(case, notice, record), lambda why: console().operate.resend(key, notice, why), "resend")


@actions.route("/requests/<key>/stop", methods=BOTH)
def stop(key: str) -> PageResponse:
    """Stops the reminders of a request."""
    case = case_of(key)
    coming = sum(m.mark == "due" for m in case.moments)
    called_off = "One reminder ahead is" if coming == 1 else f"{coming} reminders ahead are"
    plan = Plan(
        title="Stop the reminders",
        effects=[
            f"{called_off} called off, and no new ones are planned.",
            "Invitations, progress and completion are still sent.",
        ],
        button="Stop the reminders",
        back=_page(key),
        blocker=cannot_stop(case.request),
    )
    return asked(plan, lambda why: console().operate.stop(key, why), "stop")


@actions.route("/requests/<key>/resume", methods=BOTH)
def resume(key: str) -> PageResponse:
    """Resumes the reminders of a request."""
    plan = Plan(
        title="Resume the reminders",
        effects=["Reminders still ahead are planned again.", "Those missed meanwhile are not made up for."],
        button="Resume the reminders",
        back=_page(key),
        blocker=cannot_resume(case_of(key).request),
    )
    return asked(plan, lambda why: console().operate.resume(key, why), "resume")


@actions.route("/requests/<key>/read", methods=BOTH)
def read(key: str) -> PageResponse:
    """Reads the API again without waiting for the next recheck."""
    plan = Plan(
        title="Read the API now",
        effects=["Clickwrap is asked for this request within a minute, and what follows from its answer is sent."],
        button="Read the API now",
        back=_page(key),
        blocker=DELETED if case_of(key).request.forgotten else "",
    )
    return asked(plan, lambda why: console().operate.read_again(key, why), "read")


@actions.route("/requests/<key>/forget", methods=BOTH)
def forget(key: str) -> PageResponse:
    """Deletes what is known of a request."""
    case_of(key)

    def act(why: Why) -> PageResponse | None:
        erased = console().erasure.forget(key, why.who, why.why)
        return None if erased.whole else flask.redirect(f"{_page(key)}?done=forget-part", 303)

    plan = Plan(
        title="Delete its personal data",
        effects=[
            "Its signers, the records of its messages, its links, blocked addresses and dead letters are deleted.",
            "Nothing is sent for it any more. This cannot be undone.",
            "Who deleted it and why is kept in the log: name no signer in the reason.",
        ],
        button="Delete",
        back=_page(key),
    )
    return asked(plan, act, "forget")


@actions.post("/suppressions/clear")
def clear() -> PageResponse:
    """Clears a blocked address. Its key is never in a page's address, which ends up in logs.

    request: a field with the id of the request on whose page it was pressed; "" for none.
    """
    key = flask.request.form.get("address", "")
    found = console().inspect.suppression(key) or flask.abort(404, "There is no such address.")
    of = flask.request.form.get("request", "")
    plan = Plan(
        title="Clear a blocked address",
        effects=[] if found.cleared_at else _clearing(key, found, of),
        button="Clear the address",
        back=_page(of) if of else flask.url_for("pages.suppressions"),
        blocker="it is cleared already" if found.cleared_at else "",
        fields={"address": key, "request": of},
    )
    return asked(plan, lambda why: console().operate.clear(key, why, of), "clear")


def _clearing(key: str, found: Suppression, request: str) -> list[str]:
    stop = "Someone who has answered STOP is still refused by the carrier until they text START: clear it only then."
    return [
        _whose(key, request),
        f"Messages {SPOKEN[found.channel]} to this address are tried again. It was blocked because: {found.reason}.",
        *([stop] if found.channel is ChannelName.SMS else []),
        "What was held back before is not sent by itself: send it once more from its request's page.",
    ]


def _whose(key: str, request: str) -> str:
    """Whose address it is, as far as the request says."""
    case = console().inspect.case(request) if request else None
    if case is None:
        return "Only a hash of the address is kept; open this from the page of a request to see whose it is."
    shown = Shown(case.request, personal=False)
    owners = case.owners.get(key, [])
    signers = [k for k in owners if k in case.request.signers]
    people = [f"{shown.label(k)} ({' or '.join(shown.addresses(case.request.signers[k]))})" for k in signers]
    people += ["the sender"] if "" in owners else []
    return f"It is the address of {', '.join(people) or 'nobody on this request any more'}."


def _resending(case: Case, notice: str, record: NoticeRecord) -> Plan:
    shown, signer = Shown(case.request, personal=False), case.request.signers.get(record.signer)
    to = " or ".join(shown.addresses(signer)) if signer else "nobody"
    what = spoken(record)
    effects = [f"{what} goes to {shown.label(record.signer)} ({to}) once more, with the request as it stands now."]
    blocker = console().operate.refusal(case.request, notice, record)
    decision = None if blocker else console().operate.decision(case.request, record)
    if record.state is NoticeState.UNKNOWN:
        effects.append(DOUBLES)
    if isinstance(decision, eligibility.Defer):
        effects.append(f"It will wait: {decision.reason}.")
    return Plan(
        title="Send a message once more",
        effects=effects,
        button="Send it once more",
        back=_page(case.request.id),
        blocker=blocker,
    )


def _page(key: str) -> str:
    return flask.url_for("pages.request", key=key)


def asked(plan: Plan, act: Callable[[Why], PageResponse | None], done: str = "") -> PageResponse:
    """Shows the confirmation first, and acts once a reason is posted. Aborts with 403 for a reader.

    What is refused by then is shown like what cannot be done from the first.

    act: returns a page that tells what was done, or None; then `done` names what `plan.back` says.
    """
    if not may_act():
        flask.abort(403, "you may read the console and not act: CONSOLE_OPERATORS does not name you")
    if "why" not in flask.request.form:
        return flask.render_template("confirm.html", plan=plan, fault="")
    try:
        why = Why(person(), flask.request.form.get("why", "")[:500])
    except ValueError:
        return flask.render_template("confirm.html", plan=plan, fault="Say why: it is kept in the time line."), 400
    try:
        return act(why) or flask.redirect(f"{plan.back}{'&' if '?' in plan.back else '?'}done={done}", 303)
    except ActionRefused as e:  # pressed twice, or another operator was first
        refused = msgspec.structs.replace(plan, blocker=e.reason)
        return flask.render_template("confirm.html", plan=refused, fault=""), 409
