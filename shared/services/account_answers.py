"""Learns what this account's API usually says, and keeps it in `control/relay`, where operators see it."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.domain import trust
from shared.domain.errors import RetryLater
from shared.domain.model import AccountAnswers, ApiRequest, RelayStatus
from shared.ports import Ledger
from shared.services.relay_status import read_status, update_status

KEPT = timedelta(minutes=1)  # the stored one is read again after that
TOGETHER = 20  # answers written at a time, once enough are known: the document is one for all instances


class AnswerHistory:
    """Of one instance. A database out of reach costs nothing but what is learnt meanwhile."""

    def __init__(self, ledger: Ledger, clock: Callable[[], datetime]) -> None:
        self._ledger, self._clock = ledger, clock
        self._usual, self._read_at = AccountAnswers(), datetime.min.replace(tzinfo=clock().tzinfo)
        self._new: list[ApiRequest] = []
        self._lock = threading.Lock()

    def usual(self) -> AccountAnswers:
        """What is known so far."""
        if self._clock() - self._read_at >= KEPT:
            self._read_at = self._clock()  # first: meanwhile the other threads go on with what they have
            self._usual = self._stored()
        return self._usual

    def add(self, answer: ApiRequest) -> None:
        """One more answer."""
        with self._lock:
            self._new.append(answer)
            if len(self._new) < TOGETHER and self._usual.read >= trust.LEAST_READ:
                return
            new, self._new = self._new, []
        self._write(new)

    def _stored(self) -> AccountAnswers:
        try:
            return read_status(self._ledger).answers
        except RetryLater:
            return self._usual

    def _write(self, new: list[ApiRequest]) -> None:
        try:
            self._usual = update_status(self._ledger, lambda status: _with_new(status, new)).answers
        except RetryLater:
            with self._lock:
                self._new = [*new, *self._new][-TOGETHER:]


def _with_new(status: RelayStatus, new: list[ApiRequest]) -> RelayStatus:
    answers = status.answers
    for answer in new:
        answers = trust.learnt(answers, answer)
    return replace(status, answers=answers)
