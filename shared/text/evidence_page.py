"""The printable page of a request's evidence, which also holds it as JSON between two markers."""

from collections.abc import Sequence
from html import escape
from string import Template
from typing import Any

OPENING, CLOSING = '<script type="application/json" id="evidence">', "</script>"
OWN_COLUMNS = {"at", "type", "number", "previous", "hash"}
PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>Evidence of request $request</title>
<style>body{font:1rem/1.4 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}th,td{border-bottom:1px solid #8888;padding:.3rem .6rem;text-align:start;
vertical-align:top}td{overflow-wrap:anywhere}tr{break-inside:avoid}code{font-size:.8rem}</style></head>
<body><main><h1>Evidence of request $request</h1><p>$about</p>
<p>Exported $made_at. Signed with the key <code>$key</code>.</p>
<table><thead><tr><th>No.<th>Time (UTC)<th>What<th>Details</tr></thead><tbody>
$rows</tbody></table></main>
""")
ROW = Template("<tr><td>$number<td>$at<td>$type<td>$details</tr>\n")


def evidence_page(statement: dict[str, Any], entries: Sequence[dict[str, Any]]) -> tuple[str, str]:
    """The page before the JSON and after it; both are plain HTML without a script that runs."""
    plain = {field: escape(str(statement[field])) for field in ("request", "about", "made_at", "key")}
    return PAGE.substitute(plain, rows="".join(map(_row, entries))) + OPENING, f"{CLOSING}</body></html>\n"


def _row(entry: dict[str, Any]) -> str:
    details = "<br>".join(f"{escape(k)}: <bdi>{escape(str(v))}</bdi>" for k, v in entry.items() if k not in OWN_COLUMNS)
    return ROW.substitute(number=entry["number"], at=entry["at"], type=escape(entry["type"]), details=details)
