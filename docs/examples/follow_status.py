"""Keep two tables right, although events may come twice or in any order: follow_status.py DATABASE < events

Each line of the input is one event as JSON: what `make status` prints, or the body of a post to your endpoint.
"""

import json
import sqlite3
import sys
from datetime import datetime

TABLES = """
CREATE TABLE IF NOT EXISTS requests (request PRIMARY KEY, sequence, status, signatures);
CREATE TABLE IF NOT EXISTS messages (request, signer, channel, begun, notice, sequence, state, reason,
    PRIMARY KEY (request, signer, channel));
"""
REQUEST = """
INSERT INTO requests VALUES (:request, :sequence, :status, :signatures) ON CONFLICT DO UPDATE
SET (sequence, status, signatures) = (:sequence, :status, :signatures) WHERE :sequence > sequence
"""
NOTICE = """
INSERT INTO messages VALUES (:request, :signer, :channel, :begun, :notice, :sequence, :state, :reason)
ON CONFLICT DO UPDATE SET (begun, notice, sequence, state, reason) = (:begun, :notice, :sequence, :state, :reason)
WHERE (:begun, :notice, :sequence) > (begun, notice, sequence)
"""


def take(database, event):
    """Writes an event unless a newer one was written: of its request, or of its signer and channel."""
    data = {"reason": "", **event["data"]}
    with database:
        if event["type"].startswith("clickwrap.request."):
            database.execute(REQUEST, data)
        elif event["type"].startswith("clickwrap.notice."):
            begun = datetime.fromisoformat(data["begun_at"]).timestamp()
            database.execute(NOTICE, {**data, "begun": begun})


if __name__ == "__main__":
    tables = sqlite3.connect(sys.argv[1])
    tables.executescript(TABLES)
    for line in sys.stdin:
        take(tables, json.loads(line))
