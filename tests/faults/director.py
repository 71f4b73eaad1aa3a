"""Plays the script: facts become true at the stand-in, webhooks are posted until they are taken, as the vendor does."""

import contextlib
import heapq
import http.client
import itertools
import json
import re
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.model import Event
from tests.faults.api import Api
from tests.faults.provider import Provider
from tests.faults.script import Person, Play, Step

TOKEN = "soak-token"
LINK = re.compile(r"http://[^/\s]+(/l/[\w-]+)")
AGAIN = 0.5  # seconds until a webhook that was not taken is posted again
PATIENCE = timedelta(minutes=90)  # of the run's time; a signer waits for an invitation that several rechecks may miss
AFTER_REVISION = timedelta(minutes=9)  # the same after a revision, which only the next recheck finds
POSTERS = 8


@dataclass
class Acting:
    """Where a play stands. ready: when its next step became possible, None while somebody waits for a message.

    last: when its last step was taken, in the run's time.
    """

    play: Play
    last: datetime
    at: int = 0
    since: float = 0.0
    ready: float | None = None


class Director:
    """taken: steps whose webhook the relay has taken, as (request, number of the step); buried: those it gave up.

    unheard: signers who had to sign again, and did before the relay had noticed the revision.
    """

    def __init__(
        self, port: int, plays: Sequence[Play], api: Api, provider: Provider, bury: Callable[[Event], None]
    ) -> None:
        self._port, self._api, self._provider, self._bury = port, api, provider, bury
        self.buried = set[tuple[str, int]]()
        self.unheard = 0
        self._begun, self._ids = time.monotonic(), itertools.count()
        self._acting = [Acting(p, api.now(), since=self._begun + p.starts) for p in plays]
        self._hooks: list[tuple[float, int, Play, int, str]] = []
        self._due, self.posted = threading.Condition(), 0
        self.unposted = 0
        self.taken = set[tuple[str, int]]()
        self.over = 0

    def run(self) -> None:
        """Until every play is over and every webhook taken."""
        for _ in range(POSTERS):
            threading.Thread(target=self._post_forever, daemon=True).start()
        while self._acting or self.unposted:
            for acting in list(self._acting):
                self._advance(acting, time.monotonic())
            time.sleep(0.05)

    def _advance(self, acting: Acting, now: float) -> None:
        if acting.at == len(acting.play.steps):
            self._acting.remove(acting)
            self.over += 1
            return
        step = acting.play.steps[acting.at]
        if acting.ready is None and now >= acting.since and ((free := self._free(acting)) or self._in_vain(acting)):
            acting.ready = now
            self.unheard += not free and _again(acting.play, acting.at)
            self._opens(step)
        if acting.ready is not None and now >= acting.ready + step.delay:
            self._api.happens(acting.play, step.type, step.who)
            self._announce(acting.play, acting.at, step, now)
            acting.last, acting.at, acting.since, acting.ready = self._api.now(), acting.at + 1, now, None

    def _free(self, acting: Acting) -> bool:
        """Nobody signs, and nothing expires, before the messages that this would call off have arrived."""
        rounds = 2 if _again(acting.play, acting.at) else 1
        awaited_ = awaited(acting.play, acting.at)
        return all(self._provider.count("invitation", to) >= rounds for p in awaited_ for to in p.addresses)

    def _in_vain(self, acting: Acting) -> bool:
        patience = AFTER_REVISION if _again(acting.play, acting.at) else PATIENCE
        return self._api.now() - acting.last > patience

    def _opens(self, step: Step) -> None:
        """Whoever is about to sign follows the link of their last message, but for every tenth."""
        sents = [sent for to in step.who.addresses for sent in self._provider.got[to][-1:]] if step.who else []
        link = LINK.search(sents[0].text) if sents and step.type == "request_signed" else None
        if link and zlib.crc32(link[1].encode()) % 10:
            threading.Thread(target=self._follow, args=(link[1],), daemon=True).start()

    def _follow(self, path: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", path)
            connection.getresponse()
        connection.close()

    # -- webhooks

    def _announce(self, play: Play, number: int, step: Step, now: float) -> None:
        key = f"{play.id}-{number}"
        if play.buried:
            event = {"event": key, "type": step.type, "request": play.id, "received_at": self._api.now()}
            self._bury(Event(**event, signer=f"{play.id}/{step.who.number}" if step.who else None))
            self.buried.add((play.id, number))
            return
        with self._due:
            for after in step.hooks:
                heapq.heappush(self._hooks, (now + after, next(self._ids), play, number, key))
                self.unposted += 1
            self._due.notify_all()

    def _post_forever(self) -> None:
        while True:
            _, _, play, number, key = self._next()
            if self._posted(play, play.steps[number], key):
                with self._due:
                    self.taken.add((play.id, number))
                    self.posted, self.unposted = self.posted + 1, self.unposted - 1
            else:
                with self._due:
                    heapq.heappush(self._hooks, (time.monotonic() + AGAIN, next(self._ids), play, number, key))

    def _next(self) -> tuple[float, int, Play, int, str]:
        with self._due:
            while not self._hooks or self._hooks[0][0] > time.monotonic():
                self._due.wait(self._hooks[0][0] - time.monotonic() if self._hooks else 1.0)
            return heapq.heappop(self._hooks)

    def _posted(self, play: Play, step: Step, key: str) -> bool:
        hook = {"event_type": step.type, "id": key, "request": play.id, "description": "An agreement"}
        hook |= {"signer": f"{play.id}/{step.who.number}"} if step.who else {}
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            headers = {"Content-Type": "application/json", "Pactsafe-Webhook-Token": TOKEN}
            connection.request("POST", "/receive", json.dumps(hook), headers)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def awaited(play: Play, at: int) -> list[Person]:
    """Whose invitations the step waits for."""
    step = play.steps[at]
    if play.eager or step.type in ("request_sent", "request_complete") or not play.steps[0].hooks:
        return []
    if step.who:
        return [step.who]
    if step.type != "request_expired":
        return []
    signed = frozenset(s.who.number for s in play.steps[:at] if s.who)
    return [p for p in play.people if p.number not in signed and play.turn(p, signed)]


def _again(play: Play, at: int) -> bool:
    """Whether the step is a signature after a revision."""
    return play.steps[at].type == "request_signed" and any(s.type == "revise" for s in play.steps[:at])
