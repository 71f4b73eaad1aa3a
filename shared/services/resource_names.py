"""What things are called where this runs: topics, queues, and the URLs that tasks call."""

import msgspec

STATUS = "status"  # changes of status that wait for the customer's own endpoint


class ResourceNames(msgspec.Struct, frozen=True, kw_only=True):
    """Topics, queues and function URLs; defaults as Terraform names them.

    retries_queue: of the events; that of a channel's notices, or of the changes of status, has that name appended.
    """

    events_topic: str = "clickwrap-events"
    notices_topic: str = "signer-notices"
    status_topic: str = "request-status"
    reminders_queue: str = "reminders"
    retries_queue: str = "retries"
    remind_url: str = ""

    @property
    def prefix(self) -> str:
        """How Terraform begins every name, those of the subscriptions too."""
        return self.events_topic.removesuffix("clickwrap-events")

    def retries(self, of: str = "") -> str:
        """The queue of what is deferred of a channel, of STATUS, or of the events: no outage delays the others."""
        return f"{self.retries_queue}-{of}" if of else self.retries_queue

    def queues(self) -> tuple[str, ...]:
        """Every queue."""
        return self.reminders_queue, *map(self.retries, ("", "sms", "email", STATUS))
