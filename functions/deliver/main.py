"""CloudEvent, `signer-notices`: sends one notice to one signer on one channel."""

import functools

import flask
import functions_framework
from cloudevents.http import CloudEvent

from shared import entry, wiring
from shared.domain.model import ChannelName, Notice

OTHERS = {c: {o.value for o in ChannelName} - {c.value} for c in ChannelName}

PARKING = functools.partial(wiring.parking, "DELIVER_URL")

entry.start(wiring.deliver)
entry.start(PARKING)


@functions_framework.cloud_event
def deliver(event: CloudEvent) -> None:
    entry.subscriber(event, Notice, mine, PARKING)


def mine(notice: Notice) -> None:
    """The subscription of a channel pushes to /<channel>: its filter is checked again here."""
    if entry.tail(flask.request) not in OTHERS[notice.channel]:
        wiring.deliver().notice(notice)
