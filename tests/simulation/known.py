"""Breaches that are known and not mended yet, each with its reason. A test fails when one of them is mended."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from shared.domain.model import Request, SignerState
from tests.simulation.run import Played


@dataclass(frozen=True)
class Known:
    """seed: one in which it still happens. applies: whether a breach of the rule may be this one."""

    rule: str
    reason: str
    seed: int
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


def _believed(played: Played) -> bool:
    """A signature that the API denies, and that only a webhook has told."""
    found = played.relay.ports.ledger.documents.get((Request, "r1"))
    signers = found[0].signers.values() if found else ()
    only_told = {s.name for s in signers if s.state is SignerState.SIGNED and not s.confirmed}
    return any(not row.signed and row.person.name in only_told for row in played.versions[-1].rows)


KNOWN = (
    Known("asked in vain", "a reminder that comes twice asks the API before the ledger", 11),
    Known("other channel", "one answer without a number moves a signer to the other channel", 3318, _lied),
    Known("state", "a Signed webhook handled after a revision is believed for good", 11349, _believed),
    Known("lost", "a Signed webhook handled after a revision is believed for good", 12237, _believed),
    Known(
        "against what was known", "a delivery frozen before its claim sends on what it read long ago", 11519, _frozen
    ),
    Known("stuck", "a delivery frozen at its claim leaves the notice planned", 10153, _frozen_at_claim),
    Known("lost", "an expiry that does not last calls off the reminders due in it", 372, _expired),
)


def is_known(breach: tuple[str, str], played: Played) -> bool:
    return any(k.rule == breach[0] and k.applies(played) for k in KNOWN)
