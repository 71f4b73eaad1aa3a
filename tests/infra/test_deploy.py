"""What `make deploy` tells gcloud, whatever answers."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.ops import bundle, deploy, doctor, infra, smoke, terraform
from infra.ops.function_table import Function, functions, written
from infra.ops.shell import Stop
from tests.infra.tools import Tools, around

WRITTEN = {f.name: f for f in written()}
STATUS = "STATUS_WEBHOOK_URL=https://acme.example/status\n"
RELAY = f"""{STATUS}\
# Acme's relay
SMS_PROVIDER=twilio
EMAIL_PROVIDER=postmark
EMAIL_FROM="Acme Legal <signing@example.com>"
TWILIO_ACCOUNT_SID=AC1
TWILIO_FROM=+15005550006
OPERATORS="group:ops@example.com user:ann@example.com"
"""
OTHERWISE = f"""{STATUS}\
PUBLIC_BY_IAM=false
OIDC_AUDIENCE=https://relay.example.com
MIN_INSTANCES=0
PRIVATE_INGRESS=internal-only
"""


@pytest.fixture(autouse=True)
def with_secrets(tools: Tools) -> None:
    tools.with_secrets()


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tools]:
    """One deployment that many look at."""
    yield from deployment(tmp_path_factory.mktemp("deployed"), RELAY)


@pytest.fixture(scope="module")
def otherwise(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tools]:
    """Another, in which each thing that an operator may decide is decided otherwise."""
    folder = tmp_path_factory.mktemp("otherwise")
    yield from deployment(folder, OTHERWISE, {"vpc_connector": {"value": "relay"}})


def deployment(folder: Path, relay_env: str, outputs: object = None) -> Iterator[Tools]:
    tools = Tools(folder / "tools")
    with pytest.MonkeyPatch.context() as patch:
        around(tools, folder / "dist", patch)
        tools.relay_env(relay_env)
        tools.answer("output -json", json.dumps(outputs or {}))
        tools.with_secrets()
        assert deploy.deploy() == 0
        yield tools


def flags(tools: Tools, function: str) -> dict[str, str]:
    (asked,) = tools.asked(f"functions deploy {function} ")
    pairs = (word.partition("=") for word in asked.command if word.startswith("--"))
    return {name: value for name, _, value in pairs}


def variables(tools: Tools, function: str) -> dict[str, str]:
    return json.loads(Path(flags(tools, function)["--env-vars-file"]).read_text())


@pytest.mark.parametrize("function", WRITTEN.values(), ids=list(WRITTEN))
def test_each_function_gets_what_the_table_says(deployed: Tools, function: Function) -> None:
    told = flags(deployed, function.name)
    assert {"--gen2", "--trigger-http"} <= set(told)
    assert told["--runtime"] == "python313"
    assert told["--entry-point"] == function.name
    assert (told["--memory"], told["--cpu"], told["--timeout"]) == (
        function.memory,
        str(function.cpu),
        f"{function.timeout}s",
    )
    assert (told["--min-instances"], told["--max-instances"]) == (
        str(function.min_instances),
        str(function.max_instances),
    )
    assert told["--ingress-settings"] == function.ingress
    assert told["--concurrency"] == str(function.concurrency) == variables(deployed, function.name)["THREADS"]


@pytest.mark.parametrize("name", WRITTEN)
def test_each_runs_as_itself_and_is_built_by_an_account_that_only_builds(deployed: Tools, name: str) -> None:
    told = flags(deployed, name)
    assert told["--service-account"] == f"relay-{name}@demo-project.iam.gserviceaccount.com"
    assert told["--build-service-account"].endswith("/relay-build@demo-project.iam.gserviceaccount.com")
    assert told["--docker-repository"].endswith("/repositories/relay-functions")


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_uploaded_is_the_bundle_and_its_hash_is_a_label(deployed: Tools, name: str) -> None:
    told = flags(deployed, name)
    folder = Path(told["--source"]).resolve()
    assert {p.name for p in folder.iterdir()} >= {"main.py", "shared", "requirements.txt"}
    assert told["--update-labels"] == f"app=clickwrap-relay,bundle={folder.name.removeprefix(name + '-')}"


@pytest.mark.parametrize("function", WRITTEN.values(), ids=list(WRITTEN))
def test_only_the_public_three_may_be_called_without_an_identity(deployed: Tools, function: Function) -> None:
    told = set(flags(deployed, function.name))
    assert ("--allow-unauthenticated" in told) == function.public
    assert ("--no-allow-unauthenticated" in told) == (not function.public)


def test_each_private_function_may_be_called_by_its_caller_alone(deployed: Tools) -> None:
    bound: dict[str, set[str]] = {}
    for asked in deployed.asked("run services add-iam-policy-binding"):
        assert "--role=roles/run.invoker" in asked.command
        (member,) = (w.removeprefix("--member=") for w in asked.command if w.startswith("--member="))
        bound.setdefault(asked.command[4], set()).add(member)

    def accounts(*names: str) -> set[str]:
        return {f"serviceAccount:relay-{name}@demo-project.iam.gserviceaccount.com" for name in names}

    expected = {
        "forward": accounts("push", "tasks"),
        "resolve": accounts("push", "tasks"),
        "deliver": accounts("push", "tasks"),
        "remind": accounts("tasks"),
        "reconcile": accounts("scheduler"),
        "console": {"group:ops@example.com", "user:ann@example.com"},
    }
    assert bound == {name: members for name, members in expected.items() if name in WRITTEN}
    for function in (f for f in WRITTEN.values() if f.called_by_google):
        named = variables(deployed, function.name)["CALLERS"].split(",")
        assert {f"serviceAccount:{account}" for account in named} == bound[function.name]


def test_a_binding_comes_after_the_deployment_that_makes_its_service(deployed: Tools) -> None:
    lines = [asked.line() for asked in deployed.asked()]
    made = next(i for i, line in enumerate(lines) if "functions deploy remind " in line)
    assert made < next(i for i, line in enumerate(lines) if "add-iam-policy-binding remind" in line)


def test_secrets_are_those_of_the_chosen_providers_and_none_is_a_plain_variable(deployed: Tools) -> None:
    assert flags(deployed, "deliver")["--set-secrets"].split(",") == [
        "CLICKWRAP_API_TOKEN=clickwrap-api-token:latest",
        "ADDRESS_SECRET=address-secret:latest",
        "LINKS_SECRET=links-secret:latest",
        "TWILIO_AUTH_TOKEN=twilio-auth-token:latest",
        "POSTMARK_SERVER_TOKEN=postmark-server-token:latest",
    ]
    assert "--clear-secrets" in flags(deployed, "links")
    for name in WRITTEN:
        assert not set(variables(deployed, name)) & set(functions()[name].secrets)


def test_the_variables_are_terraforms_over_them_relay_env_over_them_the_tables(
    here: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUNCTIONS", "resolve links")
    said = {
        "GOOGLE_CLOUD_PROJECT": "demo-project",
        "LOCATION": "us-central1",
        "BRAND_NAME": "of Terraform",
        "LINKS_BASE_URL": "https://l.example.com",
    }
    here.answer("output -json", json.dumps({"environment": {"value": said}}))
    here.relay_env('BRAND_NAME="Acme & Söhne"\nAPI_RATE_PER_MINUTE=800\n')
    assert deploy.deploy() == 0
    found = variables(here, "resolve")
    assert (found["BRAND_NAME"], found["LINKS_BASE_URL"]) == ("Acme & Söhne", "https://l.example.com")
    assert found["BACKEND"] == "gcp"
    assert found["API_RATE_PER_MINUTE"] == str(
        int(800 * functions()["resolve"].api_share / functions()["resolve"].max_instances)
    )
    assert found["DELIVER_URL"] == "https://us-central1-demo-project.cloudfunctions.net/deliver"
    assert "API_RATE_PER_MINUTE" not in variables(here, "links")


def test_decisions_about_the_deployment_are_no_business_of_the_functions(deployed: Tools) -> None:
    assert not {"OPERATORS", "PROJECT", "REGION", "ALERT_EMAILS"} & set(variables(deployed, "receive"))


def test_a_connector_for_a_fixed_address_is_used(otherwise: Tools) -> None:
    told = flags(otherwise, "deliver")
    assert (told["--vpc-connector"], told["--egress-settings"]) == ("relay", "all")


def test_without_one_an_earlier_connector_goes(deployed: Tools) -> None:
    assert "--clear-vpc-connector" in flags(deployed, "deliver")


def test_where_a_policy_forbids_all_users_the_check_of_the_caller_is_switched_off(otherwise: Tools) -> None:
    assert "allUsers" not in str([asked.line() for asked in otherwise.asked()])
    assert "--no-allow-unauthenticated" in flags(otherwise, "receive")
    unchecked = {asked.command[4] for asked in otherwise.asked("--no-invoker-iam-check")}
    assert unchecked == {f.name for f in WRITTEN.values() if f.public}


def test_an_audience_of_ones_own_is_accepted_by_the_private_functions(otherwise: Tools) -> None:
    accepting = {asked.command[4] for asked in otherwise.asked("--add-custom-audiences=https://relay.example.com")}
    assert accepting == {f.name for f in WRITTEN.values() if not f.public}


def test_one_function_that_fails_does_not_keep_the_others(
    here: Tools, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUNCTIONS", "links remind")
    here.answer("functions deploy links", error="noise\nERROR: (gcloud.functions.deploy) quota exceeded\n", status=1)
    assert deploy.deploy() == 1
    said = capsys.readouterr().out
    assert "gcloud functions deploy links failed: ERROR: (gcloud.functions.deploy) quota exceeded" in said
    assert said.endswith("Not everything was deployed: run the same command again\n")
    assert here.asked("add-iam-policy-binding remind")
    assert not here.asked("add-iam-policy-binding links")


def test_what_posts_changes_of_status_is_part_of_a_relay_that_has_an_endpoint_for_them(
    here: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALERT_EMAILS", "ops@example.com")
    monkeypatch.setattr(smoke, "report", lambda checks: len([name for name, _ in checks if name == "forward"]))
    for env, count in (("", 0), (STATUS, 1)):
        here.relay_env(env)
        assert [f.what for f in doctor.deployed()].count("function forward") == count
        assert terraform.needed_secrets().count("STATUS_WEBHOOK_SECRETS") == count
        assert infra.tf_variables().get("TF_VAR_status_webhook_url", "") == STATUS.partition("=")[2].strip() * count
        assert smoke.smoke() == count
    here.relay_env("")
    monkeypatch.setenv("FUNCTIONS", "forward")
    with pytest.raises(Stop, match="there is no function forward"):
        deploy.deploy()


def test_a_wrong_setting_is_found_before_anything_is_uploaded(tools: Tools) -> None:
    tools.relay_env("REMINDER_DAYS=7,3\n")
    done = tools.run("deploy", FUNCTIONS="resolve")
    assert done.returncode == 1
    assert re.search(r"^resolve: cannot start: REMINDER_DAYS '7,3' must be rising whole days", done.stderr)
    assert not tools.asked("gcloud functions")


def test_settings_that_google_would_not_take_are_found_before_the_upload(tools: Tools) -> None:
    tools.relay_env(f"BRAND_NAME={'ö' * 17_000}\n")
    done = tools.run("deploy", FUNCTIONS="links")
    assert re.search(r"^links: its settings have 3\d,\d+ bytes, Google takes 32,768: shorten BRAND_NAME$", done.stderr)
    assert not tools.asked("functions deploy")


def test_a_missing_provider_setting_is_named(tools: Tools) -> None:
    tools.relay_env("SMS_PROVIDER=twilio\nTWILIO_FROM=+15005550006\n")
    assert tools.run("deploy", FUNCTIONS="deliver").stderr == "deliver: cannot start: TWILIO_ACCOUNT_SID is not set\n"


@pytest.mark.parametrize("newest", ["", "disabled\n", "DESTROYED\n"])
def test_a_secret_that_cannot_be_read_is_found_before_the_first_build(tools: Tools, newest: str) -> None:
    tools.answer("versions list clickwrap-api-token", out=newest)
    done = tools.run("deploy", FUNCTIONS="resolve receive")
    assert done.stderr == "CLICKWRAP_API_TOKEN: no value, or the newest is disabled. Run `make secrets`\n"
    (asked,) = tools.asked("versions list clickwrap-api-token")
    assert {"--sort-by=~createTime", "--limit=1", "--format=value(state)"} <= set(asked.command)
    assert not tools.asked("functions deploy")


@pytest.mark.parametrize(
    ("line", "applied"),
    [
        ("SMS_PROVIDER=twilio", {"SMS_PROVIDER": "none"}),
        ("SHORTENER=bitly", {"SHORTENER": "links"}),
        ("STATUS_WEBHOOK_URL=https://acme.example/status", {"STATUS_WEBHOOK_URL": ""}),
        ("OIDC_AUDIENCE=https://relay.example.com", {"OIDC_AUDIENCE": ""}),
    ],
)
def test_what_the_infrastructure_does_not_follow_yet_is_found_before_the_first_build(
    tools: Tools, line: str, applied: dict[str, str]
) -> None:
    """It would end in a secret that may not be read, after minutes, or in an account that is not there."""
    accounts = {name: f"{name}@demo" for name in WRITTEN if name != "forward"}
    outputs = {"environment": applied, "service_accounts": accounts, "invokers": {name: [] for name in accounts}}
    tools.answer("output -json", json.dumps({name: {"value": value} for name, value in outputs.items()}))
    tools.relay_env(f"{line}\n")
    done = tools.run("deploy")
    (name,) = applied
    assert done.stderr.startswith(f"{name}: relay.env says otherwise than the infrastructure. Run `make infra` first")
    assert not tools.asked("functions deploy")
    assert tools.run("deploy", DRY_RUN="1").returncode == 0, "a pull request shows it"


def test_a_former_provider_whose_secret_may_not_be_read_yet_is_found_too(tools: Tools) -> None:
    tools.answer("output -json", json.dumps({"secrets": {"value": {"receipts": {"ADDRESS_SECRET": "address-secret"}}}}))
    tools.relay_env("FORMER_PROVIDERS=postmark\n")
    done = tools.run("deploy", FUNCTIONS="receipts")
    assert done.stderr == "receipts may not read POSTMARK_WEBHOOK_TOKEN yet: run `make infra` first\n"
    assert not tools.asked("functions deploy")


def test_two_projects_deployed_at_once_have_a_file_of_settings_each(here: Tools) -> None:
    here.relay_env(f"{STATUS}BRAND_NAME=Acme\n")
    first = deploy.plan_for(WRITTEN["deliver"], terraform.outputs())
    here.relay_env(f"{STATUS}BRAND_NAME=Other\n")
    second = deploy.plan_for(WRITTEN["deliver"], terraform.outputs())
    assert [json.loads(plan.env_file.read_text())["BRAND_NAME"] for plan in (first, second)] == ["Acme", "Other"]
    assert first.source == second.source


def test_the_new_revisions_answer_also_after_a_rollback(deployed: Tools) -> None:
    assert all("--serve-all-traffic-latest-revision" in asked.command for asked in deployed.asked("functions deploy"))


def test_compiled_code_is_bound_to_its_source_and_not_to_times(deployed: Tools) -> None:
    assert flags(deployed, "links")["--set-build-env-vars"] == "SOURCE_DATE_EPOCH=1"


def test_only_functions_that_call_out_take_the_connector(otherwise: Tools) -> None:
    taking = {name for name in WRITTEN if "--vpc-connector" in flags(otherwise, name)}
    assert taking == {"resolve", "deliver", "reconcile", "forward"}


def test_a_test_project_may_have_no_idle_instance(otherwise: Tools) -> None:
    assert {flags(otherwise, name)["--min-instances"] for name in WRITTEN} == {"0"}


def test_what_only_google_calls_may_be_closed_to_the_internet(otherwise: Tools) -> None:
    closed = {name for name in WRITTEN if flags(otherwise, name)["--ingress-settings"] == "internal-only"}
    assert closed == {"resolve", "deliver", "remind", "reconcile", "forward"}


def test_a_dry_run_prints_the_commands_and_runs_none(tools: Tools) -> None:
    done = tools.run("deploy", DRY_RUN="1", FUNCTIONS="receive remind")
    assert done.returncode == 0
    lines = [line for line in done.stdout.splitlines() if not line.startswith("#")]
    assert [line.split()[:4] for line in lines] == [
        ["gcloud", "functions", "deploy", "receive"],
        ["gcloud", "functions", "deploy", "remind"],
        ["gcloud", "run", "services", "add-iam-policy-binding"],
    ]
    assert not tools.asked("gcloud")


def test_a_dry_run_names_the_bundle_that_a_real_one_would_upload(tools: Tools, tmp_path: Path) -> None:
    done = tools.run("deploy", DRY_RUN="1", FUNCTIONS="links")
    made = bundle.build(WRITTEN["links"], tmp_path)
    assert f"--source=dist/{made.folder.name} " in done.stdout


def test_a_dry_run_needs_no_tool_at_all(tools: Tools) -> None:
    tools.without("terraform")
    tools.without("gcloud")
    assert tools.run("deploy", DRY_RUN="1", FUNCTIONS="links").returncode == 0
