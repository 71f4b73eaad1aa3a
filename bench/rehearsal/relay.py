"""The relay as it is deployed: handlers by instance, push subscriptions with their backoff, queues with their rates."""

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import msgspec

from bench.harness import ROOT
from bench.rehearsal.functions import Function
from bench.rehearsal.ports import LimitedApi, MemoryLedger, PacedProvider, PacedTasks, QueueBus
from bench.rehearsal.simulation import Simulation
from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.model import ApiRequest, ChannelName, Event, Notice
from shared.domain.policy import Policy
from shared.handlers.deliver import Deliver
from shared.handlers.reconcile import Reconcile
from shared.handlers.remind import Firing, Remind
from shared.handlers.resolve import Resolve
from shared.ports import Message, Outgoing, Target, Task, Wording
from shared.services.deferral import Arrived, Deferral, arrived
from shared.services.fallback import Fallback
from shared.services.links import LinkService
from shared.services.publisher import Publisher
from shared.services.resource_names import ResourceNames

MIN_BACKOFF, MAX_BACKOFF = 10.0, 600.0  # seconds, of the push subscriptions
QUEUES = {"reminders": 50.0, "retries": 20.0}  # dispatches a second, as in infra/tasks.tf
URLS = {"resolve": "https://resolve.test", "deliver": "https://deliver.test", "remind": "https://remind.test"}


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """api: calls a minute for all instances. provider: messages a second."""

    api: float = 1600.0
    provider: float = 100.0


class Relay:
    """sent: told of each message that a provider took."""

    def __init__(
        self, simulation: Simulation, limits: Limits, policy: Policy, sent: Callable[[Outgoing], None]
    ) -> None:
        self.simulation, self.policy, self._limits = simulation, policy, limits
        self.truth: dict[str, ApiRequest] = {}
        self.calls: dict[int, int] = defaultdict(int)
        self.waiting: Counter[str] = Counter()  # messages of a subscription that are not acknowledged
        self.dead: Counter[str] = Counter()
        self.ledger, self.bus = MemoryLedger(simulation), QueueBus(simulation)
        self.tasks, self.names = PacedTasks(simulation, QUEUES, self._fired), ResourceNames(remind_url=URLS["remind"])
        self._publisher = Publisher(self.ledger, self.bus, self.tasks, self.names, policy, simulation.clock)
        self._channels = {
            channel: PacedProvider(channel.value, simulation, limits.provider, sent)
            for channel in (ChannelName.SMS, ChannelName.EMAIL)
        }
        self._table = msgspec.json.decode((ROOT / "infra" / "functions.json").read_bytes())
        self._resolve = self._function("resolve", self._make_resolve)
        self._deliver = self._function("deliver", self._make_deliver)
        self._remind = self._function("remind", self._make_remind)
        self._reconcile = self._function("reconcile", self._make_reconcile)
        self.bus.subscribers = {self.names.events_topic: self.event, self.names.notices_topic: self.notice}

    # -- what comes in

    def event(self, message: Message) -> None:
        """A message of the events' topic."""
        self._resolved(self._published(message))

    def notice(self, message: Message) -> None:
        """A message of the notices' topic."""
        self._notified(self._published(message))

    def _published(self, message: Message) -> Arrived:
        now = self.simulation.clock()
        return Arrived(message.data, message.attributes, published_at=now, failing_since=now)

    def _resolved(self, message: Arrived) -> None:
        self._push("resolve", message, self._resolve, lambda handler, data: handler.event(_read(data, Event)))

    def _notified(self, message: Arrived) -> None:
        self._push("deliver", message, self._deliver, lambda handler, data: handler.notice(_read(data, Notice)))

    def reconcile(self) -> None:
        """One call of the scheduler's."""
        self._reconcile.call(lambda handler: handler.run() and None)

    def _push(
        self, name: str, message: Arrived, function: "Function[Any]", handle: Callable[[Any, bytes], None]
    ) -> None:
        self.waiting[name] += 1
        self._delivered(name, message, function, handle, MIN_BACKOFF)

    def _delivered(
        self,
        name: str,
        message: Arrived,
        function: "Function[Any]",
        handle: Callable[[Any, bytes], None],
        backoff: float,
    ) -> None:
        def work(handler: Any) -> None:
            try:
                handle(handler, message.data)
            except RetryLater as e:
                if not self._deferral(name).defer(message, e):
                    return self._again(again, backoff)
            except PermanentFailure as e:
                self.dead[e.reason] += 1
            self.waiting[name] -= 1
            return None

        def again() -> None:
            longer = min(2 * backoff, MAX_BACKOFF)
            self._delivered(name, message, function, handle, longer)

        function.call(work)

    def _again(self, again: Callable[[], None], backoff: float) -> None:
        self.simulation.at(self.simulation.seconds() + backoff, again)

    def _fired(self, task: Task) -> None:
        if task.url == URLS["remind"]:
            firing = _read(task.body, Firing)
            self._remind.call(lambda handler: handler.fire(firing) and None)
        else:
            message = arrived(msgspec.json.decode(task.body)["message"], by_task=True)
            (self._resolved if task.url == URLS["resolve"] else self._notified)(message)

    # -- what a deployment is made of

    def _function(self, name: str, make: Callable[[], Any]) -> "Function[Any]":
        row = self._table[name]
        return Function(self.simulation, make, row["max_instances"], row["concurrency"])

    def _deferral(self, name: str) -> Deferral:
        topic = self.names.events_topic if name == "resolve" else self.names.notices_topic
        return Deferral(self.tasks, self.names.retries, URLS[name], self.bus, topic, self.simulation.clock)

    def _api(self, name: str) -> LimitedApi:
        row = self._table[name]
        rate = self._limits.api * row["api_share"] / row["max_instances"]
        return LimitedApi(self.simulation, rate, self.truth, self.calls)

    def _make_resolve(self) -> Resolve:
        return Resolve(self.ledger, self._api("resolve"), self._publisher, self.policy, self.simulation.clock)

    def _make_reconcile(self) -> Reconcile:
        api = self._api("reconcile")
        recheck = Resolve(self.ledger, api, self._publisher, self.policy, self.simulation.clock).recheck
        return Reconcile(self.ledger, recheck, api, (), self.policy, self.simulation.clock)

    def _make_remind(self) -> Remind:
        return Remind(self.ledger, self._publisher, self.policy, self.simulation.clock)

    def _make_deliver(self) -> Deliver:
        clock = self.simulation.clock
        links = LinkService(_NoShortener(), self.policy.completion_link)
        fallback = Fallback(self.ledger, self.bus, self.names.notices_topic, clock)
        api = self._api("deliver")
        return Deliver(self.ledger, api, self._channels, links, _words, fallback, self.policy, clock)


class _NoShortener:
    def shorten(self, target: Target) -> str:
        return target.url


def _words(request: object, notice: Notice, link: str) -> Wording:
    return Wording(text=link, segments=1)


def _read(data: bytes, kind: Any) -> Any:
    return msgspec.json.decode(data, type=kind)
