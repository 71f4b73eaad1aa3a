"""What things are called where this runs: topics, queues, and the URLs that tasks call."""

import msgspec


class ResourceNames(msgspec.Struct, frozen=True, kw_only=True):
    """Topics, queues and function URLs; defaults as Terraform names them."""

    events_topic: str = "clickwrap-events"
    notices_topic: str = "signer-notices"
    status_topic: str = "request-status"
    reminders_queue: str = "reminders"
    retries_queue: str = "retries"
    remind_url: str = ""
