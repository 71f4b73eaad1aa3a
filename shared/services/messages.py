"""Documents as Pub/Sub messages, with the attributes that subscriptions filter by."""

from typing import Any

import msgspec

from shared.domain.model import Notice
from shared.domain.status_event import CloudEvent
from shared.ports import Message


def notice_message(notice: Notice) -> Message:
    """For `signer-notices`."""
    return Message(msgspec.json.encode(notice), {"channel": notice.channel.value, "kind": notice.kind.value})


def event_message(event: CloudEvent[Any]) -> Message:
    """For `request-status`."""
    return Message(msgspec.json.encode(event), {"content-type": "application/cloudevents+json", "type": event.type})
