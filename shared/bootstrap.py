"""The one composition root: which adapter stands behind which port. Everything is made on first use, once an instance.

functions-framework imports the entry point before gunicorn forks its worker, so no client may be made at import.
"""

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from shared import settings as declared
from shared.adapters.providers import registry as providers
from shared.adapters.providers.common.settings import RECEIPTS_BASE_URL
from shared.adapters.shorteners import registry as shorteners
from shared.domain.model import ChannelName
from shared.setting_types import SettingError
from shared.settings import Settings

if TYPE_CHECKING:
    from flask import Flask

    from shared.adapters.clickwrap.check_webhook import CheckWebhook
    from shared.callers import Callers
    from shared.domain.policy import Policy
    from shared.handlers.deliver import Deliver
    from shared.handlers.forward import Forward
    from shared.handlers.links import Followed, Links
    from shared.handlers.receipts import Receipts
    from shared.handlers.receive import Receive
    from shared.handlers.reconcile import Reconcile
    from shared.handlers.relay_check import RelayCheck
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
    from shared.services.erasure import Erasure
    from shared.services.evidence import EvidenceService
    from shared.services.fallback import Fallback
    from shared.services.outcomes import Outcomes
    from shared.services.publisher import Publisher
    from shared.text.render import Texts


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

        return FirestoreLedger(settings().project, settings()[declared.FIRESTORE_DATABASE])

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


URLS = {  # of the functions that only Google calls
    "resolve": declared.RESOLVE_URL,
    "deliver": declared.DELIVER_URL,
    "forward": declared.FORWARD_URL,
    "remind": declared.REMIND_URL,
    "reconcile": declared.RECONCILE_URL,
}
RECHECKS_AT_ONCE = 4  # of one pass of reconcile
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
    titles = s[declared.TITLE_FROM_WEBHOOK] == "on"
    limits = {"sites": frozenset(sites), "integrations": frozenset(integrations)}
    reader = ClickwrapWebhook(s.webhook_tokens, **limits, titles=titles)
    return Receive(reader, backend().bus(), s.names().events_topic, clock)


@cache
def resolve() -> "Resolve":
    """The handler of `resolve`."""
    from shared.adapters.clickwrap.coalescing import CoalescingApi
    from shared.handlers.resolve import Resolve

    s = settings()
    api, calls = CoalescingApi(requests(), clock), s[declared.API_RATE_PER_MINUTE]
    return Resolve(backend().ledger(), api, publisher(), s.policy(), clock, calls)


@cache
def deliver() -> "Deliver":
    """The handler of `deliver`."""
    from shared.adapters.clickwrap.coalescing import CoalescingApi
    from shared.adapters.http.client import last_status
    from shared.handlers.deliver import Deliver
    from shared.services.links import LinkService

    policy = _policy_with_addresses()
    for warning in settings().warnings():
        log.warning(warning)
    links = LinkService(shortener(), policy.completion_link, settings().brands())
    api = CoalescingApi(requests(), clock)
    ports = backend().ledger(), api, channels(), links, renderer(), fallback(), outcomes(policy)
    return Deliver(*ports, policy, clock, last_status)


@cache
def forward() -> "Forward":
    """The handler of `forward`."""
    from shared.adapters.status_webhook import StatusWebhook
    from shared.handlers.forward import Forward

    s = settings()
    endpoint = StatusWebhook(s.required(declared.STATUS_WEBHOOK_URL), s[declared.STATUS_WEBHOOK_SECRETS], clock)
    return Forward(endpoint, clock)


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
    return Reconcile(backend().ledger(), resolve().recheck, requests(), sites, s.policy(), clock, _side_by_side)


