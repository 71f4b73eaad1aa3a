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

from shared import settings as declared
from shared.adapters.providers import registry as providers
from shared.adapters.providers.common.settings import RECEIPTS_BASE_URL
from shared.adapters.shorteners import registry as shorteners
from shared.domain.model import ChannelName
from shared.setting_types import SettingError
from shared.settings import Settings

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
        SigningKey,
    )
    from shared.services.dead_letters import DeadLetterService
    from shared.services.deferral import Deferral
    from shared.services.evidence import EvidenceService
    from shared.services.fallback import Fallback
    from shared.services.publisher import Publisher


class Backend(Protocol):
    """Where messages, documents and tasks live."""

    def bus(self) -> "Bus":
        """Pub/Sub."""

    def ledger(self) -> "Ledger":
        """Firestore."""

    def scheduler(self) -> "Scheduler":
        """Cloud Tasks."""

    def dead_letters(self) -> "DeadLetters":
        """The service behind `make replay` and the console's page."""

    def outbox(self, channel: ChannelName) -> "Channel":
        """A channel that only records what it is given: local only."""

    def receipts(self, channel: ChannelName) -> "ReceiptVerifier | None":
        """Who proves the receipts of that channel: local only."""

    def gauges(self) -> Mapping[str, object]:
        """What it knows of its queues, by name."""


class GoogleBackend:
    """Pub/Sub, Firestore and Cloud Tasks, in the cloud or on emulators, by Google's own clients."""

    @cache  # noqa: B019 - one backend an instance
    def bus(self) -> "Bus":
        """Pub/Sub."""
        from shared.adapters.gcp.pubsub import PubSubBus

        return PubSubBus(settings().project, clock)

    @cache  # noqa: B019
    def ledger(self) -> "Ledger":
        """Firestore."""
        from shared.adapters.gcp.firestore import FirestoreLedger

        return FirestoreLedger(settings().project)

    @cache  # noqa: B019
    def scheduler(self) -> "Scheduler":
        """Cloud Tasks."""
        from shared.adapters.gcp.tasks import CloudTasks

        s = settings()
        account = declared.TASKS_SERVICE_ACCOUNT
        given = s.required(account) if s.backend == "gcp" else s[account]
        return CloudTasks(s.project, s.location, given, audience=s[declared.OIDC_AUDIENCE])

    @cache  # noqa: B019
    def dead_letters(self) -> "DeadLetters":
        """The service behind `make replay` and the console's page."""
        from shared.adapters.gcp.dead_letters import PubSubDeadLetters

        return PubSubDeadLetters(settings().project)

    def outbox(self, channel: ChannelName) -> "Channel":
        """A channel that only records what it is given: local only."""
        raise SettingError(f"{channel.upper()}_PROVIDER=outbox is for local use only")

    def receipts(self, channel: ChannelName) -> "ReceiptVerifier | None":
        """None: only the outbox of the local stack has receipts of its own."""
        return None

    def gauges(self) -> Mapping[str, object]:
        """What the backend knows of its queues, by name."""
        return {}  # Cloud Monitoring knows; the console leads there


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
    """The settings, read once."""
    return Settings(os.environ)


@cache
def backend() -> Backend:
    """Google's services, or the local stack's."""
    s = settings()
    if _local is None and s.backend == "embedded":
        raise SettingError(
            "BACKEND=embedded exists only inside `make run` and `make demo`; set BACKEND=emulators or gcp"
        )
    if _local is None and s.backend == "emulators":
        for emulator in declared.EMULATORS:  # without one, a client would turn to Google itself
            s.required(emulator)
    return _local or GoogleBackend()


def clock() -> datetime:
    """The time now."""
    return _time()


# -- one handler a function


@cache
def receive() -> "Receive":
    """The handler of `receive`."""
    from shared.adapters.clickwrap.webhook import ClickwrapWebhook
    from shared.handlers.receive import Receive

    s = settings()
    sites, integrations = s[declared.CLICKWRAP_SITES], s[declared.CLICKWRAP_INTEGRATIONS]
    reader = ClickwrapWebhook(s.webhook_tokens, sites=frozenset(sites), integrations=frozenset(integrations))
    return Receive(reader, backend().bus(), s.names().events_topic, clock)


@cache
def resolve() -> "Resolve":
    """The handler of `resolve`."""
    from shared.adapters.clickwrap.coalescing import CoalescingApi
    from shared.handlers.resolve import Resolve

    return Resolve(backend().ledger(), CoalescingApi(requests(), clock), publisher(), settings().policy(), clock)


@cache
def deliver() -> "Deliver":
    """The handler of `deliver`."""
    from shared.handlers.deliver import Deliver
    from shared.services.links import LinkService

    policy = settings().policy()
    for warning in settings().warnings():
        log.warning(warning)
    links = LinkService(shortener(), policy.completion_link)
    return Deliver(backend().ledger(), requests(), channels(), links, renderer(), fallback(), policy, clock)


@cache
def remind() -> "Remind":
    """The handler of `remind`."""
    from shared.handlers.remind import Remind

    return Remind(backend().ledger(), publisher(), settings().policy(), clock)


@cache
def reconcile() -> "Reconcile":
    """The handler of `reconcile`."""
    from shared.handlers.reconcile import Reconcile

    s = settings()
    sites = s[declared.RECONCILE_LIST]
    return Reconcile(backend().ledger(), resolve().recheck, requests(), sites, s.policy(), clock)


