"""CloudEvent, `clickwrap-events`: fetches the request, commits its new state, publishes what that implies."""

import functools

import functions_framework
from cloudevents.http import CloudEvent

from shared import bootstrap, entrypoint
from shared.domain.model import Event

DEFERRAL = functools.partial(bootstrap.deferral, "resolve")
CHECK = "relay-check"  # the request of the heartbeat and of `make smoke`: it only has to arrive

entrypoint.start(bootstrap.resolve)
entrypoint.start(DEFERRAL)


@functions_framework.cloud_event
@entrypoint.private("resolve")
def resolve(event: CloudEvent) -> None:
    entrypoint.subscriber(event, Event, genuine, DEFERRAL)


def genuine(event: Event) -> None:
    if event.request != CHECK:
        bootstrap.resolve().event(event)
