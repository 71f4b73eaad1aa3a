"""No command changes anything while relay.env, gcloud or Terraform's state names another project."""

import json
from pathlib import Path

import pytest

from infra.ops import terraform
from infra.ops.function_table import ROOT
from infra.ops.shell import Stop
from tests.infra.tools import Tools

MODULES = {path.stem for path in (ROOT / "infra" / "ops").glob("*.py") if '__name__ == "__main__"' in path.read_text()}
# Commands that change nothing in Google Cloud; `bootstrap` is the only one that runs before there is a state.
READERS = {
    "bundle",
    "bundle_check",
    "console",
    "doctor",
    "evidence",
    "lock",
    "logs",
    "probe",
    "sbom",
    "status",
    "url",
    "verify_evidence",
    "why",
}
CHANGING = sorted(MODULES - READERS - {"bootstrap"})
ARGUMENTS = {"replay": "replay --replay"}
# What a refused command may have asked: nothing that changes anything.
HARMLESS = ("gcloud config get-value", "terraform -chdir=infra init", "terraform -chdir=infra state pull")


def state(*projects: str) -> str:
    resources = [{"mode": "managed", "instances": [{"attributes": {"project": name}}]} for name in projects]
    return json.dumps({"version": 4, "resources": resources})


def refused(tools: Tools, module: str, **settings: str) -> str:
    """The refusal, in one line. Nothing was changed before it."""
    given = {"FORCE": "1", "ALERT_EMAILS": "a@example.com", "BACKEND": "gcp"} | settings
    done = tools.run(ARGUMENTS.get(module, module), **given)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert not [asked.line() for asked in tools.asked() if not asked.line().startswith(HARMLESS)]
    return done.stderr


@pytest.mark.parametrize("module", CHANGING)
def test_the_state_of_another_project_stops_every_command(tools: Tools, module: str) -> None:
    tools.answer("state pull", out=state("prod"))
    assert "Terraform's state is of prod, not of demo-project: nothing was changed" in refused(tools, module)


@pytest.mark.parametrize("module", [*CHANGING, "bootstrap"])
def test_a_gcloud_set_to_another_project_stops_every_command(tools: Tools, module: str) -> None:
    tools.answer("config get-value", out="prod\n")
    assert "gcloud names the project prod, not demo-project: nothing was changed" in refused(tools, module)


@pytest.mark.parametrize("module", [*CHANGING, "bootstrap"])
def test_a_settings_file_of_another_project_stops_every_command(tools: Tools, module: str) -> None:
    tools.relay_env("PROJECT=prod\n")
    assert "relay.env names the project prod, not demo-project" in refused(tools, module)


def test_a_state_of_two_projects_is_refused(tools: Tools) -> None:
    tools.answer("state pull", out=state("demo-project", "prod"))
    assert "is of prod" in refused(tools, "deploy")


def test_a_state_with_resources_that_name_no_project_is_refused(tools: Tools) -> None:
    unknown = {"resources": [{"mode": "managed", "instances": [{"attributes": {"name": "relay"}}]}]}
    tools.answer("state pull", out=json.dumps(unknown))
    assert "does not say of which project it is" in refused(tools, "destroy")


def test_a_replay_in_the_cloud_is_checked_and_one_on_this_machine_is_not(tools: Tools) -> None:
    tools.answer("state pull", out=state("prod"))
    assert "GOOGLE_CLOUD_PROJECT names the project prod" in refused(tools, "replay", GOOGLE_CLOUD_PROJECT="prod")
    here = tools.run("replay --replay", BACKEND="embedded", LOCAL_DIR=str(tools.folder))
    assert "holds no state" in here.stderr


def test_the_own_project_everywhere_is_let_through(tools: Tools) -> None:
    tools.relay_env("PROJECT=demo-project\n")
    tools.answer("state pull", out=state("demo-project"))
    tools.answer("config get-value", out="demo-project\n")
    tools.answer("secrets versions list", out="enabled\n")
    assert tools.run("secrets").returncode == 0


# -- where the state is


def backend(tools: Tools, **settings: str) -> list[str]:
    tools.answer("secrets versions list", out="enabled\n")
    assert tools.run("secrets", **settings).returncode == 0
    (asked,) = tools.asked("terraform -chdir=infra init")
    return [word for word in asked.command if word.startswith("-backend-config=")]


def test_bucket_and_prefix_follow_from_the_project(tools: Tools) -> None:
    assert backend(tools) == [
        "-backend-config=bucket=demo-project-relay-state",
        "-backend-config=prefix=relay/demo-project",
    ]


def test_one_bucket_may_hold_the_states_of_all_environments(tools: Tools) -> None:
    tools.relay_env("STATE_BUCKET=acme-states\n")
    assert backend(tools) == ["-backend-config=bucket=acme-states", "-backend-config=prefix=relay/demo-project"]


