"""The relay: instances with the real handlers over the ports in memory, and the queues that call them."""

import threading
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import flask
import msgspec
from werkzeug.test import create_environ

from shared import entrypoint
from shared.adapters.clickwrap.webhook import ClickwrapWebhook
from shared.domain.dead_letters import letter
from shared.domain.model import ChannelName, Event, Notice, Request
from shared.domain.policy import Policy
from shared.domain.receipts import Receipt, ReceiptLimits, ReceiptRequest
from shared.handlers.deliver import Deliver
from shared.handlers.receipts import Receipts
from shared.handlers.receive import Receive
from shared.handlers.reconcile import Reconcile
from shared.handlers.remind import Firing, Remind
from shared.handlers.resolve import Resolve
from shared.ports import PUBLISHED_AT, Message, Outgoing, Target
from shared.ports import Task as CloudTask
from shared.services import account_answers, circuit_breaker
from shared.services.dead_letters import DeadLetterService
from shared.services.deferral import Deferral
from shared.services.fallback import Fallback
from shared.services.links import LinkService
from shared.services.operator_actions import OperatorActions
from shared.services.outcomes import Outcomes
from shared.services.publisher import Publisher
from shared.services.resource_names import ResourceNames
from tests.fakes import CALLS, SUPPRESSION_DAYS, one_by_one
from tests.simulation.kernel import Kernel, Lock, Task
from tests.simulation.ports import (
    Calls,
    SimApi,
    SimBus,
    SimChannel,
    SimDeadLetters,
    SimFinder,
    SimLedger,
    SimScheduler,
    words,
)

ACK_DEADLINE = 60.0  # seconds
BACKOFF, MAX_BACKOFF, MAX_ATTEMPTS = 10.0, 600.0, 100  # of a push subscription
TASK_BACKOFF = 10.0
NAMES = ResourceNames(remind_url="remind")
APP = flask.Flask("simulation")
BY_PUBSUB = create_environ(method="POST")
BY_TASK = create_environ(method="POST", headers={"X-CloudTasks-TaskName": "task"})


class Instance:
    """What one process holds: handlers, and what they remember."""

    def __init__(self, number: int, ports: "Ports", policy: Policy, skew: float, kernel: Kernel) -> None:
        self.number = number
        ahead = timedelta(seconds=skew)
        self.clock: Callable[[], datetime] = (lambda: kernel.now + ahead) if skew else (lambda: kernel.now)
        p, clock = ports, self.clock
        publisher = Publisher(p.ledger, p.bus, p.scheduler, NAMES, policy, clock)
        fallback = Fallback(p.ledger, p.bus, NAMES.notices_topic, clock, SUPPRESSION_DAYS)
        with locks_of(kernel):
            self.resolve = Resolve(p.ledger, p.api, publisher, policy, clock, CALLS)
        links = LinkService(LongLinks(), policy.completion_link)
        outcomes = Outcomes(p.bus, NAMES, policy, clock)
        with locks_of(kernel):
            self.deliver = Deliver(p.ledger, p.api, p.channels, links, words, fallback, outcomes, policy, clock)
        self.remind = Remind(p.ledger, publisher, policy, clock)
        self.reconcile = Reconcile(p.ledger, self.resolve.recheck, p.api, [], policy, clock, CALLS, one_by_one)
        self.receive = Receive(ClickwrapWebhook(("secret",)), p.bus, NAMES.events_topic, clock)
        verifiers = {c.name: Verifier(c.name) for c in p.channels.values()}
        self.receipts = Receipts(p.ledger, verifiers, fallback, outcomes, clock, policy)
        self.operate = OperatorActions(p.ledger, publisher, policy, clock)
        self.letters = DeadLetterService(p.ledger, p.letters, p.bus, NAMES, policy, clock)
        self.deferrals = {
            topic: Deferral(p.scheduler, NAMES.retries, url, p.bus, topic, clock)
            for topic, url in ((NAMES.events_topic, "resolve"), (NAMES.notices_topic, "deliver"))
        }


@contextmanager
def locks_of(kernel: Kernel) -> Iterator[None]:
    """Locks that are made meanwhile let the others run: real ones would stop all tasks, which are of one thread."""
    for module in LOCKING:
        module.threading = SimpleNamespace(Lock=lambda: Lock(kernel))  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module in LOCKING:
            module.threading = threading  # type: ignore[attr-defined]


