"""`make probe REQUEST=id`: show which fields this account's API returns for one request, and what is lost without them.

The field names of the API are mostly undocumented, so they may differ between accounts.
"""

import os
import sys
from collections.abc import Iterator

from google.auth.exceptions import GoogleAuthError

from infra.ops import config
from infra.ops.shell import Stop
from shared import bootstrap
from shared.adapters.clickwrap.client import ClickwrapClient
from shared.adapters.clickwrap.fields import Fields
from shared.adapters.clickwrap.payload import Reader, values
from shared.domain.errors import RetryLater
from shared.domain.trust import in_words
from shared.ports import NotFound
from shared.services.relay_status import read_status
from shared.setting_types import SettingError
from shared.settings.clickwrap import CLICKWRAP_FIELDS

# Field -> what the relay cannot do if the API does not return it.
LIMITATIONS = {
    "signer.signed": "The API does not say who signed: a lost Signed webhook cannot be recovered. Without one of every "
    "signer, a Complete is believed after 10 minutes, with an alert.",
    "status": "The API does not give the request's status: a lost Complete or Expired webhook cannot be recovered.",
    "title": "The API gives no title: messages say 'a document'. See TITLE_FROM_WEBHOOK.",
    "expires_at": "The API gives no expiry: reminders stop at the Expired webhook, or when the API answers 404.",
    "download_url": "The API gives no download link: completion messages link to the signing URL.",
    "signer.name": "The API gives no names: progress messages say 'Another signer'.",
    "signer.request_url": "The API gives no signing URL: nobody can be invited. Set CLICKWRAP_FIELDS.",
    "signer.language": "The API names no signer's language: they are written to in the request's, or the default one.",
    "signer.ids": "The API gives no signer ids: signers are identified by their position in the list.",
}


def main(request: str) -> int:
    """Returns the exit status: 1 if the request cannot be read."""
    if not request:
        return _failed("set REQUEST to a request's id")
    try:
        api = bootstrap.clickwrap_api()
        assert isinstance(api, ClickwrapClient)
        document, fields = api.document(request), bootstrap.settings()[CLICKWRAP_FIELDS]
    except NotFound:
        return _failed(f"the API knows no request {request!r} (404)")
    except (SettingError, RetryLater) as e:
        return _failed(str(e) or type(e).__name__)
    paths = {name: found_path(document, name, fields) for name in fields}
    for name, path in paths.items():
        print(f"  {name:24} {path or '-  (none of: ' + ', '.join(fields[name]) + ')'}")
    limitations = [f"  - {text}" for name, text in LIMITATIONS.items() if not paths[name]]
    print("\nLimitations on this account:")
    print("\n".join(limitations) or "  - none: every field is there")
    print("\nWhat else the answer holds that no field reads, by name:")
    print("\n".join(unused(document, fields)) or "  nothing")
    print(f"\nWhat the deployed relay has learnt that the API says: {_learnt()}")
    return 0


def with_relay_env() -> None:
    """Take the settings of relay.env, if there is one: before the first deployment it may be missing. Raises Stop."""
    place = {"GOOGLE_CLOUD_PROJECT": config.decided("PROJECT")}
    for name, value in (config.settings() | place).items():
        if value:
            os.environ.setdefault(name, value)


def _learnt() -> str:
    try:
        answers = read_status(bootstrap.backend().ledger()).answers
    except (SettingError, RetryLater, GoogleAuthError):
        return "its database cannot be read from here"
    return in_words(answers)


def _failed(reason: str) -> int:
    print(f"probe: {reason}", file=sys.stderr)
    return 1


def found_path(document: object, name: str, fields: Fields) -> str:
    """The first candidate path that has a value, in the document or in any signer; "" if none has."""
    level, field = ("signer", name.removeprefix("signer.")) if name.startswith("signer.") else ("", name)
    for part in _signers(document, fields) if level else [document]:
        reader = Reader(part, fields, f"{level}." if level else "")
        if next(iter(reader.all(field)), None) is not None:
            return reader.hits[name]
    return ""


def _signers(document: object, fields: Fields) -> list[object]:
    return [row for path in fields["signers"] for v in values(document, path) if isinstance(v, list) for row in v]


def unused(document: object, fields: Fields) -> list[str]:
    """A line for each path that has a value and is of no field, for CLICKWRAP_FIELDS: request's, then signers'."""
    return _unused("request", [document], fields) + _unused("signer", _signers(document, fields), fields)


def _unused(level: str, parts: list[object], fields: Fields) -> list[str]:
    read = {
        path for name, paths in fields.items() if name.startswith("signer.") is (level == "signer") for path in paths
    }
    signers = tuple(f"{path}.*" for path in fields["signers"]) if level == "request" else ()
    found = {path for part in parts for path in leaves(part)} - read - {""}
    return [f"  {level:8} {path}" for path in sorted(found) if not path.startswith(signers)]


def leaves(value: object, path: str = "") -> Iterator[str]:
    """The paths of the values in an answer. A key with a dot has none: an address may be one, and is nobody's name."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}".lstrip(".")) if "." not in key else ()
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, f"{path}.*")
    else:
        yield path


def run() -> int:
    try:
        with_relay_env()
    except Stop as stop:
        return _failed(str(stop))
    return main(os.environ.get("REQUEST", ""))


if __name__ == "__main__":
    sys.exit(run())
