"""The one composition root: which adapter stands behind which port. Everything is made on first use, once an instance.

functions-framework imports the entry point before gunicorn forks its worker, so no client may be made at import.
"""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Protocol

from shared.domain.model import ChannelName
from shared.settings import SettingError, Settings

if TYPE_CHECKING:
    from shared.handlers.deliver import Deliver
    from shared.handlers.echo import Echo
    from shared.handlers.links import Links
    from shared.handlers.parking import Parking
    from shared.handlers.receive import Receive
    from shared.handlers.reconcile import Reconcile
    from shared.handlers.remind import Remind
    from shared.handlers.resolve import Resolve
    from shared.ports import Bus, Channel, Ledger, Render, Requests, Scheduler, Shortener


class Backend(Protocol):
    """Where messages, documents and tasks live."""

    def bus(self) -> "Bus": ...

    def ledger(self) -> "Ledger": ...

    def scheduler(self) -> "Scheduler": ...

    def outbox(self, channel: ChannelName) -> "Channel": ...


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
        return CloudTasks(
            s.project, s.location, s.text("TASKS_SERVICE_ACCOUNT", ""), audience=s.text("OIDC_AUDIENCE", "")
        )

    def outbox(self, channel: ChannelName) -> "Channel":
        raise SettingError(f"{channel.upper()}_PROVIDER=outbox is for local use only")


_local: Backend | None = None


def use(backend: Backend) -> None:
    """The local stack puts its own backend here; the cloud never does."""
    global _local
    _local = backend


@cache
def settings() -> Settings:
    return Settings(os.environ)


@cache
def backend() -> Backend:
    if settings().backend == "embedded" and _local is None:
        raise SettingError("BACKEND=embedded is for the local stack only: set it to gcp")
    return _local or GoogleBackend()


def clock() -> datetime:
    return datetime.now(UTC)


# -- one handler a function


@cache
def receive() -> "Receive":
    from shared.handlers.receive import Receive

    s = settings()
    sites, integrations = frozenset(s.words("CLICKWRAP_SITES")), frozenset(s.words("CLICKWRAP_INTEGRATIONS"))
    tokens, topic = s.webhook_tokens, s.names().events_topic
    return Receive(backend().bus(), topic, tokens, clock, sites=sites, integrations=integrations)


@cache
def resolve() -> "Resolve":
    from shared.handlers.resolve import Resolve

    return Resolve(backend().ledger(), requests(), echo(), settings().policy(), clock)


@cache
def deliver() -> "Deliver":
    from shared.handlers.deliver import Deliver

    policy = settings().policy()
    return Deliver(backend().ledger(), requests(), channels(), shortener(), renderer(), policy, clock)


@cache
def remind() -> "Remind":
    from shared.handlers.remind import Remind

    return Remind(backend().ledger(), echo(), settings().policy(), clock)


@cache
def reconcile() -> "Reconcile":
    from shared.handlers.reconcile import Reconcile

    return Reconcile(backend().ledger(), resolve(), clock)


@cache
def links() -> "Links":
    from shared.handlers.links import Links

    choice = settings().choice("COMPLETION_LINK", ("request_url", "download_url", "auto"), "request_url")
    return Links(backend().ledger(), choice)


@cache
def parking(url_variable: str) -> "Parking":
    from shared.handlers.parking import Parking

    return Parking(backend().scheduler(), settings().names().retries_queue, settings().url(url_variable), clock)


# -- what they are made of


@cache
def echo() -> "Echo":
    from shared.handlers.echo import Echo

    b, s = backend(), settings()
    s.url("REMIND_URL")  # reminders would go nowhere
    return Echo(b.ledger(), b.bus(), b.scheduler(), s.names(), s.policy(), clock)


@cache
def requests() -> "Requests":
    from shared.adapters.clickwrap import Clickwrap

    s = settings()
    url = s.url("CLICKWRAP_API_URL", "https://api.pactsafe.com/v1.1")
    return Clickwrap(url, s.text("CLICKWRAP_API_TOKEN"), s.fields(), s.number("API_RATE_PER_MINUTE", 1600))


def channels() -> "Mapping[ChannelName, Channel]":
    s = settings()
    chosen = {ChannelName.SMS: s.sms_provider, ChannelName.EMAIL: s.email_provider}
    return {channel: _provider(name, channel) for channel, name in chosen.items() if name != "none"}


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
    if s.shortener != "links":
        from shared.providers import SHORTENERS

        return SHORTENERS[s.shortener](s, clock)
    from shared.adapters.shorteners.links import OwnLinks

    retention = s.policy().days(int(s.number("RETENTION_DAYS", 90, least=32)))
    return OwnLinks(s.url("LINKS_BASE_URL"), s.text("LINKS_SECRET"), backend().ledger(), retention, clock)


def renderer() -> "Render":
    from shared.text.wording import Words

    return Words(settings().text("BRAND_NAME", "Ironclad Clickwrap"), settings().text("TEMPLATES_DIR", ""))