LOCKING = (account_answers, circuit_breaker)


class LongLinks:
    """No short links: the oracle reads whose a link is."""

    def shorten(self, target: Target) -> str:
        return target.url


class Verifier:
    """Receipts in a form of our own."""

    limits = ReceiptLimits()

    def __init__(self, name: str) -> None:
        self.name = name

    def receipts(self, request: ReceiptRequest, now: datetime) -> list[Receipt]:
        return [msgspec.json.decode(request.body, type=Receipt)]


class Ports:
    def __init__(self, calls: Calls, relay: "Relay", askable: Collection[str]) -> None:
        self.ledger = SimLedger(calls, relay.purged)
        self.bus = SimBus(calls, relay.take_message)
        self.scheduler = SimScheduler(calls, relay.take_task)
        self.api = SimApi(calls)
        self.letters = SimDeadLetters(calls)
        self.channels = {
            c: (SimFinder if c in askable else SimChannel)(c.value, calls, relay.taken)
            for c in (ChannelName.SMS, ChannelName.EMAIL)
        }


class Delivery:
    """A message of a subscription, until it is acknowledged. notice: its id, where it is one."""

    __slots__ = ("acknowledged", "attempts", "key", "label", "message", "notice", "published_at", "topic")

    def __init__(self, topic: str, message: Message, label: str, notice: str, key: str, published_at: datetime) -> None:
        self.topic, self.message, self.label, self.key, self.published_at = topic, message, label, key, published_at
        self.notice = notice
        self.attempts = 0
        self.acknowledged = False


