"""CloudEvent, `clickwrap-events`: fetches the request, commits its new state, publishes what that implies."""

import functools

import functions_framework
from cloudevents.http import CloudEvent

from shared import bootstrap, entrypoint
from shared.domain.model import CHECK, Event

DEFERRAL = functools.partial(bootstrap.deferral, "resolve")

entrypoint.start(bootstrap.resolve)
entrypoint.start(DEFERRAL)


@functions_framework.cloud_event
@entrypoint.private("resolve")
def resolve(event: CloudEvent) -> None:
    entrypoint.subscriber(event, Event, handle, DEFERRAL)


def handle(event: Event) -> None:
    if event.request == CHECK:
        bootstrap.relay_check().pass_on(event)
    else:
        bootstrap.resolve().event(event)
