"""The relay as it is deployed: handlers by instance, push subscriptions with their backoff, queues with their rates."""

from collections import Counter, defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from bench.harness import ROOT
from bench.rehearsal.functions import Function
from bench.rehearsal.ports import LimitedApi, MemoryLedger, PacedProvider, PacedTasks, QueueBus
from bench.rehearsal.simulation import Simulation, seconds_of
from shared.adapters.clickwrap.client import Bucket
from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.model import ApiRequest, ChannelName, Event, Link, Notice, Request, Signer
from shared.domain.policy import Policy
from shared.handlers.deliver import Deliver
from shared.handlers.links import Links
from shared.handlers.reconcile import Reconcile, at_once
from shared.handlers.remind import Firing, Remind
from shared.handlers.resolve import Resolve
from shared.ports import Message, Outgoing, Target, Task, Wording
from shared.services.deferral import Arrived, Deferral, arrived
from shared.services.fallback import Fallback
from shared.services.links import LinkService
from shared.services.outcomes import Outcomes
from shared.services.publisher import Publisher
from shared.services.resource_names import ResourceNames

MIN_BACKOFF, MAX_BACKOFF = 10.0, 600.0  # seconds, of the push subscriptions
MAX_DELIVERIES = 100  # of a message, before it is dead-lettered
QUEUES = {"reminders": 50.0}  # dispatches a second, as in infra/tasks.tf; the queues of retries 20
RETRIES = 20.0
URLS = {"resolve": "https://resolve.test", "deliver": "https://deliver.test", "remind": "https://remind.test"}


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """api: calls a minute for all instances. provider: messages a second. queues: share of the rates of Cloud Tasks.

    shared: one budget for all instances of a function, which no deployment has; else each has a fixed part.
    """

    api: float = 1600.0
    provider: float = 100.0
    queues: float = 1.0
    shared: bool = False


class Subscription:
    """A push subscription: what its function refuses comes again, later each time. waiting: not acknowledged."""

    def __init__(
        self,
        simulation: Simulation,
        function: "Function[Any]",
        kind: Any,
        handle: Callable[[Any, Any], None],
        deferral: Deferral,
        dead: Counter[str],
    ) -> None:
        self._simulation, self._function, self._kind, self._handle = simulation, function, kind, handle
        self._deferral, self._dead = deferral, dead
        self.waiting = 0

    def publish(self, message: Message) -> None:
        """A message of the topic."""
        now = self._simulation.clock()
        self.deliver(Arrived(message.data, message.attributes, published_at=now, failing_since=now))

    def deliver(self, message: Arrived) -> None:
        """Calls the function until it acknowledges the message."""
        self.waiting += 1
        self._call(message, MIN_BACKOFF)

    def _call(self, message: Arrived, backoff: float, deliveries: int = 1) -> None:
        def work(handler: Any) -> None:
            if self._acknowledged(handler, message):
                self.waiting -= 1
            elif deliveries >= MAX_DELIVERIES:
                self.waiting -= 1
                self._dead["delivered too often"] += 1
            else:
                later = self._simulation.seconds() + backoff
                again = min(2 * backoff, MAX_BACKOFF)
                self._simulation.at(later, lambda: self._call(message, again, deliveries + 1))

        self._function.call(work)

    def _acknowledged(self, handler: Any, message: Arrived) -> bool:
        try:
            self._handle(handler, msgspec.json.decode(message.data, type=self._kind))
        except RetryLater as e:
            return self._deferral.defer(message, e)
        except PermanentFailure as e:
            self._dead[e.reason] += 1
        return True