class Relay:
    """taken: called with each message that a provider takes."""

    def __init__(self, kernel: Kernel, policy: Policy, skew: float, askable: Collection[str]) -> None:
        self.kernel, self.policy, self._skew = kernel, policy, skew
        self.calls = Calls(kernel)
        self.ports = Ports(self.calls, self, askable)
        self.ports.ledger.on_request = self._plan_recheck
        self.instances = [self._instance(n) for n in range(2)]
        self.statuses: list[tuple[datetime, bytes]] = []  # as a consumer gets them
        self.published: dict[str, Notice] = {}
        self.purges: list[tuple[datetime, str, Any]] = []
        self.on_taken: Callable[[Task, str, Outgoing], str] = lambda task, name, message: "id"
        self.on_end: Callable[[Task, str], None] = lambda task, how: None
        self.under_way: Counter[str] = Counter()  # messages that are not acknowledged, by label
        self._labels: dict[str, int] = {}
        self._passes: set[datetime] = set()
        self._sequence = 0

    def _instance(self, n: int) -> Instance:
        return Instance(n, self.ports, self.policy, self._skew if n else 0.0, self.kernel)

    def _place(self, label: str, call: str) -> tuple[Any, ...] | None:
        """A decision of the queues about a message, whose place is its label."""
        return self.kernel.decide(Task(label, None, self.kernel.now), call)

    def number(self, label: str) -> str:
        count = self._labels[label] = self._labels.get(label, 0) + 1
        return label if count == 1 else f"{label}/{count}"

    def start(
        self, label: str, work: Callable[[Instance], Any], done: Callable[[str, Any], None], notice: str = ""
    ) -> Task:
        """On one of the instances, which a crash replaces."""
        kernel = self.kernel
        task = Task(self.number(label), None, kernel.now)
        task.notice = notice
        chosen = kernel.decide(task, "instance")
        n = chosen[1] if chosen else 0
        instance = task.instance = self.instances[n]

        def ended(how: str, result: Any) -> None:
            if kernel.trace is not None:
                kernel.note("=", how, result if how != "error" else f"{type(result).__name__}: {result}")
            if how == "crash":
                if self.instances[n] is instance:
                    self.instances[n] = self._instance(n)
                kernel.after(0, lambda: kernel.kill(instance))
            self.on_end(task, how)
            done(how, result)

        kernel.spawn(task, lambda: work(instance), ended)
        return task

    # -- Pub/Sub

    def take_message(self, topic: str, message: Message) -> None:
        self._sequence += 1
        key = f"m{self._sequence}"
        if topic == NAMES.status_topic:
            data = message.data
            of_notice = b'"clickwrap.notice.' in data
            delay = self._place(self.number("notice status" if of_notice else "status"), "arrives")
            self.kernel.after(delay[1] if delay else 0.0, lambda: self.statuses.append((self.kernel.now, data)))
            if delay and delay[2] > 1:
                self.kernel.after(delay[1] * 2, lambda: self.statuses.append((self.kernel.now, data)))
        elif topic in (NAMES.events_topic, NAMES.notices_topic):
            label, notice = self._label(topic, message.data)
            self._send_on(Delivery(topic, message, label, notice, key, self.kernel.now))
        else:
            self._dead_letter(topic.removesuffix("-dead"), key, message.data, message.attributes)

    def _label(self, topic: str, data: bytes) -> tuple[str, str]:
        """What a message is called in a trace, and the id of its notice."""
        try:
            if topic == NAMES.events_topic:
                event = msgspec.json.decode(data, type=Event)
                return f"resolve {event.event}", ""
            notice = msgspec.json.decode(data, type=Notice)
        except msgspec.DecodeError:
            return "unreadable", ""
        self.published.setdefault(notice.notice, notice)
        about = f" {notice.reminder_day or notice.about}" if notice.reminder_day or notice.about else ""
        return f"deliver {notice.kind.value}{about} {self._name(notice)} {notice.channel.value}", notice.notice

    def _name(self, notice: Notice) -> str:
        found = self.ports.ledger.documents.get((Request, notice.request))
        signer = found[0].signers.get(notice.signer) if found else None
        return signer.name if signer else notice.signer[:4]

    def _send_on(self, delivery: Delivery) -> None:
        self.under_way[delivery.label] += 1
        how = self._place(self.number(f"queue {delivery.label}"), "arrives")
        delay, copies = (how[1], how[2]) if how else (0.01, 1)
        for copy in range(copies):
            self.kernel.after(delay + copy * (how[3] if how else 0.0), lambda: self._attempt(delivery))

    def _attempt(self, delivery: Delivery) -> None:
        if delivery.acknowledged:
            return
        delivery.attempts += 1
        if delivery.attempts > MAX_ATTEMPTS:
            delivery.acknowledged = True
            self._dead_letter(delivery.topic, delivery.key, delivery.message.data, {})
            return
        state = {"over": False}
        attempt = delivery.attempts

        def done(how: str, result: Any) -> None:
            if state["over"]:
                return  # too late: Pub/Sub has given this delivery up
            state["over"] = True
            if how == "ok":
                self.under_way[delivery.label] -= not delivery.acknowledged
                delivery.acknowledged = True
            else:
                self.kernel.after(_backoff(attempt, BACKOFF), lambda: self._attempt(delivery))

        d = delivery
        work = lambda i: self._push(i, d)  # noqa: E731
        task = self.start(d.label, work, done, d.notice)
        if not task.ended:
            self.kernel.after(ACK_DEADLINE, lambda: done("late", None))

    def _push(self, instance: Instance, delivery: Delivery) -> None:
        """As a push subscription calls the function: an exception is a refusal."""
        at = delivery.published_at.isoformat()
        message = {
            "data": b64encode(delivery.message.data),
            "messageId": delivery.key,
            "publishTime": at,
            "attributes": {**delivery.message.attributes, PUBLISHED_AT: at},
        }
        self._handle(instance, delivery.topic, {"message": message}, BY_PUBSUB)

    def _handle(self, instance: Instance, topic: str, envelope: dict[str, Any], caller: dict[str, Any]) -> None:
        event: Any = SimpleNamespace(data=envelope)
        deferral = instance.deferrals[topic]
        with APP.request_context(dict(caller)):
            if topic == NAMES.events_topic:
                entrypoint.subscriber(event, Event, instance.resolve.event, lambda: deferral)
            else:
                entrypoint.subscriber(event, Notice, instance.deliver.notice, lambda: deferral)

    def _dead_letter(self, topic: str, key: str, data: bytes, attributes: Any) -> None:
        held = self.ports.letters.letters.setdefault(topic, [])
        held.append(letter(topic, key, data, attributes, self.kernel.now, None))
        self.kernel.note("dead letter", topic)

    # -- Cloud Tasks

    def take_task(self, task: CloudTask) -> None:
        label, notice = self._task_label(task)
        how = self._place(self.number(f"queue {label}"), "fires")
        late, copies = (how[1], how[2]) if how else (0.0, 1)
        at = max(task.at, self.kernel.now) + timedelta(seconds=late)
        for copy in range(copies):
            self.kernel.at(at + timedelta(seconds=copy), lambda: self._fire(task, label, notice, 1))

    def _task_label(self, task: CloudTask) -> tuple[str, str]:
        if task.url == "remind":
            firing = msgspec.json.decode(task.body, type=Firing)
            return f"remind {firing.signer[:4]} {firing.reminder_day}", ""
        document = msgspec.json.decode(task.body)["message"]
        topic = NAMES.events_topic if task.url == "resolve" else NAMES.notices_topic
        label, notice = self._label(topic, b64decode(document["data"]))
        return f"{label} again", notice

    def _fire(self, task: CloudTask, label: str, notice: str, attempt: int) -> None:
        if task.name not in self.ports.scheduler.tasks:
            return
        state = {"over": False}

        def done(how: str, result: Any) -> None:
            if state["over"]:
                return
            state["over"] = True
            if how == "ok":
                self.ports.scheduler.tasks.pop(task.name, None)
            else:
                self.kernel.after(_backoff(attempt, TASK_BACKOFF), lambda: self._fire(task, label, notice, attempt + 1))

        started = self.start(label, lambda i: self._call(i, task), done, notice)
        if not started.ended:
            self.kernel.after(ACK_DEADLINE, lambda: done("late", None))

    def _call(self, instance: Instance, task: CloudTask) -> Any:
        if task.url == "remind":
            return instance.remind.fire(msgspec.json.decode(task.body, type=Firing))
        topic = NAMES.events_topic if task.url == "resolve" else NAMES.notices_topic
        return self._handle(instance, topic, msgspec.json.decode(task.body), BY_TASK)

    # -- Cloud Scheduler, which calls each minute: passes in which nothing is due are left out

    def _plan_recheck(self, request: Request) -> None:
        if request.next_at is not None:
            self.plan_pass(max(request.next_at, self.kernel.now))

    def plan_pass(self, at: datetime) -> None:
        minute = at.replace(second=0, microsecond=0)
        minute = minute if minute >= at else minute + timedelta(minutes=1)
        if minute not in self._passes:
            self._passes.add(minute)
            self.kernel.at(minute, lambda: self._pass(minute))

    def _pass(self, minute: datetime) -> None:
        self._passes.discard(minute)
        if not self.ports.ledger.due_now(self.kernel.now + timedelta(seconds=abs(self._skew))):
            return
        self.start("reconcile", lambda i: i.reconcile.run(), lambda how, result: None)
        self.plan_pass(self.kernel.now + timedelta(seconds=1))

    # -- the outside

    def post(self, body: dict[str, Any], done: Callable[[bool], None], attempt: int = 1) -> None:
        """A webhook: refused, it comes again for a day. done: called once it was taken (True) or given up."""

        def ended(how: str, result: Any) -> None:
            if how == "ok":
                done(True)
            elif attempt >= 12:
                done(False)
            else:
                self.kernel.after(min(30.0 * 2**attempt, 14_400.0), lambda: self.post(body, done, attempt + 1))

        data = msgspec.json.encode(body)
        self.start(f"receive {body['id']}", lambda i: i.receive.accept(data), ended)

    def report(self, provider: str, receipt: Receipt, taken: Callable[[], None], attempt: int = 1) -> None:
        """A receipt: refused, it comes again. taken: called once it was not."""

        def ended(how: str, result: Any) -> None:
            if how == "ok":
                taken()
            elif attempt < 8:
                self.kernel.after(30.0 * 2**attempt, lambda: self.report(provider, receipt, taken, attempt + 1))

        request = ReceiptRequest("https://receipts.test", {}, msgspec.json.encode(receipt))
        self.start(f"receipts {receipt.state.value}", lambda i: i.receipts.take(provider, request), ended)

    def taken(self, name: str, message: Outgoing) -> str:
        task = self.kernel.current
        assert task is not None
        return self.on_taken(task, name, message)

    def purged(self, key: str, item: Any) -> None:
        self.purges.append((self.kernel.now, key, item))


def _backoff(attempt: int, first: float) -> float:
    return min(first * 2 ** (attempt - 1), MAX_BACKOFF)
