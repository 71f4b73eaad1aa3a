"""Breaches that are known and not mended yet, each with its reason. A test fails when one of them is mended."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from shared.domain.model import Request, SignerState
from tests.simulation.run import Played


@dataclass(frozen=True)
class Known:
    """case: in `cases.jsonl`, one in which it still happens. applies: whether a breach of the rule may be this one."""

    rule: str
    case: str
    reason: str
    applies: Callable[[Played], bool] = lambda played: True


def _expired(played: Played) -> bool:
    said = any(d[:2] == ("status", "expired") for of in played.made.values() for d in of.values())
    return said or any(a.what in ("expire", "forged") for a in played.script.acts)


def _lied(played: Played) -> bool:
    return any(d[0].startswith("without") for of in played.made.values() for d in of.values())


def _frozen(played: Played) -> bool:
    return any(s.at - s.task.started > timedelta(seconds=175) for s in played.book)


def _frozen_at_claim(played: Played) -> bool:
    claims = (d for of in played.made.values() for place, d in of.items() if place.endswith("put notices sending"))
    return any(d[0] in ("slow", "late") and d[1] > 60 for d in claims)


def _paused(played: Played) -> bool:
    """Somebody counts as invited by others, of a request that was announced to us."""
    found = played.relay.ports.ledger.documents.get((Request, "r1"))
    return bool(found) and not found[0].adopted and any(s.adopted for s in found[0].signers.values())


def _revised(played: Played) -> bool:
    return any(a.what == "revise" for a in played.script.acts)


def _resent(played: Played) -> bool:
    return any(a.what == "resend" for a in played.script.acts)


def _believed(played: Played) -> bool:
    """A signature that the API denies, and that only a webhook has told."""
    found = played.relay.ports.ledger.documents.get((Request, "r1"))
    signers = found[0].signers.values() if found else ()
    only_told = {s.name for s in signers if s.state is SignerState.SIGNED and not s.confirmed}
    return any(not row.signed and row.person.name in only_told for row in played.versions[-1].rows)


KNOWN = (
    Known("asked in vain", "twice", "a reminder that comes twice asks the API before the ledger"),
    Known("other channel", "numberless", "one answer without a number moves a signer to the other channel", _lied),
    Known("lost", "short expiry", "an expiry that does not last calls off the reminders due in it", _expired),
    Known("state", "late signature", "a Signed webhook handled after a revision is believed for good", _believed),
    Known("lost", "late signature 2", "a Signed webhook handled after a revision is believed for good", _believed),
    Known(
        "against what was known", "frozen", "a delivery frozen before its claim sends on what it read before", _frozen
    ),
    Known("stuck", "frozen at claim", "a delivery frozen at its claim leaves the notice planned", _frozen_at_claim),
    Known("forgotten acceptance", "frozen at claim 2", "the same, of a notice that was accepted", _frozen_at_claim),
    Known("round", "two rounds", "a revision soon after a signature makes two rounds", _revised),
    Known("doubled", "two rounds", "a revision soon after a signature makes two rounds", _revised),
    Known("budget", "copies", "a notice that waits for an expired request is asked for in several copies", _resent),
    Known("lost", "paused Sent", "a Sent webhook handled while the request is paused invites nobody", _paused),
)


def is_known(breach: tuple[str, str], played: Played) -> bool:
    return any(k.rule == breach[0] and k.applies(played) for k in KNOWN)
