"""The one composition root: which adapter stands behind which port. Everything is made on first use, once an instance.

functions-framework imports the entry point before gunicorn forks its worker, so no client may be made at import.
"""

import logging
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from shared.domain.model import ChannelName
from shared.settings import SettingError, Settings

if TYPE_CHECKING:
    from flask import Flask

    from shared.handlers.deliver import Deliver
    from shared.handlers.links import Links
    from shared.handlers.receipts import Receipts
    from shared.handlers.receive import Receive
    from shared.handlers.reconcile import Reconcile
    from shared.handlers.remind import Remind
    from shared.handlers.resolve import Resolve
    from shared.ports import (
        Bus,
        Channel,
        ClickwrapApi,
        DeadLetters,
        Ledger,
        ReceiptVerifier,
        Render,
        Scheduler,
        Shortener,
    )
    from shared.services.dead_letters import DeadLetterService
    from shared.services.deferral import Deferral
    from shared.services.fallback import Fallback
    from shared.services.publisher import Publisher


class Backend(Protocol):
    """Where messages, documents and tasks live."""

    def bus(self) -> "Bus": ...

    def ledger(self) -> "Ledger": ...

    def scheduler(self) -> "Scheduler": ...

    def dead_letters(self) -> "DeadLetters": ...

    def outbox(self, channel: ChannelName) -> "Channel": ...

    def gauges(self) -> Mapping[str, object]:
        """What it knows of its queues, by name."""


class GoogleBackend:
    """Pub/Sub, Firestore and Cloud Tasks, in the cloud or on emulators, by Google's own clients."""

    @cache  # noqa: B019 - one backend an instance
    def bus(self) -> "Bus":
        from shared.adapters.gcp.pubsub import PubSubBus

        return PubSubBus(settings().project)

    @cache  # noqa: B019
    def ledger(self) -> "Ledger":
        from shared.adapters.gcp.firestore import FirestoreLedger

        return FirestoreLedger(settings().project)

    @cache  # noqa: B019
    def scheduler(self) -> "Scheduler":
        from shared.adapters.gcp.tasks import CloudTasks

        s = settings()
        account = s.text("TASKS_SERVICE_ACCOUNT", None if s.backend == "gcp" else "")
        return CloudTasks(s.project, s.location, account, audience=s.text("OIDC_AUDIENCE", ""))

    @cache  # noqa: B019
    def dead_letters(self) -> "DeadLetters":
        from shared.adapters.gcp.dead_letters import PubSubDeadLetters

        return PubSubDeadLetters(settings().project)

    def outbox(self, channel: ChannelName) -> "Channel":
        raise SettingError(f"{channel.upper()}_PROVIDER=outbox is for local use only")

    def gauges(self) -> Mapping[str, object]:
        return {}  # Cloud Monitoring knows; the console leads there


EMULATORS = ("PUBSUB_EMULATOR_HOST", "FIRESTORE_EMULATOR_HOST", "CLOUD_TASKS_EMULATOR_HOST")
log = logging.getLogger(__name__)
_local: Backend | None = None
_time: Callable[[], datetime] = partial(datetime.now, UTC)


def use(backend: Backend) -> None:
    """The local stack puts its own backend here; the cloud never does."""
    global _local
    _local = backend


def set_time(time: Callable[[], datetime]) -> None:
    """The local stack's time may run ahead; the cloud's never does."""
    global _time
    _time = time


@cache
def settings() -> Settings:
    return Settings(os.environ)


@cache
def backend() -> Backend:
    s = settings()
    if _local is None and s.backend == "embedded":
        raise SettingError(
            "BACKEND=embedded exists only inside `make run` and `make demo`; set BACKEND=emulators or gcp"
        )
    if _local is None and s.backend == "emulators":
        for variable in EMULATORS:  # without one, a client would turn to Google itself
            s.text(variable)
    return _local or GoogleBackend()


def clock() -> datetime:
    return _time()


# -- one handler a function


@cache
def receive() -> "Receive":
    from shared.adapters.clickwrap.webhook import ClickwrapWebhook
    from shared.handlers.receive import Receive

    s = settings()
    sites, integrations = frozenset(s.words("CLICKWRAP_SITES")), frozenset(s.words("CLICKWRAP_INTEGRATIONS"))
    reader = ClickwrapWebhook(s.webhook_tokens, sites=sites, integrations=integrations)
    return Receive(reader, backend().bus(), s.names().events_topic, clock)


@cache
def resolve() -> "Resolve":
    from shared.adapters.clickwrap.coalescing import CoalescingApi
    from shared.handlers.resolve import Resolve

    return Resolve(backend().ledger(), CoalescingApi(requests(), clock), publisher(), settings().policy(), clock)


@cache
def deliver() -> "Deliver":
    from shared.handlers.deliver import Deliver

    policy = settings().policy()
    for warning in settings().warnings():
        log.warning(warning)
    return Deliver(backend().ledger(), requests(), channels(), shortener(), renderer(), fallback(), policy, clock)


@cache
def remind() -> "Remind":
    from shared.handlers.remind import Remind

    return Remind(backend().ledger(), publisher(), settings().policy(), clock)


