#!/usr/bin/env python3
"""Verify an evidence file: `python3 verify_evidence.py FILE [PUBLIC_KEY.pem]`.

Needs Python 3.9 and the command `openssl`, and none of the code that wrote the file, so that anyone can run or read
it. Without PUBLIC_KEY.pem the key inside the file is used: compare its fingerprint with one from a source you trust.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

OPENING, CLOSING = b'<script type="application/json" id="evidence">', b"</script>"


class Changed(Exception):
    """The file is not what was exported."""


def canonical(value: object) -> bytes:
    """The form in which a value is hashed and signed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).replace("<", "\\u003c").encode()


def verify(file: bytes, public_key: bytes | None = None) -> dict[str, Any]:
    """The signed statement of a file. Raises Changed.

    Args:
        file: the bytes of the file.
        public_key: in PEM form; None uses the key inside the file.
    """
    try:
        document, page = split(file)
        statement, entries, signature = document["statement"], document["entries"], document["signature"]
        if (
            set(document) != {"statement", "entries", "signature"}
            or hashlib.sha256(page).hexdigest() != statement["page"]
        ):
            raise Changed("the page around the entries was changed")
        check_chain(entries, statement)
        check_signature(statement, signature, public_key or statement["public_key"].encode())
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise Changed(f"the file cannot be read: {e!r}") from None
    return dict(statement)


def split(file: bytes) -> tuple[dict[str, Any], bytes]:
    """The document, and the page around it."""
    before, opening, rest = file.partition(OPENING)
    data, closing, after = rest.partition(CLOSING)
    document = json.loads(data)
    if not opening or canonical(document) != data:
        raise Changed("the document is not in the form in which it was written")
    return document, before + opening + closing + after


def check_chain(entries: list[dict[str, Any]], statement: dict[str, Any]) -> None:
    """Every entry holds its number, the hash of the one before, and its own."""
    previous = ""
    for number, entry in enumerate(entries, 1):
        rest = {key: value for key, value in entry.items() if key != "hash"}
        own = hashlib.sha256(canonical(rest)).hexdigest()
        if (entry["number"], entry["previous"], entry["hash"]) != (number, previous, own):
            raise Changed(f"entry {number} was changed, added, moved or removed")
        previous = own
    if (len(entries), previous) != (statement["entries"], statement["head"]):
        raise Changed("entries are missing at the end")


def check_signature(statement: dict[str, Any], signature: str, public_key: bytes) -> None:
    """ECDSA on P-256 with SHA-256, over the statement."""
    signed = base64.b64decode(signature, validate=True)
    if base64.b64encode(signed).decode() != signature:
        raise Changed("the signature is not in the form in which it was written")
    with tempfile.TemporaryDirectory() as folder:
        key, signature_file = Path(folder, "key.pem"), Path(folder, "signature")
        key.write_bytes(public_key)
        signature_file.write_bytes(signed)
        command = ["openssl", "dgst", "-sha256", "-verify", str(key), "-signature", str(signature_file)]
        done = subprocess.run(command, input=canonical(statement), capture_output=True, check=False)
    if done.returncode != 0:
        raise Changed("the signature does not fit the statement and the key")


def fingerprint(pem: str) -> str:
    """SHA-256 of the key in DER form, hex."""
    body = "".join(line for line in pem.splitlines() if not line.startswith("-----"))
    return hashlib.sha256(base64.b64decode(body)).hexdigest()


def main(arguments: list[str]) -> int:
    """Returns the exit status: 0 for an unchanged file."""
    if not 1 <= len(arguments) <= 2:
        print(__doc__, file=sys.stderr)
        return 2
    given = Path(arguments[1]).read_bytes() if len(arguments) == 2 else None
    try:
        statement = verify(Path(arguments[0]).read_bytes(), given)
    except Changed as e:
        print(f"NOT VALID: {e}", file=sys.stderr)
        return 1
    print(f"valid: {statement['entries']} entries of request {statement['request']}, exported {statement['made_at']}")
    source = "the key you gave" if given else "the key inside the file; compare its fingerprint with a trusted source"
    print(f"signed with {statement['key']}: {source}")
    print(f"fingerprint (SHA-256): {fingerprint((given or statement['public_key'].encode()).decode())}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