class Relay:
    """sent: told of each message that a provider took."""

    def __init__(
        self, simulation: Simulation, limits: Limits, policy: Policy, sent: Callable[[Outgoing], None]
    ) -> None:
        self.simulation, self.policy, self._limits = simulation, policy, limits
        self.truth: dict[str, ApiRequest] = {}
        self.calls: dict[int, int] = defaultdict(int)
        self.dead: Counter[str] = Counter()
        self.rechecks: list[tuple[float, float]] = []  # when each began, and how late that was
        self._buckets: dict[str, Bucket] = {}
        self.ledger, self.bus = MemoryLedger(simulation), QueueBus(simulation)
        rates = {queue: rate * limits.queues for queue, rate in QUEUES.items()}
        self.tasks = PacedTasks(simulation, rates, RETRIES * limits.queues, self._fired)
        self.names = ResourceNames(remind_url=URLS["remind"])
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
        self.subscriptions = {
            URLS["resolve"]: self._subscribed("resolve", self.names.events_topic, Event, Resolve.event),
            URLS["deliver"]: self._subscribed("deliver", self.names.notices_topic, Notice, Deliver.notice),
        }

    # -- what comes in

    def reconcile(self) -> None:
        """One call of the scheduler's."""
        self._reconcile.call(lambda handler: handler.run() and None)

    def opens(self, request: str, signer: int) -> None:
        """A signer opens the link in their message."""
        links = Links(self.ledger, self.policy, self.simulation.clock)
        code = f"{request}-{signer}".rjust(16, "-")
        key = next((k for k, s in self._signers_of(request).items() if s.number == signer), "")
        self.ledger.put(code, Link(request_id=request, signer=key, round=1), None)
        links.follow(code)

    def _signers_of(self, request: str) -> dict[str, Signer]:
        stored = self.ledger.peek(Request, request)
        return stored.signers if stored else {}

    def _fired(self, task: Task) -> None:
        if task.url == URLS["remind"]:
            firing = msgspec.json.decode(task.body, type=Firing)
            self._remind.call(lambda handler: handler.fire(firing) and None)
        else:
            message = arrived(msgspec.json.decode(task.body)["message"], by_task=True)
            self.subscriptions[task.url].deliver(message)

    # -- what a deployment is made of

    def _function(self, name: str, make: Callable[[], Any]) -> "Function[Any]":
        row = self._table[name]
        return Function(self.simulation, make, row["max_instances"], row["concurrency"])

    def _subscribed(self, name: str, topic: str, kind: Any, handle: Callable[[Any, Any], None]) -> "Subscription":
        deferral = Deferral(self.tasks, self.names.retries, URLS[name], self.bus, topic, self.simulation.clock)
        function = self._resolve if name == "resolve" else self._deliver
        subscription = Subscription(self.simulation, function, kind, handle, deferral, self.dead)
        self.bus.subscribers[topic] = subscription.publish
        return subscription

    def share(self, name: str) -> float:
        """API calls a minute of a function."""
        return float(self._limits.api * self._table[name]["api_share"])

    @property
    def has_slow_sender(self) -> bool:
        """Whether messages come faster than the provider takes them, so that `deliver` asks the API at each try."""
        return self._limits.provider * 60 < self.share("resolve")

    def _part(self, name: str) -> float:
        """API calls a minute of one instance, as `make deploy` sets them."""
        return self.share(name) / int(self._table[name]["max_instances"])

    def _api(self, name: str) -> LimitedApi:
        if self._limits.shared:
            bucket = self._buckets.setdefault(name, self._bucket(self.share(name)))
        else:
            bucket = self._bucket(self._part(name))
        return LimitedApi(self.simulation, bucket, self.truth, self.calls)

    def _bucket(self, rate: float) -> Bucket:
        return Bucket(rate, self.simulation.seconds, self.simulation.spend)

    def _make_resolve(self) -> Resolve:
        api, clock = self._api("resolve"), self.simulation.clock
        return Resolve(self.ledger, api, self._publisher, self.policy, clock, self._part("resolve"))

    def _make_reconcile(self) -> Reconcile:
        api, calls = self._api("reconcile"), self._part("reconcile")
        resolve = Resolve(self.ledger, api, self._publisher, self.policy, self.simulation.clock, calls)
        recheck = partial(self._recheck, resolve)
        each = partial(self.simulation.side_by_side, at_once(calls))
        return Reconcile(self.ledger, recheck, api, (), self.policy, self.simulation.clock, calls, each)

    def _recheck(self, resolve: Resolve, request: str) -> None:
        now, due = self.simulation.seconds(), self.ledger.peek(Request, request).next_at
        if due and seconds_of(due) <= now:  # an event may have been faster than the pass
            self.rechecks.append((now, now - seconds_of(due)))
        resolve.recheck(request)

    def _make_remind(self) -> Remind:
        return Remind(self.ledger, self._publisher, self.policy, self.simulation.clock)

    def _make_deliver(self) -> Deliver:
        clock = self.simulation.clock
        links = LinkService(_NoShortener(), self.policy.completion_link)
        fallback = Fallback(self.ledger, self.bus, self.names.notices_topic, clock, suppression_days=365)
        api = self._api("deliver")
        outcomes = Outcomes(self.bus, self.names, self.policy, clock)
        return Deliver(self.ledger, api, self._channels, links, _words, fallback, outcomes, self.policy, clock)


class _NoShortener:
    def shorten(self, target: Target) -> str:
        return target.url


def _words(request: object, notice: Notice, link: str, *_: object, **__: object) -> Wording:
    return Wording(text=link, segments=1)
