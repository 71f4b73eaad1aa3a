"""The commands by the real gcloud, against a recorder in Google's place: what gcloud makes of our flags.

INFRA_TOOLS names a folder with gcloud_recorder.py, which runs a command with gcloud turned to a recorder on loopback
and writes each API call as a line of JSON. Without it, or without gcloud, these are skipped.
"""

import base64
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


Call = dict[str, Any]
OLD, NEW = "links-00006", "links-00007"
# The recorder takes no stream as an object and keeps no log lines: these stand in. gcloud puts the region before the
# host of Cloud Run's API, which no name on loopback survives: so the recorder is the proxy to that host.
IN_PLACE = f"""\
import os
os.environ["http_proxy"] = os.environ["CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN"]
os.environ["CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN"] = "http://run.invalid/"
from infra.ops import canary, deploy, destroy, revisions, rollback, shell, smoke
revisions.releases = lambda: [{{"links": "{NEW}"}}, {{"links": "{OLD}"}}]
revisions.keep = lambda kept: None
smoke.LOG_TIMEOUT = canary.WATCHED = 0
"""


def service(name: str) -> Call:
    """As Cloud Run shows a service, of which the older revision answers and the newer one is tried."""
    traffic = [
        {"revisionName": f"{name}-00006", "percent": 90},
        {"revisionName": f"{name}-00007", "percent": 10},
        {"revisionName": f"{name}-00007", "tag": "canary", "url": f"https://canary---{name}.invalid"},
    ]
    ready = {"observedGeneration": 1, "latestReadyRevisionName": f"{name}-00007", "traffic": traffic}
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "demo-project", "generation": 1},
        "spec": {"template": {"spec": {"containers": [{"image": "i"}]}}, "traffic": traffic},
        "status": ready | {"conditions": [{"type": "Ready", "status": "True"}]},
    }


def there() -> Call:
    """What exists from the start: secrets with a value, topics, a queue, the functions' services."""
    secrets = [f"projects/demo-project/secrets/{secret_id(variable)}" for variable in every_secret()]
    value = {"name": "v", "payload": {"data": base64.b64encode(b"token").decode()}}
    run = "apis/serving.knative.dev/v1/namespaces/demo-project/services"
    return {
        **{n: {"name": n, "state": "ENABLED"} for n in [*secrets, *(f"{name}/versions/1" for name in secrets)]},
        "projects/demo-project/secrets/clickwrap-webhook-tokens/versions/latest:access": value,
        **{f"{run}/{name}": service(name) for name in WRITTEN},
    }


def record(folder: Path, *command: str, **environ: str) -> tuple[list[Call], str]:
    """The API calls of a command, and what it printed."""
    tools = Tools(folder / "tools")
    tools.without("gcloud")  # the real one; Terraform's state is no part of this
    tools.relay_env(RELAY)
    (folder / "state.json").write_text(json.dumps(there()))
    options = ["--out", str(folder / "calls.jsonl"), "--state", str(folder / "state.json")]
    settings = {"RELAY_ENV": str(folder / "tools" / "relay.env"), "PYTHONPATH": str(ROOT), **environ}
    path = {"PATH": f"{folder / 'tools' / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, str(RECORDER), *options, "--", *command],
        cwd=ROOT,
        env={**os.environ, **settings, **path},
        capture_output=True,
        text=True,
    )
    return [json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()], done.stdout + done.stderr


def in_place(action: str) -> list[str]:
    """A command of `infra.ops` that finds what the recorder lacks."""
    return [sys.executable, "-c", f"{IN_PLACE}shell.main({action})"]


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    recorded, said = record(tmp_path_factory.mktemp("recorded"), "make", "deploy")
    assert said.count(": deployed") == len(WRITTEN), said
    return recorded


def created(calls: list[Call]) -> dict[str, dict[str, Any]]:
    made = [c for c in calls if c["method"] == "POST" and c["path"].endswith("/functions")]
    return {call["query"]["functionId"]: call["body"] for call in made}


def test_every_function_is_created_as_the_table_says(calls: list[Call]) -> None:
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