@cache
def reconcile() -> "Reconcile":
    from shared.handlers.reconcile import Reconcile

    s = settings()
    return Reconcile(backend().ledger(), resolve(), requests(), s.words("RECONCILE_LIST"), s.policy(), clock)


@cache
def receipts() -> "Receipts":
    from shared.handlers.receipts import Receipts

    settings().url("RECEIPTS_BASE_URL", "")  # a wrong one would refuse every receipt
    return Receipts(backend().ledger(), receivers(), fallback(), clock)


@cache
def links() -> "Links":
    from shared.handlers.links import Links

    choice = settings().choice("COMPLETION_LINK", ("request_url", "download_url", "auto"), "request_url")
    return Links(backend().ledger(), choice)


@cache
def console() -> "Flask":
    from shared.console.app import Console, create_console
    from shared.services.operator_actions import OperatorActions
    from shared.services.operator_queries import OperatorQueries

    b, s = backend(), settings()
    console = Console(
        inspect=OperatorQueries(b.ledger(), s.policy(), clock),
        operate=OperatorActions(b.ledger(), publisher(), s.policy(), clock),
        dead_letters=dead_letters(),
        environ=os.environ,
        warnings=s.warnings(),
        clock=clock,
        day=s.policy().days(1),
        gauges=b.gauges,
        local=s.backend != "gcp",
    )
    return create_console(console)


@cache
def deferral(url_variable: str) -> "Deferral":
    from shared.services.deferral import Deferral

    b, names = backend(), settings().names()
    topic = {"RESOLVE_URL": names.events_topic, "DELIVER_URL": names.notices_topic}[url_variable]
    return Deferral(b.scheduler(), names.retries_queue, settings().url(url_variable), b.bus(), topic, clock)


@cache
def dead_letters() -> "DeadLetterService":
    from shared.services.dead_letters import DeadLetterService

    b, s = backend(), settings()
    return DeadLetterService(b.ledger(), b.dead_letters(), b.bus(), s.names(), s.policy(), clock)


# -- what they are made of


@cache
def publisher() -> "Publisher":
    from shared.services.publisher import Publisher

    b, s = backend(), settings()
    s.url("REMIND_URL")  # reminders would go nowhere
    return Publisher(b.ledger(), b.bus(), b.scheduler(), s.names(), s.policy(), clock)


@cache
def fallback() -> "Fallback":
    from shared.services.fallback import Fallback

    return Fallback(backend().ledger(), backend().bus(), settings().names().notices_topic, clock)


@cache
def requests() -> "ClickwrapApi":
    from shared.adapters.clickwrap.client import ClickwrapClient

    s = settings()
    url = s.url("CLICKWRAP_API_URL", "https://api.pactsafe.com/v1.1")
    rate, hosts = s.number("API_RATE_PER_MINUTE", 1600), tuple(h.lower() for h in s.words("LINK_HOSTS"))
    return ClickwrapClient(url, s.text("CLICKWRAP_API_TOKEN"), s.fields(), rate, hosts)


def channels() -> "Mapping[ChannelName, Channel]":
    s = settings()
    chosen = {ChannelName.SMS: s.sms_provider, ChannelName.EMAIL: s.email_provider}
    return {channel: _provider(name, channel) for channel, name in chosen.items() if name != "none"}


def receivers() -> "Mapping[str, ReceiptVerifier]":
    """Those of the providers in use that report. They need no more than the secret that proves who reports."""
    from shared.providers import RECEIVERS

    s = settings()
    return {name: RECEIVERS[name](s, clock) for name in (s.sms_provider, s.email_provider) if name in RECEIVERS}


def _provider(name: str, channel: ChannelName) -> "Channel":
    if name == "outbox":
        return backend().outbox(channel)
    from shared.providers import CHANNELS

    try:
        return CHANNELS[name](settings(), channel, clock)
    except ValueError as e:
        raise SettingError(str(e)) from None


def shortener() -> "Shortener":
    s = settings()
    retention = s.policy().days(s.retention_days)
    if s.shortener == "links":
        from shared.adapters.shorteners.links import OwnLinks

        return OwnLinks(s.url("LINKS_BASE_URL"), s.text("LINKS_SECRET"), backend().ledger(), retention, clock)
    from shared.adapters.shorteners.remembered import Remembered
    from shared.providers import SHORTENERS

    made = SHORTENERS[s.shortener](s, clock)
    return made if s.shortener == "none" else Remembered(s.shortener, made, backend().ledger(), retention, clock)


def renderer() -> "Render":
    from shared.text.wording import Words

    s = settings()
    directory, language = s.text("TEMPLATES_DIR", ""), s.text("TEMPLATES_LANGUAGE", "en")
    folder = Path(directory) if directory else None
    if folder or language != "en":  # the built-in texts need no proof, and a start without Jinja2 is a faster one
        _prove(folder, language)
    return Words(s.text("BRAND_NAME", "Ironclad Clickwrap"), folder, language)


def _prove(folder: Path | None, language: str) -> None:
    from shared.text.check import check_templates

    try:
        check_templates(folder, language)
    except (ValueError, OSError) as e:
        raise SettingError(f"TEMPLATES_DIR: {e}") from None
