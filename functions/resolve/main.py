"""CloudEvent, `clickwrap-events`: fetches the request, commits its new state, echoes what that implies."""

import functools

import functions_framework
from cloudevents.http import CloudEvent

from shared import entry, wiring
from shared.domain.model import Event

PARKING = functools.partial(wiring.parking, "RESOLVE_URL")

entry.start(wiring.resolve)
entry.start(PARKING)


@functions_framework.cloud_event
def resolve(event: CloudEvent) -> None:
    entry.subscriber(event, Event, wiring.resolve().event, PARKING)
