"""Keep a table of requests right, although events may come twice or in any order: follow_status.py DATABASE < events

Each line of the input is one event as JSON: what `make status` prints, or the body of a post to your endpoint.
"""

import json
import sqlite3
import sys


def open_table(path):
    """The table, made at first use."""
    table = sqlite3.connect(path)
    table.execute(
        "CREATE TABLE IF NOT EXISTS requests (id TEXT PRIMARY KEY, sequence INTEGER, status TEXT, signatures INTEGER)"
    )
    return table


def take(table, event):
    """Writes an event unless a newer one of the same request was written before."""
    data = event["data"]
    with table:
        table.execute(
            "INSERT INTO requests VALUES (:request, :sequence, :status, :signatures) ON CONFLICT (id) DO UPDATE "
            "SET sequence = :sequence, status = :status, signatures = :signatures WHERE :sequence > sequence",
            {name: data[name] for name in ("request", "sequence", "status", "signatures")},
        )


if __name__ == "__main__":
    requests = open_table(sys.argv[1])
    for line in sys.stdin:
        take(requests, json.loads(line))
