"""What things are called where this runs: topics, queues, and the URLs that tasks call."""

import msgspec


class ResourceNames(msgspec.Struct, frozen=True, kw_only=True):
    """Topics, queues and function URLs; defaults as Terraform names them.

    retries_queue: of the events; that of a channel's notices has the channel's name appended.
    """

    events_topic: str = "clickwrap-events"
    notices_topic: str = "signer-notices"
    status_topic: str = "request-status"
    reminders_queue: str = "reminders"
    retries_queue: str = "retries"
    remind_url: str = ""

    def retries(self, channel: str = "") -> str:
        """The queue of a channel's deferred notices, or of the deferred events: no outage delays the others."""
        return f"{self.retries_queue}-{channel}" if channel else self.retries_queue

    def queues(self) -> tuple[str, ...]:
        """Every queue."""
        return self.reminders_queue, *map(self.retries, ("", "sms", "email"))
