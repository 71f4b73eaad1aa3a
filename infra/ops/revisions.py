"""Cloud Run's revisions of the functions: which one answers, and which ones passed `make smoke` together.

The latter, the releases, are kept in the bucket of Terraform's state, the newest first.
"""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from infra.ops import config, shell
from infra.ops.function_table import Function
from infra.ops.shell import Stop, ask, do

KEPT = 10  # releases
TAG = "canary"  # gives a revision that is tried a URL of its own
Release = dict[str, str]  # function -> revision
Answering = dict[str, dict[str, int]]  # function -> its revisions that answer calls -> per cent


def serving(functions: list[Function]) -> Release:
    """The revision of each function that answers most calls. A function that is not deployed is left out."""
    return {name: max(shares, key=lambda revision: shares[revision]) for name, shares in answering(functions).items()}


def answering(functions: list[Function]) -> Answering:
    """The revisions of each function that answer calls, with their per cents: two during a canary."""
    with ThreadPoolExecutor(len(functions)) as pool:
        found = pool.map(lambda function: _traffic(function.name), functions)
    return {f.name: shares for f, shares in zip(functions, found, strict=True) if shares}


def _traffic(service: str) -> dict[str, int]:
    try:
        parts = _parts(service)
    except Stop as stop:
        if "cannot find service" in str(stop).lower():
            return {}
        raise
    return {str(part["revisionName"]): int(part["percent"]) for part in parts if part.get("percent")}


def _parts(service: str) -> list[dict[str, Any]]:
    shown = ask(*_services("describe", service), "--format=json(status.traffic)")
    parts: list[dict[str, Any]] = json.loads(shown or "{}").get("status", {}).get("traffic", [])
    return parts


def tried_at(service: str) -> str:
    """The URL of the revision that is tried, which answers there alone. "" for none."""
    return next((str(part.get("url", "")) for part in _parts(service) if part.get("tag") == TAG), "")


def newest(service: str) -> str:
    """The revision that was made last, whether or not it answers."""
    return ask(*_services("describe", service), "--format=value(status.latestReadyRevisionName)")


def shift(service: str, shares: Mapping[str, int], tried: str = "") -> None:
    """Divide a function's calls among revisions. shares: revision -> per cent. tried: the one that gets a URL."""
    divided = ",".join(f"{revision}={percent}" for revision, percent in shares.items() if percent)
    _update(service, f"--to-revisions={divided}", f"--update-tags={TAG}={tried}" if tried else f"--remove-tags={TAG}")


def shift_each(release: Release) -> str:
    """Let these revisions answer all calls of their functions, of as many as can be. Returns what went wrong."""
    with ThreadPoolExecutor(max(1, len(release))) as pool:
        return "".join(pool.map(_shifted, release.items()))


def _shifted(of_function: tuple[str, str]) -> str:
    service, revision = of_function
    try:
        shift(service, {revision: 100})
    except Stop as stop:
        return f"{service}: {stop}\n"
    return ""


def shift_to_newest(service: str) -> None:
    """From now on, each new revision answers all calls at once."""
    _update(service, "--to-latest", f"--remove-tags={TAG}")


def _update(service: str, *flags: str) -> None:
    do(*_services("update-traffic", service), *flags, "--quiet", "--format=none")


def _services(verb: str, service: str) -> list[str]:
    return ["gcloud", "run", "services", verb, service, *config.place()]


def releases() -> list[Release]:
    """The releases that passed, the newest first. Raises Stop."""
    try:
        kept: list[Release] = json.loads(ask("gcloud", "storage", "cat", _object()) or "[]")
    except Stop as stop:
        if "matched no objects" in str(stop) or "404" in str(stop):
            return []
        raise
    return kept


def keep(kept: list[Release]) -> None:
    do("gcloud", "storage", "cp", "-", _object(), "--quiet", text=json.dumps(kept[:KEPT]))


def remember(release: Release) -> None:
    """Put a release that passed before the others."""
    if release and not shell.dry():
        keep([release, *(earlier for earlier in releases() if earlier != release)])


def _object() -> str:
    return f"gs://{config.state_bucket()}/relay/{config.project()}/releases.json"
