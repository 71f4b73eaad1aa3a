"""`make probe REQUEST=id`: what this account's API says of one request, and what it therefore cannot promise."""

import os
import sys

from shared import bootstrap
from shared.adapters.clickwrap.client import ClickwrapClient
from shared.adapters.clickwrap.payload import Fields, Reader, values
from shared.domain.errors import RetryLater
from shared.ports import NotFound
from shared.setting_types import SettingError
from shared.settings import CLICKWRAP_FIELDS

LOST = {
    "signer.signed": "The API does not say who signed: a lost Signed webhook cannot be made up for.",
    "status": "The API does not say the request's status: a lost Complete or Expired webhook cannot be made up for.",
    "title": "The API gives no title: messages take it from the webhook's description, or say 'a document'.",
    "expires_at": "The API gives no expiry: reminders stop at the Expired webhook, or when it answers 404.",
    "download_url": "The API gives no download link: completions lead to the signing URL.",
    "signer.name": "The API gives no names: progress messages say 'Another signer'.",
    "signer.request_url": "NO SIGNING URL: nobody can be invited. Set CLICKWRAP_FIELDS.",
    "signer.ids": "Signers carry no id: they are told apart by their place in the list.",
}


def main(request: str) -> int:
    try:
        api = bootstrap.requests()
        assert isinstance(api, ClickwrapClient)
        document, fields = api.document(request), bootstrap.settings()[CLICKWRAP_FIELDS]
    except (SettingError, NotFound, RetryLater) as e:
        print(f"probe: {e or 'the API knows no such request (404)'}", file=sys.stderr)
        return 1
    hits = {name: hit(document, name, fields) for name in fields}
    for name, path in hits.items():
        print(f"  {name:22} {path or '-  (none of: ' + ', '.join(fields[name]) + ')'}")
    print("\nWhat cannot be promised on this account:")
    print("\n".join(f"  - {text}" for name, text in LOST.items() if not hits[name]) or "  - nothing is missing")
    return 0


def hit(document: object, name: str, fields: Fields) -> str:
    """The first candidate path that holds something, at the top or in any signer."""
    level, _, field = name.rpartition(".")
    rows = [row for path in fields["signers"] for v in values(document, path) if isinstance(v, list) for row in v]
    for place in rows if level else [document]:
        reader = Reader(place, fields, f"{level}." if level else "")
        if next(iter(reader.all(field)), None) is not None:
            return reader.hits[name]
    return ""


if __name__ == "__main__":
    sys.exit(main(os.environ.get("REQUEST", "")))
