"""CloudEvent, `signer-notices`: sends one notice to one signer on one channel."""

import functools

import flask
import functions_framework
from cloudevents.http import CloudEvent

from shared import bootstrap, entrypoint
from shared.domain.model import CHECK, ChannelName, Notice
from shared.handlers.relay_check import arrived

OTHERS = {c: {o.value for o in ChannelName} - {c.value} for c in ChannelName}

DEFERRAL = functools.partial(bootstrap.deferral, "deliver")

entrypoint.start(bootstrap.deliver)
entrypoint.start(DEFERRAL)


@functions_framework.cloud_event
@entrypoint.private("deliver")
def deliver(event: CloudEvent) -> None:
    entrypoint.subscriber(event, Notice, mine, DEFERRAL)


def mine(notice: Notice) -> None:
    """The subscription of a channel pushes to /<channel>: its filter is checked again here."""
    pushed_to = entrypoint.tail(flask.request)
    if notice.request == CHECK:
        arrived(pushed_to)
    elif pushed_to not in OTHERS[notice.channel]:
        bootstrap.deliver().notice(notice)
