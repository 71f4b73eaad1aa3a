"""What the operators use: the console, and the services behind it and the commands."""

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from shared.bootstrap.parts import policy_with_addresses, publisher
from shared.bootstrap.runtime import backend, clock, settings
from shared.settings.housekeeping import CONSOLE_OPERATORS, EVIDENCE_KEY
from shared.settings.own_systems import STATUS_WEBHOOK_URL

if TYPE_CHECKING:
    from flask import Flask

    from shared.ports import SigningKey
    from shared.services.dead_letters import DeadLetterService
    from shared.services.erasure import Erasure
    from shared.services.evidence import EvidenceService


@cache
def console() -> "Flask":
    """The console, as a WSGI app."""
    from shared.console.app import Console, create_console
    from shared.services.operator_actions import OperatorActions
    from shared.services.operator_queries import OperatorQueries
    from shared.services.queued import Queued

    b, s = backend(), settings()
    console = Console(
        inspect=OperatorQueries(b.ledger(), s.policy(), clock, Queued(b.flows(), s.names().prefix)),
        operate=OperatorActions(b.ledger(), publisher(), policy_with_addresses(), clock),
        erasure=erasure(),
        dead_letters=dead_letters(),
        environ=os.environ,
        warnings=s.warnings(),
        clock=clock,
        day=s.policy().days(1),
        gauges=b.gauges,
        operators=frozenset(address.lower() for address in s[CONSOLE_OPERATORS]),
        evidence=(lambda request: evidence().export(request)) if s[EVIDENCE_KEY] else None,
        local=s.backend != "gcp",
    )
    return create_console(console)


@cache
def erasure() -> "Erasure":
    """The service behind `make forget` and the console's button."""
    from shared.services.erasure import Erasure

    return Erasure(backend().ledger(), dead_letters(), clock)


@cache
def dead_letters() -> "DeadLetterService":
    """The service behind `make replay` and the console's page."""
    from shared.services.dead_letters import DeadLetterService

    b, s = backend(), settings()
    ports, forwards = (b.ledger(), b.dead_letters(), b.bus()), bool(s[STATUS_WEBHOOK_URL])
    return DeadLetterService(*ports, s.names(), s.policy(), clock, forwards=forwards)


@cache
def evidence() -> "EvidenceService":
    """The service behind `make evidence` and the console's button."""
    from shared.services.evidence import EvidenceService

    return EvidenceService(backend().ledger(), _signing_key(settings().required(EVIDENCE_KEY)), clock)


def _signing_key(given: str) -> "SigningKey":
    if given.startswith("projects/"):
        from shared.adapters.signing.kms import KmsKey

        return KmsKey(given)
    from shared.adapters.signing.local_file import FileKey

    return FileKey(Path(given))
