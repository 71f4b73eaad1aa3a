"""`make destroy`: delete the functions, then everything that Terraform created, including the database.

This cannot be undone.
"""

import json
import urllib.request
from typing import Any

from infra.ops import config, shell, terraform
from infra.ops.function_table import Function, written
from infra.ops.guard import changing
from infra.ops.infra import alone, prepared, tf_variables, var_file
from infra.ops.shell import Stop, ask, do
from infra.ops.terraform import step

FIRESTORE = "https://firestore.googleapis.com"
# Final states of a request; a request in any other state is live.
ENDED = ("complete", "expired", "gone", "dormant")


def destroy() -> None:
    shell.say(f"This deletes the relay in {config.project()}: functions, queues, topics, and the database.")
    terraform.outputs(), tf_variables()  # of another region, or without a variable, it would stop half way
    _refuse_with_live_requests()
    _confirm()
    for function in written():
        delete(function)
    if protected := _protected():
        _terraform("apply", *(f"-target={address}" for address in protected))
    _terraform("destroy")
    shell.say(f"The bucket of Terraform's state is kept: gs://{config.state_bucket()}")


def _terraform(verb: str, *targets: str) -> None:
    sure = ["-auto-approve"] if shell.forced() else []
    with alone():
        step(verb, *sure, *targets, *var_file(), **prepared(), TF_VAR_deletion_protection="false")


def _protected() -> list[str]:
    """What is left of the resources that refuse to be deleted: the database and the secrets.

    An apply of everything would make again what an interrupted run has deleted.
    """
    return _left("google_firestore_database.", "google_secret_manager_secret.")


def _left(*kinds: str) -> list[str]:
    """The resources of these kinds that Terraform's state still has."""
    listed = "" if shell.dry() else terraform.read("state", "list")
    return [address for address in listed.splitlines() if address.startswith(kinds)]


def _refuse_with_live_requests() -> None:
    if shell.forced() or shell.dry():
        return
    live = live_requests()
    if live:
        raise Stop(f"{live} requests are still live: their signers would get no more messages. FORCE=1 ignores this")


def _confirm() -> None:
    if shell.forced() or shell.dry():
        return
    try:
        typed = input("Type the project's id to continue: ").strip()
    except EOFError:
        typed = ""
    if typed != config.project():
        raise Stop("nothing was destroyed: that is not the project's id")


def delete(function: Function) -> None:
    try:
        do("gcloud", "functions", "delete", function.name, "--gen2", "--quiet", *config.place())
    except Stop as stop:
        if "not found" not in str(stop).lower() and "does not exist" not in str(stop).lower():
            raise


def live_requests() -> int:
    """The number of live requests. Raises Stop if the database cannot be read."""
    try:
        return _count() - _count(*ENDED)
    except OSError as e:
        if getattr(e, "code", None) == 404 and not _left("google_firestore_database."):
            return 0  # an interrupted run has deleted it
        raise Stop(f"the live requests cannot be counted ({e}): FORCE=1 destroys without counting") from None


def _count(*statuses: str) -> int:
    query: dict[str, Any] = {"from": [{"collectionId": "requests"}]}
    if statuses:
        values = {"arrayValue": {"values": [{"stringValue": status} for status in statuses]}}
        query["where"] = {"fieldFilter": {"field": {"fieldPath": "status"}, "op": "IN", "value": values}}
    aggregation = {"structuredQuery": query, "aggregations": [{"alias": "n", "count": {}}]}
    answer = _asked({"structuredAggregationQuery": aggregation})
    return int(answer[0]["result"]["aggregateFields"]["n"]["integerValue"])


def _asked(body: dict[str, Any]) -> Any:
    database = terraform.outputs().environment.get("FIRESTORE_DATABASE", "(default)")
    path = f"/v1/projects/{config.project()}/databases/{database}/documents:runAggregationQuery"
    headers = {
        "Authorization": f"Bearer {ask('gcloud', 'auth', 'print-access-token')}",
        "Content-Type": "application/json",
    }
    request = urllib.request.Request(FIRESTORE + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


if __name__ == "__main__":
    shell.main(changing(destroy))
