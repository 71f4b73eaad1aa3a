"""`make evidence REQUEST=id`: write the evidence of one request to a file, and say how to verify it.

Reads the local stack's files in LOCAL_DIR, whether or not the stack is running; with BACKEND=gcp, Firestore.
"""

import os
import sys
from pathlib import Path

from infra.ops.relay import relay_ports
from infra.ops.shell import Stop
from shared import bootstrap
from shared.domain.errors import PermanentFailure, RetryLater
from shared.setting_types import SettingError


def main(request: str) -> int:
    """Returns the exit status: 1 where nothing was written."""
    try:
        with relay_ports():
            file = bootstrap.evidence().export(request) if request else None
    except (SettingError, RetryLater, PermanentFailure, Stop) as e:
        print(f"evidence: {e}", file=sys.stderr)
        return 1
    if file is None:
        hint = f"there is no request {request!r}" if request else "set REQUEST to a request's id"
        print(f"evidence: {hint}", file=sys.stderr)
        return 1
    path = Path(f"evidence-{request}.html")
    path.write_bytes(file)
    print(f"{path}: open it in a browser to read or print it; `make verify-evidence FILE={path}` verifies it")
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ.get("REQUEST", "")))
