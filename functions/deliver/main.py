"""CloudEvent, `signer-notices`: sends one notice to one signer on one channel."""

import functools

import flask
import functions_framework
from cloudevents.http import CloudEvent

from shared import entry, wiring
from shared.domain.model import Notice

entry.start(wiring.deliver)


@functions_framework.cloud_event
def deliver(event: CloudEvent) -> None:
    entry.subscriber(event, Notice, mine, functools.partial(wiring.parking, "DELIVER_URL"))


def mine(notice: Notice) -> None:
    """The subscription of a channel pushes to /<channel>: its filter is checked again here."""
    if flask.request.path.strip("/") in ("", notice.channel):
        wiring.deliver().notice(notice)
