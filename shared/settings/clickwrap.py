"""Clickwrap: its API, its webhook, and what is taken from both."""

import json
from typing import Any

from shared.adapters.clickwrap.fields import FIELDS, METADATA, Fields
from shared.setting_types import Setting, choice, number, secret, split, url, words


def _tokens(value: str) -> tuple[str, ...]:
    tokens = split(value)
    if not 1 <= len(tokens) <= 2:
        raise ValueError
    return tokens


def _fields(value: str) -> Fields:
    given: dict[str, Any] = json.loads(value)
    if not isinstance(given, dict) or not all(name in FIELDS or METADATA.fullmatch(name) for name in given):
        raise ValueError
    return {**FIELDS, **{k: tuple(map(str, [v] if isinstance(v, str) else v)) for k, v in given.items()}}


CLICKWRAP_API_URL = url(
    "CLICKWRAP_API_URL",
    "base of the API",
    "https://api.pactsafe.com/v1.1",
    example="http://127.0.0.1:8080/sandbox/api/v1.1",
)
CLICKWRAP_API_TOKEN = secret(
    "CLICKWRAP_API_TOKEN", "Bearer token of the API", needed_by=("resolve", "deliver", "reconcile"), example="sandbox"
)
CLICKWRAP_WEBHOOK_TOKENS: Setting[tuple[str, ...]] = Setting(
    name="CLICKWRAP_WEBHOOK_TOKENS",
    meaning="the webhook's token, or two during a rotation, comma-separated",
    parse=_tokens,
    wanted="one token, or two during a rotation, comma-separated",
    default=None,
    secret=True,
    needed_by=("receive", "reconcile"),
    example="local-token",
)
CLICKWRAP_FIELDS: Setting[Fields] = Setting(
    name="CLICKWRAP_FIELDS",
    meaning='JSON, field to list of paths: replaces the paths of a field, like `{"title": ["name"]}`, or adds one for '
    'the templates, like `{"metadata.deal": ["custom_data.deal"]}`; `make probe` shows which path is found',
    parse=_fields,
    wanted=f"JSON: field -> list of paths, of {', '.join(FIELDS)}, metadata.<name>, signer.metadata.<name>",
    default="{}",
)
CLICKWRAP_SITES = words("CLICKWRAP_SITES", "comma-separated; webhooks of other sites are answered 200 and ignored")
CLICKWRAP_INTEGRATIONS = words("CLICKWRAP_INTEGRATIONS", "the same for the webhook's `integration`")
TITLE_FROM_WEBHOOK = choice(
    "TITLE_FROM_WEBHOOK",
    ("off", "on"),
    "off",
    "`on`: where the API gives no title, a webhook's description gives it, so whoever has the token can write it",
)
RECONCILE_LIST = words(
    "RECONCILE_LIST",
    "comma-separated sites whose requests `reconcile` also lists and adopts, where the API has such a list",
)
LINK_HOSTS = words(
    "LINK_HOSTS",
    "comma-separated domains, with all below them, that signing and document links may lead to; empty: any public name",
)
API_RATE_PER_MINUTE = number(
    "API_RATE_PER_MINUTE",
    "API calls of this process; in `relay.env` the total, which `make deploy` divides among the instances",
    1600,
)
