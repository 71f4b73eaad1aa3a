"""`make trigger EVENT=signed REQUEST=id`: an event at the sandbox of a running `make run`, with its webhook.

EVENT is sent, signed (by the first who has not), complete or expired. ONLY=1 sends the webhook alone: the sandbox's API
then says otherwise.
"""

import json
import os
import sys
import urllib.error
import urllib.request
from urllib.parse import quote


def main(event: str, request: str, only: bool, port: str) -> int:
    """Returns the exit status."""
    if not event or not request:
        return _failed("set EVENT to sent, signed, complete or expired, and REQUEST to a request's id")
    url = f"http://127.0.0.1:{port}/sandbox/requests/{quote(request, safe='')}/trigger"
    body, headers = json.dumps({"event": event, "only": only}).encode(), {"Content-Type": "application/json"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as answer:
            status = json.load(answer)["status"]
    except urllib.error.HTTPError as e:
        return _failed(json.load(e)["error"]["message"])
    except OSError as e:
        return _failed(f"nothing answers on port {port}: start `make run` ({e})")
    print(f"{event}: the webhook is on its way; the sandbox calls the request {status}")
    return 0


def _failed(reason: str) -> int:
    print(f"trigger: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    given = os.environ.get
    sys.exit(main(given("EVENT", ""), given("REQUEST", ""), given("ONLY", "") == "1", given("PORT", "8080")))
