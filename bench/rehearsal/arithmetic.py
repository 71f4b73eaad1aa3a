"""The arithmetic of docs/scale.md: a bulk send of one signer a request as a flow of events, minute by minute."""

from typing import NamedTuple

from bench.rehearsal.script import HOUR, MINUTE, SIGN_WITHIN

LEAST = 60.0  # minutes for which events wait after the sending: in less, Pub/Sub's backoff of ten minutes counts
STEPS = 60  # of the time of sending
EVENTS_A_SIGNATURE = 2  # of a request with one signer: signed, and complete


class Predicted(NamedTuple):
    """waiting: events, at every sixtieth of the time of sending. deepest: the most. empty: minutes until none waits.

    calls: of the API in a minute, the most.
    """

    waiting: list[float]
    deepest: float
    empty: float
    calls: float


class Compared(NamedTuple):
    """What the arithmetic says of a figure, and what the rehearsal showed."""

    label: str
    said: float
    shown: float


def predicted(size: int, events_a_minute: float, over: float = HOUR, other_calls: float = 0.0) -> Predicted:
    """size: requests, sent within `over` seconds. events_a_minute: what `resolve` may handle, a call each. other_calls:
    of the API a minute, of those who use up their share besides.
    """
    sending, waiting = over / MINUTE, [0.0]
    step = sending / STEPS
    while len(waiting) <= STEPS or waiting[-1] > 0:
        minute = step * (len(waiting) - 1)
        come = size / sending if len(waiting) <= STEPS else 0.0
        waiting.append(max(0.0, waiting[-1] + step * (come + _signed(size, minute, sending) - events_a_minute)))
    return Predicted(waiting, max(waiting), step * (len(waiting) - 1), events_a_minute + other_calls)


def _signed(size: int, minute: float, sending: float) -> float:
    """Events a minute of those who sign on the first day."""
    share, least, most = SIGN_WITHIN[0]
    begun, ended = (min(max(minute - at / MINUTE, 0.0) / sending, 1.0) for at in (least, most))
    return EVENTS_A_SIGNATURE * share * size * (begun - ended) / ((most - least) / MINUTE)
