"""The form of the vendor's request ids."""

import re

# A request id becomes part of the API's URL, so no other character is accepted.
REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
