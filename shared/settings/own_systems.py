"""Your own systems: what they are told of a request, and where."""

import base64

from shared.setting_types import Setting, choice, url

LEAST_SECRET, MOST_SECRET = 24, 64  # bytes of a secret of Standard Webhooks


def _status_secrets(value: str) -> tuple[bytes, ...]:
    found = tuple(base64.b64decode(s.strip().removeprefix("whsec_"), validate=True) for s in value.split(","))
    if len(found) > 2 or not all(LEAST_SECRET <= len(s) <= MOST_SECRET for s in found):
        raise ValueError
    return found


STATUS_SIGNER_IDS = choice(
    "STATUS_SIGNER_IDS", ("on", "off"), "off", "whether changes of status hold your own ids of the signers"
)
STATUS_WEBHOOK_URL = url("STATUS_WEBHOOK_URL", "your own endpoint for every change of a request's status; empty: none")
STATUS_WEBHOOK_SECRETS: Setting[tuple[bytes, ...]] = Setting(
    name="STATUS_WEBHOOK_SECRETS",
    meaning="signs what is posted there, as Standard Webhooks describes; two during a rotation, comma-separated",
    parse=_status_secrets,
    wanted="one or two of whsec_ and 24 to 64 bytes in base64",
    default=None,
    secret=True,
    needed_by=("forward",),
)
