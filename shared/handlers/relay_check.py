"""The check of the whole relay: every 15 minutes a webhook about no request goes through receive, resolve and deliver.

Nothing is stored, the API is not asked, and nobody is told anything: an alert counts the lines of `arrived`.
"""

import logging

import msgspec

from shared.domain.model import CHECK, ChannelName, Event, Kind, Notice
from shared.ports import Bus, Message

log = logging.getLogger(__name__)


class RelayCheck:
    """topic: of the notices."""

    def __init__(self, bus: Bus, topic: str) -> None:
        self._bus, self._topic = bus, topic

    def pass_on(self, event: Event) -> None:
        """Publishes a notice to each channel's subscription. Raises RetryLater."""
        self._bus.publish(self._topic, [_message(event, channel) for channel in ChannelName])


def _message(event: Event, channel: ChannelName) -> Message:
    """Its body names another channel than its attribute: no version of `deliver` sends such a notice."""
    other = next(c for c in ChannelName if c is not channel)
    notice = Notice(notice=event.event, request=CHECK, signer="", kind=Kind.PROGRESS, channel=other, round=1)
    return Message(msgspec.json.encode(notice), {"channel": channel.value})


def arrived(channel: str) -> None:
    """channel: whose subscription brought it."""
    log.info("the check arrived", extra={"json": {"check": channel}})
