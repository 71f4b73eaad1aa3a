"""The one composition root: which adapter stands behind which port. Everything is made on first use, once an instance.

What the entry points call is here, and what stands in `operators`, `parts` and `runtime` for the commands and the local
stack. Names imported `as` themselves belong to the public names of this package.
functions-framework imports the entry point before gunicorn forks its worker, so no client may be made at import.
"""

import logging
from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import TYPE_CHECKING

from shared.adapters.providers.common.settings import RECEIPTS_BASE_URL
from shared.bootstrap.operators import console as console
from shared.bootstrap.operators import dead_letters as dead_letters
from shared.bootstrap.operators import erasure as erasure
from shared.bootstrap.operators import evidence as evidence
from shared.bootstrap.parts import (
    channels,
    fallback,
    outcomes,
    policy_with_addresses,
    publisher,
    receivers,
    renderer,
    texts,
)
from shared.bootstrap.parts import clickwrap_api as clickwrap_api
from shared.bootstrap.parts import shortener as shortener
from shared.bootstrap.runtime import GoogleBackend as GoogleBackend
from shared.bootstrap.runtime import backend as backend
from shared.bootstrap.runtime import clock as clock
from shared.bootstrap.runtime import set_time as set_time
from shared.bootstrap.runtime import settings as settings
from shared.bootstrap.runtime import use as use
from shared.settings import clickwrap, housekeeping, local, own_systems, place

if TYPE_CHECKING:
    from shared.adapters.clickwrap.check_webhook import CheckWebhook
    from shared.callers import Callers
    from shared.handlers.deliver import Deliver
    from shared.handlers.forward import Forward
    from shared.handlers.links import Followed, Links
    from shared.handlers.receipts import Receipts
    from shared.handlers.receive import Receive
    from shared.handlers.reconcile import Reconcile
    from shared.handlers.relay_check import RelayCheck
    from shared.handlers.remind import Remind
    from shared.handlers.resolve import Resolve
    from shared.services.deferral import Deferral


URLS = {  # of the functions that only Google calls
    "resolve": place.RESOLVE_URL,
    "deliver": place.DELIVER_URL,
    "forward": place.FORWARD_URL,
    "remind": place.REMIND_URL,
    "reconcile": place.RECONCILE_URL,
}
log = logging.getLogger(__name__)


@cache
def receive() -> "Receive":
    """The handler of `receive`."""
    from shared.adapters.clickwrap.webhook import ClickwrapWebhook
    from shared.handlers.receive import Receive

    s = settings()
    sites, integrations = s[clickwrap.CLICKWRAP_SITES], s[clickwrap.CLICKWRAP_INTEGRATIONS]
    titles = s[clickwrap.TITLE_FROM_WEBHOOK] == "on"
    limits = {"sites": frozenset(sites), "integrations": frozenset(integrations)}
    reader = ClickwrapWebhook(s.webhook_tokens, **limits, titles=titles)
    return Receive(reader, backend().bus(), s.names().events_topic, clock)


@cache
def resolve() -> "Resolve":
    """The handler of `resolve`."""
    from shared.adapters.clickwrap.coalescing import CoalescingApi
    from shared.handlers.resolve import Resolve

    s = settings()
    api, calls = CoalescingApi(clickwrap_api(), clock), s[clickwrap.API_RATE_PER_MINUTE]
    return Resolve(backend().ledger(), api, publisher(), s.policy(), clock, calls)


@cache
def deliver() -> "Deliver":
    """The handler of `deliver`."""
    from shared.adapters.clickwrap.coalescing import CoalescingApi
    from shared.adapters.http.client import last_status
    from shared.handlers.deliver import Deliver
    from shared.services.links import LinkService

    policy = policy_with_addresses()
    for warning in settings().warnings():
        log.warning(warning)
    links = LinkService(shortener(), policy.completion_link, settings().brands())
    api = CoalescingApi(clickwrap_api(), clock)
    ports = backend().ledger(), api, channels(), links, renderer(), fallback(), outcomes(policy)
    return Deliver(*ports, policy, clock, last_status)


@cache
def forward() -> "Forward":
    """The handler of `forward`."""
    from shared.adapters.status_webhook import StatusWebhook
    from shared.handlers.forward import Forward

    s = settings()
    endpoint = StatusWebhook(s.required(own_systems.STATUS_WEBHOOK_URL), s[own_systems.STATUS_WEBHOOK_SECRETS], clock)
    return Forward(endpoint, clock)


@cache
def remind() -> "Remind":
    """The handler of `remind`."""
    from shared.handlers.remind import Remind

    return Remind(backend().ledger(), publisher(), settings().policy(), clock)


@cache
def reconcile() -> "Reconcile":
    """The handler of `reconcile`."""
    from shared.handlers.reconcile import Reconcile, at_once

    s = settings()
    sites, calls = s[clickwrap.RECONCILE_LIST], s[clickwrap.API_RATE_PER_MINUTE]
    each = partial(_side_by_side, at_once(calls))
    return Reconcile(backend().ledger(), resolve().recheck, clickwrap_api(), sites, s.policy(), clock, calls, each)


def _side_by_side(threads: int, do: Callable[[str], None], items: Iterable[str]) -> None:
    """Rechecks wait for the API most of their time."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(do, items))


@cache
def check_webhook() -> "CheckWebhook":
    """What begins the check of the whole relay, in `reconcile`."""
    from shared.adapters.clickwrap.check_webhook import CheckWebhook

    s = settings()
    limits = {"site": s[clickwrap.CLICKWRAP_SITES], "integration": s[clickwrap.CLICKWRAP_INTEGRATIONS]}
    origin = {name: min(allowed) for name, allowed in limits.items() if allowed}
    oldest = s.webhook_tokens[-1]  # during a rotation an instance of `receive` may not know the new one yet
    return CheckWebhook(s.required(place.RECEIVE_URL), oldest, origin, clock)


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
    secret, day = s.strong(housekeeping.ADDRESS_SECRET), s[local.SECONDS_PER_DAY]
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
def link_page() -> "Callable[[Followed, str], str]":
    """The page for a link that leads nowhere, in the signer's language.

    In the name of its site; of an unknown link, in the name whose links have the host that was called.
    """
    from shared.text.pages import link_page

    brands, found = settings().brands(), texts()

    def page(followed: "Followed", host: str) -> str:
        brand = brands.of(followed.site or brands.site_at(host))
        return link_page(followed.reason, brand, found, found.choose(*followed.languages, brand.language))

    return page


@cache
def deferral(function: str) -> "Deferral":
    """How the messages of one function are deferred: `resolve`, `deliver` or `forward`."""
    from shared.services.deferral import Deferral
    from shared.services.resource_names import STATUS

    b, names, url = backend(), settings().names(), settings().required(URLS[function])
    topics = {"resolve": names.events_topic, "deliver": names.notices_topic, "forward": names.status_topic}
    queue = (lambda _: names.retries(STATUS)) if function == "forward" else names.retries
    return Deferral(b.scheduler(), queue, url, b.bus(), topics[function], clock)


@cache
def callers(function: str) -> "Callers":
    """Who may call a private function, and by which audience. Raises SettingError where it is deployed without."""
    from shared.callers import Callers

    s = settings()
    accounts = s.required(place.CALLERS) if s.backend == "gcp" else s[place.CALLERS]
    url = s.required(URLS[function]) if accounts else ""
    return Callers(accounts, s[place.OIDC_AUDIENCE] or url)