def _side_by_side(do: Callable[[str], None], items: Iterable[str]) -> None:
    """Rechecks wait for the API most of their time."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(RECHECKS_AT_ONCE) as pool:
        list(pool.map(do, items))


@cache
def check_webhook() -> "CheckWebhook":
    """What begins the check of the whole relay, in `reconcile`."""
    from shared.adapters.clickwrap.check_webhook import CheckWebhook

    s = settings()
    limits = {"site": s[declared.CLICKWRAP_SITES], "integration": s[declared.CLICKWRAP_INTEGRATIONS]}
    origin = {name: min(allowed) for name, allowed in limits.items() if allowed}
    oldest = s.webhook_tokens[-1]  # during a rotation an instance of `receive` may not know the new one yet
    return CheckWebhook(s.required(declared.RECEIVE_URL), oldest, origin, clock)


@cache
def relay_check() -> "RelayCheck":
    """What passes the check on, in `resolve`."""
    from shared.handlers.relay_check import RelayCheck

    return RelayCheck(backend().bus(), settings().names().notices_topic)


@cache
def receipts() -> "Receipts":
    """The handler of `receipts`."""
    from shared.domain.policy import Policy
    from shared.handlers.receipts import Receipts

    receipts_base_url()  # a wrong one would refuse every receipt
    s = settings()  # it needs few of the operator's choices
    secret, day = s.strong(declared.ADDRESS_SECRET), s[declared.SECONDS_PER_DAY]
    policy = Policy(address_secret=secret, tell_sender=s.tells_sender, day=day)
    return Receipts(backend().ledger(), receivers(), fallback(), outcomes(policy), clock, policy)


def receipts_base_url() -> str:
    """The public URL that providers post receipts to; "" where it is not set."""
    return settings()[RECEIPTS_BASE_URL]


@cache
def links() -> "Links":
    """The handler of `links`."""
    from shared.handlers.links import Links

    return Links(backend().ledger(), settings().policy(), clock)


@cache
def console() -> "Flask":
    """The console, as a WSGI app."""
    from shared.console.app import Console, create_console
    from shared.services.operator_actions import OperatorActions
    from shared.services.operator_queries import OperatorQueries

    b, s = backend(), settings()
    console = Console(
        inspect=OperatorQueries(b.ledger(), s.policy(), clock),
        operate=OperatorActions(b.ledger(), publisher(), _policy_with_addresses(), clock),
        erasure=erasure(),
        dead_letters=dead_letters(),
        environ=os.environ,
        warnings=s.warnings(),
        clock=clock,
        day=s.policy().days(1),
        gauges=b.gauges,
        operators=frozenset(address.lower() for address in s[declared.CONSOLE_OPERATORS]),
        evidence=(lambda request: evidence().export(request)) if s[declared.EVIDENCE_KEY] else None,
        local=s.backend != "gcp",
    )
    return create_console(console)


def _policy_with_addresses() -> "Policy":
    """The operator's choices, with the key of the hashes of addresses, which few functions hold."""
    return replace(settings().policy(), address_secret=settings().strong(declared.ADDRESS_SECRET))


@cache
def erasure() -> "Erasure":
    """The service behind `make forget` and the console's button."""
    from shared.services.erasure import Erasure

    return Erasure(backend().ledger(), dead_letters())


@cache
def deferral(function: str) -> "Deferral":
    """How the messages of one function are deferred: `resolve`, `deliver` or `forward`."""
    from shared.services.deferral import Deferral

    b, names, url = backend(), settings().names(), settings().required(URLS[function])
    topics = {"resolve": names.events_topic, "deliver": names.notices_topic, "forward": names.status_topic}
    return Deferral(b.scheduler(), names.retries, url, b.bus(), topics[function], clock)


@cache
def callers(function: str) -> "Callers":
    """Who may call a private function, and by which audience. Raises SettingError where it is deployed without."""
    from shared.callers import Callers

    s = settings()
    accounts = s.required(declared.CALLERS) if s.backend == "gcp" else s[declared.CALLERS]
    url = s.required(URLS[function]) if accounts else ""
    return Callers(accounts, s[declared.OIDC_AUDIENCE] or url)


@cache
def dead_letters() -> "DeadLetterService":
    """The service behind `make replay` and the console's page."""
    from shared.services.dead_letters import DeadLetterService

    b, s = backend(), settings()
    ports, forwards = (b.ledger(), b.dead_letters(), b.bus()), bool(s[declared.STATUS_WEBHOOK_URL])
    return DeadLetterService(*ports, s.names(), s.policy(), clock, forwards=forwards)


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

    s = settings()
    days = s[declared.SUPPRESSION_DAYS]
    return Fallback(backend().ledger(), backend().bus(), s.names().notices_topic, clock, days)


def outcomes(policy: "Policy") -> "Outcomes":
    """What tells others what became of a notice."""
    from shared.services.outcomes import Outcomes

    return Outcomes(backend().bus(), settings().names(), policy, clock)


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
    """Those that report of the providers in use, or used before. Each needs only the secret that proves who reports."""
    s = settings()
    made = [
        backend().receipts(channel) if name == "outbox" else providers.receipt_verifier(channel, name, s)
        for channel, name in dict.fromkeys([*s.providers().items(), *s.receipt_senders()])
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

    return Words(settings().brands(), settings().policy(), texts())


def texts() -> "Texts":
    """Where the texts are, the operator's own checked."""
    return _texts(settings()[declared.TEMPLATES_DIR], settings()[declared.TEMPLATES_LANGUAGE])


@cache
def _texts(directory: str, language: str) -> "Texts":
    """The built-in texts need no check, and a start without Jinja2 is a faster one."""
    from shared.text.render import ENGLISH, Texts

    found = Texts(Path(directory) if directory else None, language)
    if found.templates_dir or language != ENGLISH:
        _prove(found)
    return found


@cache
def link_page() -> "Callable[[Followed], str]":
    """The page for a link that leads nowhere, in the name of its site and in the signer's language."""
    from shared.text.pages import link_page

    brands, found = settings().brands(), texts()

    def page(followed: "Followed") -> str:
        brand = brands.of(followed.site)
        return link_page(followed.reason, brand, found, found.choose(*followed.languages, brand.language))

    return page


def _prove(found: "Texts") -> None:
    from shared.text.check import check_templates

    try:
        check_templates(found)
    except (ValueError, OSError) as e:
        raise SettingError(f"TEMPLATES_DIR: {e}") from None
