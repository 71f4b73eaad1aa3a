"""What the public shorteners share."""

import re

from shared.domain.errors import PermanentFailure

DEADLINE = 5.0  # seconds; then the message is sent with the long URL
SHORT = re.compile(r"(?:https?://)?([A-Za-z0-9.-]+\.[A-Za-z0-9-]+(?::\d+)?/[^\s\"<>]+)")


def https(who: str, link: object) -> str:
    """The link with https, with or without a scheme before. Raises PermanentFailure for anything else."""
    found = SHORT.fullmatch(link) if isinstance(link, str) else None
    if not found:
        raise PermanentFailure(f"{who} answered without a link")
    return f"https://{found[1]}"


def code(value: object) -> str:
    """An error code; "" for anything that might be a sentence, and quote the URL."""
    return value if isinstance(value, str) and value.isidentifier() else ""
