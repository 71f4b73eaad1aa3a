"""`make deploy` by the real gcloud, against a recorder in Google's place: what gcloud makes of our flags.

INFRA_TOOLS names a folder with gcloud_recorder.py, which runs a command with gcloud turned to a recorder on loopback
and writes each API call as a line of JSON. Without it, or without gcloud, these are skipped.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.ops.function_table import ROOT, every_secret, functions, secret_id, written
from tests.infra.tools import Tools

RECORDER = Path(os.environ.get("INFRA_TOOLS", ""), "gcloud_recorder.py")
WRITTEN = {f.name: f for f in written()}
RELAY = """\
PROJECT=demo-project
REGION=us-central1
SMS_PROVIDER=vonage
EMAIL_PROVIDER=mailgun
EMAIL_FROM="Acme Legal <signing@example.com>"
VONAGE_API_KEY=k
VONAGE_FROM=Acme
MAILGUN_DOMAIN=example.com
OPERATORS="group:ops@example.com"
STATUS_WEBHOOK_URL=https://acme.example/status
"""
pytestmark = [
    pytest.mark.skipif(not (RECORDER.is_file() and shutil.which("gcloud")), reason="INFRA_TOOLS or gcloud is missing"),
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("recorded")
    tools = Tools(folder / "tools")
    tools.without("gcloud")  # the real one; Terraform's state is no part of this
    tools.relay_env(RELAY)
    secrets = [f"projects/demo-project/secrets/{secret_id(variable)}" for variable in every_secret()]
    versions = [f"{name}/versions/1" for name in secrets]
    (folder / "state.json").write_text(json.dumps({n: {"name": n, "state": "ENABLED"} for n in [*secrets, *versions]}))
    options = ["--out", str(folder / "calls.jsonl"), "--state", str(folder / "state.json")]
    environ = {**os.environ, "RELAY_ENV": str(folder / "tools" / "relay.env")}
    environ["PATH"] = f"{folder / 'tools' / 'bin'}:{environ['PATH']}"
    command = [sys.executable, str(RECORDER), *options, "--", "make", "deploy"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()]


def created(calls: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    made = [c for c in calls if c["method"] == "POST" and c["path"].endswith("/functions")]
    return {call["query"]["functionId"]: call["body"] for call in made}


def test_every_function_is_created_as_the_table_says(calls: list[dict[str, Any]]) -> None:
    made = created(calls)
    assert set(made) == set(WRITTEN)
    for name, body in made.items():
        service, row = body["serviceConfig"], WRITTEN[name]
        assert body["buildConfig"]["runtime"] == "python313"
        assert service["maxInstanceRequestConcurrency"] == row.concurrency
        assert service["environmentVariables"]["THREADS"] == str(row.concurrency)
        assert service["maxInstanceCount"] == row.max_instances
        assert service["timeoutSeconds"] == row.timeout
        assert service["serviceAccountEmail"] == f"relay-{name}@demo-project.iam.gserviceaccount.com"
        assert body["buildConfig"]["serviceAccount"].endswith("/relay-build@demo-project.iam.gserviceaccount.com")
        assert "eventTrigger" not in body, "Terraform owns the subscriptions"


def test_the_secrets_are_the_tables_for_these_providers(calls: list[dict[str, Any]]) -> None:
    given = {name: variables(body) for name, body in created(calls).items()}
    assert given["deliver"] == {
        "CLICKWRAP_API_TOKEN",
        "ADDRESS_SECRET",
        "LINKS_SECRET",
        "VONAGE_API_SECRET",
        "MAILGUN_API_KEY",
    }
    assert given["receipts"] == {"ADDRESS_SECRET", "VONAGE_SIGNATURE_SECRET", "MAILGUN_SIGNING_KEY"}
    assert given["forward"] == {"STATUS_WEBHOOK_SECRETS"}
    assert given["receive"] == {"CLICKWRAP_WEBHOOK_TOKENS"}
    for name, body in created(calls).items():
        assert not set(body["serviceConfig"]["environmentVariables"]) & every_secret(), name


def variables(body: dict[str, Any]) -> set[str]:
    mounted = body["serviceConfig"].get("secretEnvironmentVariables", [])
    assert all(entry["secret"] == secret_id(entry["key"]) for entry in mounted)
    return {entry["key"] for entry in mounted}


def test_all_users_may_call_the_three_public_functions_alone(calls: list[dict[str, Any]]) -> None:
    members: dict[str, set[str]] = {}
    for call in (c for c in calls if c["path"].endswith(":setIamPolicy")):
        name = call["path"].rsplit("/", 1)[-1].removesuffix(":setIamPolicy")
        members[name] = {m for binding in call["body"]["policy"]["bindings"] for m in binding["members"]}

    def accounts(*names: str) -> set[str]:
        return {f"serviceAccount:relay-{name}@demo-project.iam.gserviceaccount.com" for name in names}

    private = {
        "resolve": accounts("push", "tasks"),
        "deliver": accounts("push", "tasks"),
        "forward": accounts("push", "tasks"),
        "remind": accounts("tasks"),
        "reconcile": accounts("scheduler"),
        "console": {"group:ops@example.com"},
    }
    public = {name: {"allUsers"} for name, f in functions().items() if f.public}
    assert members == {name: who for name, who in (private | public).items() if name in WRITTEN}


def test_each_uploaded_zip_holds_a_bundle_and_nothing_that_gcloud_added(calls: list[dict[str, Any]]) -> None:
    uploads = [c["body"]["#zip"] for c in calls if "#zip" in c["body"]]
    assert len(uploads) == len(WRITTEN)
    for names in uploads:
        assert {"main.py", "requirements.txt", "shared/bootstrap/__init__.py"} <= set(names)
        tops = {name.split("/")[0] for name in names}
        assert tops - {"__pycache__"} <= {"main.py", "requirements.txt", "shared", "static", "templates"}
        assert not [name for name in names if name.startswith(".") or "/." in name]
