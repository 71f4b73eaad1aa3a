"""CloudEvent, `request-status`: posts a change of status to the customer's own endpoint."""

import functools

import functions_framework
from cloudevents.http import CloudEvent

from shared import bootstrap, entrypoint
from shared.domain import status_event

DEFERRAL = functools.partial(bootstrap.deferral, "forward")

entrypoint.start(bootstrap.forward)
entrypoint.start(DEFERRAL)


@functions_framework.cloud_event
@entrypoint.private("forward")
def forward(event: CloudEvent) -> None:
    entrypoint.subscriber(event, status_event.RawEvent, bootstrap.forward().event, DEFERRAL)