@pytest.fixture
def connected(here: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    """The working folder is connected with the state of an earlier run."""
    config = {"bucket": "demo-project-relay-state", "prefix": "relay/demo-project", "credentials": None}
    (tmp_path / "terraform.tfstate").write_text(json.dumps({"backend": {"type": "gcs", "config": config}}))
    monkeypatch.setattr(terraform, "environ", lambda: {"TF_DATA_DIR": str(tmp_path)})
    monkeypatch.setattr(terraform, "ROOT_MODULE", tmp_path / "root.tf")
    (tmp_path / "root.tf.example").write_text("backend")
    return here


def test_a_working_folder_of_another_bucket_is_not_used(connected: Tools) -> None:
    """Terraform itself would go on with the earlier state, while the releases are in the new bucket."""
    terraform.init()
    assert not connected.asked("init")
    connected.relay_env("STATE_BUCKET=acme-states\n")
    with pytest.raises(Stop, match="is connected with demo-project-relay-state, not with acme-states"):
        terraform.init()


def test_a_root_module_that_was_cleaned_away_is_put_back(connected: Tools) -> None:
    """Without it Terraform takes the backend for removed, and asks for an init that no command would make."""
    terraform.init()
    assert terraform.ROOT_MODULE.read_text() == "backend"
    assert not connected.asked("init")


@pytest.mark.parametrize(
    ("verb", "error", "told"),
    [
        ("init", "Error: storage: bucket doesn't exist", "the bucket of Terraform's state is missing: run `make boot"),
        ("init", "Error: Can't ask approval for state migration when", "infra/ holds a local state: see"),
        ("init", "Error: dial tcp", "terraform init failed: see above"),
        ("plan", "Error: Inconsistent dependency lock file\n run:\n  terraform init", "this version needs other prov"),
    ],
)
def test_an_error_of_terraform_leads_to_what_to_do(here: Tools, verb: str, error: str, told: str) -> None:
    assert str(terraform.failed(verb, error)).startswith(told)


def test_each_project_has_a_working_folder_of_its_own(tools: Tools) -> None:
    folders = [
        tools.run("infra plan", PROJECT=name, DRY_RUN="1", ALERT_EMAILS="a@example.com")
        for name in ("one-relay", "two-relay")
    ]
    for name, done in zip(("one-relay", "two-relay"), folders, strict=True):
        assert done.stdout.count(f"TF_DATA_DIR={ROOT}/.local/terraform/{name} ") == 2  # init and plan


def test_a_missing_bucket_leads_to_bootstrap(tools: Tools) -> None:
    tools.answer("state pull", error="Error: querying Cloud Storage failed: storage: bucket doesn't exist\n", status=1)
    assert refused(tools, "deploy") == "the bucket of Terraform's state is missing: run `make bootstrap` first\n"


# -- bootstrap


def test_bootstrap_makes_a_closed_versioned_bucket_and_googles_accounts(tools: Tools) -> None:
    assert tools.run("bootstrap").returncode == 0
    (made,) = tools.asked("storage buckets create gs://demo-project-relay-state")
    assert {"--uniform-bucket-level-access", "--public-access-prevention", "--location=us-central1"} <= set(
        made.command
    )
    (updated,) = tools.asked("storage buckets update gs://demo-project-relay-state")
    assert {"--versioning", "--soft-delete-duration=7d"} <= set(updated.command)
    agents = [
        word for asked in tools.asked("services identity create") for word in asked.command if "--service=" in word
    ]
    assert agents == [f"--service={name}.googleapis.com" for name in ("pubsub", "cloudtasks", "cloudscheduler")]


def taken(tools: Tools, by: str) -> None:
    """The bucket is there already, in the project of this number."""
    exists = "ERROR: HTTPError 409: Your previous request to create the bucket succeeded.\n"
    tools.answer("buckets create", error=exists, status=1)
    tools.answer("buckets describe gs://", out=f"{by}\n")
    tools.answer("projects describe demo-project", out="4711\n")


def test_bootstrap_can_be_run_again(tools: Tools) -> None:
    taken(tools, by="4711")
    assert tools.run("bootstrap").returncode == 0
    assert tools.asked("buckets update")
    tools.answer("buckets create", error="ERROR: HTTPError 403: forbidden\n", status=1)
    assert tools.run("bootstrap").returncode == 1


def test_a_strangers_bucket_gets_no_state(tools: Tools) -> None:
    taken(tools, by="666")
    done = tools.run("bootstrap", FORCE="1")
    assert done.stderr == (
        "gs://demo-project-relay-state is in another project, of number 666: give STATE_BUCKET a name of your own\n"
    )
    assert not tools.asked("buckets update")


@pytest.mark.parametrize(("answer", "status"), [("yes\n", 0), ("no\n", 1)])
def test_a_bucket_that_is_shared_by_environments_may_be_in_another_project_of_the_operators(
    tools: Tools, answer: str, status: int
) -> None:
    taken(tools, by="666")
    assert tools.run("bootstrap", stdin=answer, STATE_BUCKET="acme-states").returncode == status
    assert len(tools.asked("buckets update gs://acme-states")) == 1 - status
