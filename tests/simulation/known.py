"""Breaches that are known and not mended yet, each with its reason. A test fails when one of them is mended."""

from collections.abc import Callable
from dataclasses import dataclass

from shared.domain.model import Request, SignerState
from tests.simulation.run import Played


@dataclass(frozen=True)
class Known:
    """case: in `cases.jsonl`, one in which it still happens. applies: whether a breach of the rule may be this one."""

    rule: str
    case: str
    reason: str
    applies: Callable[[Played], bool] = lambda played: True


def _revised(played: Played) -> bool:
    return any(a.what == "revise" for a in played.script.acts)


def _believed(played: Played) -> bool:
    """A signature that the API denies, and that only a webhook has told."""
    found = played.relay.ports.ledger.documents.get((Request, "r1"))
    signers = found[0].signers.values() if found else ()
    only_told = {s.name for s in signers if s.state is SignerState.SIGNED and not s.confirmed}
    return any(not row.signed and row.person.name in only_told for row in played.versions[-1].rows)


def _lost_claim(played: Played) -> bool:
    """The request was held back while the answer to a claim was lost."""
    held = any(a.what in ("pause", "expire", "outage") for a in played.script.acts)
    return held and any(p.endswith("put notices sending") for of in played.made.values() for p in of)


KNOWN = (
    Known("stuck", "lost claim", "a claim whose answer was lost stays sending when the request is paused", _lost_claim),
    Known("state", "late signature", "a Signed webhook handled after a revision is believed for good", _believed),
    Known("lost", "late signature 2", "a Signed webhook handled after a revision is believed for good", _believed),
    Known("round", "two rounds", "a revision soon after a signature makes two rounds", _revised),
    Known("doubled", "two rounds", "a revision soon after a signature makes two rounds", _revised),
)


def is_known(breach: tuple[str, str], played: Played) -> bool:
    return any(k.rule == breach[0] and k.applies(played) for k in KNOWN)
