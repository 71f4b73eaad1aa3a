"""`make logs`: print the functions' logs (FUNCTIONS="receive links", SINCE=1h)."""

import os

from infra.ops import config, shell
from infra.ops.function_table import chosen

MAX_LINES = 500


def logs() -> int:
    names = " OR ".join(f'"{function.name}"' for function in chosen())
    wanted = f'resource.type="cloud_run_revision" AND resource.labels.service_name=({names})'
    columns = (
        "timestamp.date('%m-%d %H:%M:%S'),resource.labels.service_name,severity,httpRequest.status,"
        "jsonPayload,textPayload"
    )
    return shell.attached(
        *("gcloud", "logging", "read", wanted, f"--project={config.project()}", "--order=desc", f"--limit={MAX_LINES}"),
        *(f"--freshness={os.environ.get('SINCE') or '1h'}", f"--format=value({columns})"),
    )


if __name__ == "__main__":
    shell.main(logs)
