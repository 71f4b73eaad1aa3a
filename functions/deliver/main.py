"""CloudEvent, `signer-notices`: sends one notice to one signer on one channel."""

import functools

import functions_framework
from cloudevents.http import CloudEvent

from shared import entry, wiring
from shared.domain.model import Notice

entry.start(wiring.deliver)


@functions_framework.cloud_event
def deliver(event: CloudEvent) -> None:
    entry.subscriber(event, Notice, wiring.deliver().notice, functools.partial(wiring.parking, "DELIVER_URL"))
