"""What a forged webhook does: every event, to a request in every state, on both spellings of the API.

`make forged-events` prints the table. Whoever has the webhook's token can send each of these.
"""

import io
import json
import logging
from datetime import timedelta
from functools import cache
from itertools import product

import msgspec

from shared.domain.model import AccountAnswers, ApiSigner, EventType, RelayStatus, Request, SignerState, Status
from shared.entrypoint import JsonLines
from shared.ports import NotFound
from shared.services.relay_status import RELAY
from tests.fakes import World, seen

SENT, SIGNED, COMPLETE, EXPIRED = EventType
STATES = ("made up", "never met", "adopted", "open", "complete", "never met, complete")
APIS = ("full", "new", "silent")  # new: it says everything, and has shown no signature of this account yet
FORGED: dict[str, tuple[tuple[EventType, str | None], ...]] = {  # the events, and the signer whom each names
    "sent": ((SENT, None),),
    "signed": ((SIGNED, "a"),),
    "signed, unknown id": ((SIGNED, "nobody"),),
    "all signed": ((SIGNED, "a"), (SIGNED, "b")),
    "complete": ((COMPLETE, None),),
    "all signed, complete": ((SIGNED, "a"), (SIGNED, "b"), (COMPLETE, None)),
    "expired": ((EXPIRED, None),),
}
MONTH, DAY = timedelta(days=30), timedelta(days=1)


class Row(msgspec.Struct, frozen=True):
    """told: the kinds of message that left because of it. calls: of the API within a day, beside those made without it.

    silenced: who, of the two who have not signed, lacks a reminder within ten days. alerts: what an operator hears.
    """

    event: str
    state: str
    api: str
    told: tuple[str, ...]
    calls: int
    silenced: tuple[str, ...]
    alerts: tuple[str, ...]


def rows() -> list[Row]:
    return [row(event, state, api) for event, state, api in product(FORGED, STATES, APIS)]


def row(event: str, state: str, api: str) -> Row:
    with_it, without = _after(state, api, event), _after(state, api, "")
    more, fewer = set(with_it.told) - set(without.told), set(without.told) - set(with_it.told)
    told = {kind for kind, _, _ in more if kind != "reminder"}
    silenced = {who for kind, who, _ in fewer if kind == "reminder"}
    calls = with_it.calls - without.calls
    return Row(event, state, api, tuple(sorted(told)), calls, tuple(sorted(silenced)), with_it.alerts)


class _After(msgspec.Struct, frozen=True):
    told: list[tuple[str, str, int]]
    calls: int
    alerts: tuple[str, ...]


@cache
def _after(state: str, api: str, event: str) -> _After:
    """calls and alerts within a day of the forgery; messages within ten, since a reminder may be a day late."""
    world = _world(state, api)
    begun, calls = len(world.sent()), world.api.calls
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("shared")
    logger.addHandler(handler)
    try:
        for kind, who in FORGED.get(event, ()):
            world.hear(kind, who, key=f"forged {kind} {who}")
        world.advance(DAY, reconcile=True)
        calls = world.api.calls - calls
    finally:
        logger.removeHandler(handler)
    world.advance(9 * DAY, reconcile=True)
    found = {alert for line in lines.getvalue().splitlines() if (alert := json.loads(line).get("alert"))}
    told = world.told() if len(world.sent()) > begun else []
    return _After(told, calls, tuple(sorted(found)))


def _signers(api: str, *, signed: bool) -> list[ApiSigner]:
    return [seen(name, signed=None if api == "silent" else signed) for name in "ab"]


def _world(state: str, api: str) -> World:
    """Of an account whose API has been read often."""
    world = World()
    full, over = api != "silent", "complete" in state
    often = AccountAnswers(read=50, status=float(full), signed=float(full), shown=api == "full")
    world.ledger.put(RELAY, RelayStatus(answers=often), None)
    status = (Status.COMPLETE if over else Status.OPEN) if full else None
    if state == "made up":
        world.api.truth["r1"] = NotFound()
        return world
    world.says(*_signers(api, signed=over), status=status)
    if state == "adopted":
        world.resolve.recheck("r1")
        world.now += 2 * DAY
    if state in ("open", "complete"):
        world.says(*_signers(api, signed=False), status=Status.OPEN if full else None)
        world.hear(SENT)
        world.now += timedelta(hours=1)
    if state == "complete":
        world.says(*_signers(api, signed=True), status=status)
        for kind, who in ((SIGNED, "a"), (SIGNED, "b"), (COMPLETE, None)):
            world.hear(kind, who)
        world.now += MONTH
    return world


def signed_by(world: World, name: str) -> bool:
    stored = world.ledger.get(Request, "r1")
    assert stored
    return any(name in s.aliases and s.state is SignerState.SIGNED for s in stored.item.signers.values())


def main() -> None:
    logging.getLogger("shared").propagate = False
    logging.getLogger("shared").addHandler(logging.NullHandler())
    line = "{:21} {:20} {:7} {:24} {:>5}  {:11} {}"
    print(line.format("forged events", "request", "API", "what signers hear", "calls", "silenced", "alerts"))
    for r in rows():
        heard, alerts = ", ".join(r.told) or "nothing", ", ".join(r.alerts) or "-"
        print(line.format(r.event, r.state, r.api, heard, r.calls, ", ".join(r.silenced) or "nobody", alerts))


if __name__ == "__main__":
    main()