def test_the_secrets_are_the_tables_for_these_providers(calls: list[Call]) -> None:
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


def test_all_users_may_call_the_three_public_functions_alone(calls: list[Call]) -> None:
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


def test_each_uploaded_zip_holds_a_bundle_and_nothing_that_gcloud_added(calls: list[Call]) -> None:
    uploads = [c["body"]["#zip"] for c in calls if "#zip" in c["body"]]
    assert len(uploads) == len(WRITTEN)
    for names in uploads:
        assert {"main.py", "requirements.txt", "shared/bootstrap/__init__.py"} <= set(names)
        tops = {name.split("/")[0] for name in names}
        assert tops - {"__pycache__"} <= {"main.py", "requirements.txt", "shared", "static", "templates"}
        assert not [name for name in names if name.startswith(".") or "/." in name]


# -- going back, a canary, smoke, the end


def traffic(recorded: list[Call]) -> list[list[Call]]:
    """What each change of traffic set."""
    changes = [c["body"] for c in recorded if c["method"] == "PUT" and "serving.knative.dev" in c["path"]]
    return [body["spec"]["traffic"] for body in changes]


def shares(recorded: list[Call]) -> list[dict[str, int]]:
    """Of these the percentages."""
    return [
        {part.get("revisionName", "newest"): part["percent"] for part in parts if part.get("percent")}
        for parts in traffic(recorded)
    ]


def tagged(recorded: list[Call]) -> list[list[str]]:
    """Of these the revisions with a URL of their own."""
    return [[part["revisionName"] for part in parts if part.get("tag") == "canary"] for parts in traffic(recorded)]


def test_a_rollback_gives_all_calls_to_the_last_release(tmp_path: Path) -> None:
    recorded, said = record(tmp_path, *in_place("rollback.rollback"), FUNCTIONS="links")
    assert f"{NEW} answers again, {OLD} does not" in said
    assert shares(recorded) == [{NEW: 100}]


def test_a_canary_gets_its_share_and_a_url_then_everything_and_no_url(tmp_path: Path) -> None:
    checks = "setattr(smoke, 'report', lambda checks: 0) or deploy.deploy()"
    recorded, said = record(tmp_path, *in_place(f"lambda: {checks}"), FUNCTIONS="links", CANARY="10")
    assert "The new revisions answer everything." in said
    assert shares(recorded) == [{OLD: 100}, {NEW: 10, OLD: 90}, {"newest": 100}]
    assert tagged(recorded) == [[], [NEW], []]


def test_smoke_calls_what_it_says(tmp_path: Path) -> None:
    recorded, said = record(tmp_path, *in_place("smoke.smoke"))
    published = {c["path"].rsplit("/", 1)[-1]: c["body"]["messages"] for c in recorded if ":publish" in c["path"]}
    assert published.keys() == {"signer-notices:publish", "clickwrap-events:publish"}
    (notice,) = published["signer-notices:publish"]
    assert notice["attributes"] == {"channel": "sms"}
    (task,) = [c["body"]["task"]["httpRequest"] for c in recorded if c["path"].endswith("/queues/reminders/tasks")]
    assert task["oidcToken"]["serviceAccountEmail"] == "relay-tasks@demo-project.iam.gserviceaccount.com"
    assert task["url"].startswith(task["oidcToken"]["audience"])
    filters = [c["body"]["filter"] for c in recorded if c["path"].endswith("/entries:list")]
    services = {name for name in WRITTEN if any(f'service_name="{name}"' in wanted for wanted in filters)}
    # Of the others no log is read here: the public ones cannot be reached, and no message gets an id.
    assert services == {"remind", "reconcile", "console", "forward"}, said


def test_destroy_deletes_every_function(tmp_path: Path) -> None:
    recorded, said = record(tmp_path, *in_place("destroy.destroy"), FORCE="1", ALERT_EMAILS="a@example.com")
    deleted = {c["path"].rsplit("/", 1)[-1] for c in recorded if c["method"] == "DELETE"}
    assert deleted == set(WRITTEN), said