@cache
def receipts() -> "Receipts":
    """The handler of `receipts`."""
    from shared.handlers.receipts import Receipts

    receipts_base_url()  # a wrong one would refuse every receipt
    return Receipts(backend().ledger(), receivers(), fallback(), clock)


def receipts_base_url() -> str:
    """The public URL that providers post receipts to; "" where it is not set."""
    return settings()[RECEIPTS_BASE_URL]


@cache
def links() -> "Links":
    """The handler of `links`."""
    from shared.handlers.links import Links

    return Links(backend().ledger(), settings()[declared.COMPLETION_LINK])


def brand_name() -> str:
    """Who writes to the signers, as they know it from their messages."""
    return settings()[declared.BRAND_NAME]


@cache
def console() -> "Flask":
    """The console, as a WSGI app."""
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
        operators=frozenset(address.lower() for address in s[declared.CONSOLE_OPERATORS]),
        local=s.backend != "gcp",
    )
    return create_console(console)


@cache
def deferral(url_variable: str) -> "Deferral":
    """How the messages of one function are deferred. url_variable: RESOLVE_URL or DELIVER_URL."""
    from shared.services.deferral import Deferral

    b, names = backend(), settings().names()
    url, topic = {
        "RESOLVE_URL": (declared.RESOLVE_URL, names.events_topic),
        "DELIVER_URL": (declared.DELIVER_URL, names.notices_topic),
    }[url_variable]
    return Deferral(b.scheduler(), names.retries, settings().required(url), b.bus(), topic, clock)


@cache
def dead_letters() -> "DeadLetterService":
    """The service behind `make replay` and the console's page."""
    from shared.services.dead_letters import DeadLetterService

    b, s = backend(), settings()
    return DeadLetterService(b.ledger(), b.dead_letters(), b.bus(), s.names(), s.policy(), clock)


@cache
def evidence() -> "EvidenceService":
    """The service behind `make evidence` and the console's button."""
    from shared.services.evidence import EvidenceService

    return EvidenceService(backend().ledger(), _signing_key(settings().required(declared.EVIDENCE_KEY)), clock)


def _signing_key(given: str) -> "SigningKey":
    if given.startswith("projects/"):
        from shared.adapters.signing.kms import KmsKey

        return KmsKey(given)
    from shared.adapters.signing.local_file import FileKey

    return FileKey(Path(given))


# -- what they are made of


@cache
def publisher() -> "Publisher":
    """What publishes after a commit."""
    from shared.services.publisher import Publisher

    b, s = backend(), settings()
    s.required(declared.REMIND_URL)  # reminders would go nowhere
    return Publisher(b.ledger(), b.bus(), b.scheduler(), s.names(), s.policy(), clock)


@cache
def fallback() -> "Fallback":
    """What takes over when a message does not arrive."""
    from shared.services.fallback import Fallback

    return Fallback(backend().ledger(), backend().bus(), settings().names().notices_topic, clock)


@cache
def requests() -> "ClickwrapApi":
    """The client of Clickwrap's API."""
    from shared.adapters.clickwrap.client import ClickwrapClient

    s = settings()
    url, token, fields = s[declared.CLICKWRAP_API_URL], s[declared.CLICKWRAP_API_TOKEN], s[declared.CLICKWRAP_FIELDS]
    rate, hosts = s[declared.API_RATE_PER_MINUTE], tuple(h.lower() for h in s[declared.LINK_HOSTS])
    return ClickwrapClient(url, token, fields, rate, hosts)


def channels() -> "Mapping[ChannelName, Channel]":
    """The chosen providers, by channel."""
    return {channel: _channel(channel, name) for channel, name in settings().providers().items()}


def _channel(channel: ChannelName, name: str) -> "Channel":
    if name == "outbox":
        return backend().outbox(channel)
    return providers.sender(channel, name, settings(), clock)


def receivers() -> "Mapping[str, ReceiptVerifier]":
    """Those of the providers in use that report. They need no more than the secret that proves who reports."""
    s = settings()
    made = [
        backend().receipts(channel) if name == "outbox" else providers.receipt_verifier(channel, name, s)
        for channel, name in s.providers().items()
    ]
    return {verifier.name: verifier for verifier in made if verifier}


def shortener() -> "Shortener":
    """The chosen shortener."""
    s = settings()
    retention = s.policy().days(s[declared.RETENTION_DAYS])
    return shorteners.shortener(s[declared.SHORTENER], s, backend().ledger(), retention, clock)


def renderer() -> "Render":
    """The texts, checked first where they are the operator's own."""
    from shared.text.wording import Words

    s = settings()
    directory, language = s[declared.TEMPLATES_DIR], s[declared.TEMPLATES_LANGUAGE]
    folder = Path(directory) if directory else None
    if folder or language != "en":  # the built-in texts need no proof, and a start without Jinja2 is a faster one
        _prove(folder, language)
    return Words(s[declared.BRAND_NAME], folder, language)


def _prove(folder: Path | None, language: str) -> None:
    from shared.text.check import check_templates

    try:
        check_templates(folder, language)
    except (ValueError, OSError) as e:
        raise SettingError(f"TEMPLATES_DIR: {e}") from None
