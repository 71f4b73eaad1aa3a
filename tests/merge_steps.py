"""Builders for merge tests: a request before and after one more event or recheck."""

from datetime import timedelta
from itertools import count

from shared.domain.merge import merge
from shared.domain.model import ApiRequest, ApiSigner, Event, EventType, Request, Signer
from shared.domain.policy import Policy
from tests.fakes import START, answer, seen

POLICY = Policy()

SENT, SIGNED, COMPLETE, EXPIRED = EventType

_ids = count()


def event(kind: EventType, signer: str | None = None, *, age: float = 0, at=START) -> Event:
    received = at - timedelta(seconds=age)
    return Event(event=f"e{next(_ids)}", type=kind, request="r1", signer=signer, received_at=received)


def sent(*signers: ApiSigner, **fields) -> Request:
    """The state after `request_sent`."""
    return merge(None, answer(*signers, **fields), event(SENT), START, POLICY).request


def later(
    stored: Request | None, said: ApiRequest, kind: EventType | None = None, signer=None, *, minutes=1.0, age=0.0
):
    """The state after one more event (or look) some minutes later."""
    now = START + timedelta(minutes=minutes)
    return merge(stored, said, event(kind, signer, age=age, at=now) if kind else None, now, POLICY)


def who(request: Request, name: str) -> Signer:
    return next(s for s in request.signers.values() if name in s.aliases)


def states(request: Request) -> list[str]:
    return [s.state.value for s in request.signers.values()]


TWO = (seen("a"), seen("b"))

SILENT = (seen("a", signed=None), seen("b", signed=None))
