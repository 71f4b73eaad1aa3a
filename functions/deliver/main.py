"""CloudEvent, `signer-notices`: sends one notice to one signer on one channel."""

import functools

import flask
import functions_framework
from cloudevents.http import CloudEvent

from shared import bootstrap, entrypoint
from shared.domain.model import ChannelName, Notice

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
    if entrypoint.tail(flask.request) not in OTHERS[notice.channel]:
        bootstrap.deliver().notice(notice)
