"""The pages of the dead letters: the list, replay and drop."""

import logging

import flask

from shared.console.actions import BOTH, PageResponse, Plan, asked
from shared.console.context import console, done
from shared.services.dead_letters import MAX_AT_ONCE, ReplayPreview
from shared.services.operator_actions import Why

letters = flask.Blueprint("letters", __name__)

log = logging.getLogger(__name__)


@letters.get("/dead-letters")
def dead_letters() -> str:
    """The list, with what a replay of each would do."""
    return flask.render_template("dead_letters.html", held=console().dead_letters.held(), most=MAX_AT_ONCE, done=done())


@letters.route("/dead-letters/replay", methods=BOTH)
def replay() -> PageResponse:
    """Replays all of them, or the one whose id is given."""
    keys = flask.request.args.getlist("id")

    def act(why: Why) -> None:
        _log("replayed", why, console().dead_letters.replay(keys))

    effects = [f"{p.what}: {p.would}." for p in _shown(keys)]
    return asked(_plan("Replay dead letters", "Replay", effects), act, "replay")


@letters.route("/dead-letters/drop", methods=BOTH)
def drop() -> PageResponse:
    """Drops the one whose id is given."""
    keys = flask.request.args.getlist("id")
    chosen = [p for p in console().dead_letters.held() if p.letter.key in keys]

    def act(why: Why) -> None:
        console().dead_letters.drop([p.letter.key for p in chosen])
        _log("dropped", why, chosen)

    effects = [f"{p.what} is dropped; nothing is sent for it." for p in chosen]
    return asked(_plan("Drop a dead letter", "Drop", effects), act, "drop")


def _shown(keys: list[str]) -> list[ReplayPreview]:
    """The letters to show on GET; none on POST, whose page is not drawn."""
    held = console().dead_letters.held() if flask.request.method == "GET" else []
    return [p for p in held if not keys or p.letter.key in keys]


def _plan(title: str, button: str, effects: list[str]) -> Plan:
    blocker = "" if effects or flask.request.method == "POST" else "there are none"
    back = flask.url_for("letters.dead_letters")
    return Plan(title=title, button=button, effects=effects, back=back, blocker=blocker)


def _log(what: str, why: Why, letters: list[ReplayPreview]) -> None:
    """Logs the action with what it was done to: no document is left in which to record it."""
    told = [f"{p.letter.key}: {p.what}" for p in letters]
    log.info("operator: dead letters %s", what, extra={"json": {"letters": told, "who": why.who, "why": why.why}})
