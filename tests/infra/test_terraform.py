"""Code, local stack and Terraform agree on names and on what must hold; the alerts have entries in the runbook."""

import ast
import os
import re
import shutil
import subprocess
import types
import typing
from typing import Any

import msgspec
import pytest

from bench.rehearsal import relay
from infra.ops.deploy import KEEP_BYTECODE
from infra.ops.lock import RUNTIME
from local.emulation.embedded_tasks import CALL_TIMEOUT
from local.emulation.topology import Queue, Subscription
from local.stack.backends import pushes
from shared import bootstrap
from shared.adapters.collections import CHANGED, COLLECTIONS, NARROWED
from shared.adapters.gcp.tasks import DISPATCH_DEADLINE
from shared.domain.dead_letters import dead_topic, kept_by
from shared.domain.model import NoticeRecord, Request
from shared.handlers import links
from shared.services.claims import LEASE
from shared.services.resource_names import ResourceNames
from shared.settings import Settings
from shared.text.pages import MARK
from tests.infra.parsed import INFRA, ROOT, Body, blocks, functions, load, local, resource_kinds, resources

NAMES = ResourceNames()
CODE = sorted((ROOT / "shared").rglob("*.py"))


# -- topics and subscriptions


def test_the_topics_are_those_of_the_code() -> None:
    assert sorted(local("topics")) == sorted([NAMES.events_topic, NAMES.notices_topic, NAMES.status_topic])


def test_topics_keep_nothing() -> None:
    assert all("message_retention_duration" not in body for body in resources("google_pubsub_topic").values())


def test_the_push_subscriptions_are_those_of_the_local_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        bootstrap, "settings", lambda: Settings({"BACKEND": "embedded", "STATUS_WEBHOOK_URL": "https://acme.example"})
    )
    ours = {s.name: s for s in pushes("")}
    assert local("pushes").keys() == ours.keys()
    for name, push in local("pushes").items():
        s = ours[name]
        assert (push["topic"], f"/{push['function']}{push['path']}") == (s.topic, s.endpoint)
        assert push["filter"] == ('attributes.{} = "{}"'.format(*s.attribute) if s.attribute else "")


def test_every_push_has_identity_backoff_and_dead_letter() -> None:
    (push,) = [body for body in resources("google_pubsub_subscription").values() if "push_config" in body]
    assert push["push_config"][0]["oidc_token"][0]["audience"] == "${local.audiences[each.value.function]}"
    assert push["retry_policy"] == [{"minimum_backoff": "10s", "maximum_backoff": "600s"}]
    assert push["dead_letter_policy"][0]["max_delivery_attempts"] == "${var.max_delivery_attempts}"
    assert push["dead_letter_policy"][0]["dead_letter_topic"] == "${google_pubsub_topic.dead[each.value.topic].id}"
    assert push["filter"] == "${each.value.filter}"


def test_no_subscription_expires_or_keeps_what_was_acknowledged() -> None:
    for body in resources("google_pubsub_subscription").values():
        assert body["expiration_policy"] == [{"ttl": ""}]
        assert body["retain_acked_messages"] is False


def test_changes_of_status_wait_a_week_for_a_reader_of_the_customers_own() -> None:
    pull = resources("google_pubsub_subscription")["status"]
    assert pull["topic"] == f'${{google_pubsub_topic.relay["{NAMES.status_topic}"].id}}'
    assert pull["message_retention_duration"] == f"{7 * 86_400}s"
    assert "push_config" not in pull


def test_dead_letters_are_kept_under_the_names_of_the_code() -> None:
    dead, kept = resources("google_pubsub_topic")["dead"], resources("google_pubsub_subscription")["kept"]
    topic = "${google_pubsub_topic.relay[each.key].name}"
    assert dead["name"] == dead_topic(topic)
    assert kept["name"].replace("${google_pubsub_topic.dead[each.key].name}", dead["name"]) == kept_by(topic)
    assert "push_config" not in kept


def test_a_function_ends_before_its_message_is_pushed_again_and_that_is_before_the_lease_ends() -> None:
    """A cold start counts for the ack deadline and the task's, not for the function's time-out."""
    (push,) = [body for body in resources("google_pubsub_subscription").values() if "push_config" in body]
    ack = push["ack_deadline_seconds"]
    assert ack == Subscription(name="", topic="", endpoint="", dead_letter_topic="").ack_deadline
    for name in ("resolve", "deliver", "remind"):
        timeout = functions()[name]["timeout"]
        assert timeout + 20 <= min(ack, DISPATCH_DEADLINE.total_seconds(), CALL_TIMEOUT)
    assert ack < LEASE


# -- queues and the clock


def test_the_queues_are_those_of_the_code_and_retry_for_ever() -> None:
    assert set(local("queues")) == set(NAMES.queues())
    (queue,) = resources("google_cloud_tasks_queue").values()
    ours, retry = Queue(name=""), queue["retry_config"][0]
    assert (retry["max_attempts"], retry["max_retry_duration"]) == (-1, "0s")
    assert (retry["min_backoff"], retry["max_backoff"]) == (f"{ours.min_backoff:.0f}s", f"{ours.max_backoff:.0f}s")


def test_the_rehearsal_has_the_rates_and_backoffs_of_the_infrastructure() -> None:
    """The others of its limits it reads from functions.json."""
    rates = dict.fromkeys(NAMES.queues(), relay.RETRIES) | relay.QUEUES
    assert {name: queue["rate"] for name, queue in local("queues").items()} == rates
    (push,) = [body for body in resources("google_pubsub_subscription").values() if "push_config" in body]
    shortest, longest = f"{relay.MIN_BACKOFF:.0f}s", f"{relay.MAX_BACKOFF:.0f}s"
    assert push["retry_policy"] == [{"minimum_backoff": shortest, "maximum_backoff": longest}]
    assert blocks("variable")["max_delivery_attempts"]["default"] == relay.MAX_DELIVERIES


def test_reconcile_is_called_every_minute_with_an_identity() -> None:
    job = resources("google_cloud_scheduler_job")["reconcile"]
    assert job["schedule"] == "* * * * *"
    assert job["http_target"][0]["uri"] == '${local.urls["reconcile"]}'
    assert 'relay["scheduler"]' in job["http_target"][0]["oidc_token"][0]["service_account_email"]


# -- the database


def test_documents_expire_wherever_the_model_says_so() -> None:
    expiring = {name for kind, name in COLLECTIONS.items() if "purge_at" in kind.__struct_fields__}
    assert set(local("expiring")) == expiring
    ttl = resources("google_firestore_field")["expiring"]
    assert ttl["field"] == "purge_at"
    assert ttl["ttl_config"] == [{}]


def grows(hint: Any) -> bool:
    """A map, or a list of structures: as large as the customer makes it."""
    inside = typing.get_args(hint)
    structures = any(isinstance(kind, type) and issubclass(kind, msgspec.Struct) for kind in inside)
    return typing.get_origin(hint) is dict or (typing.get_origin(hint) in (tuple, types.UnionType) and structures)


def test_maps_and_lists_that_grow_have_no_index() -> None:
    growing = {
        (COLLECTIONS[kind], field)
        for kind in (Request, NoticeRecord)
        for field, hint in typing.get_type_hints(kind).items()
        if grows(hint)
    }
    growing |= {(COLLECTIONS[NoticeRecord], "told")}  # the other lists of words are short, or searched
    assert {(f["collection"], f["field"]) for f in local("unindexed").values()} == growing
    assert resources("google_firestore_field")["unindexed"]["index_config"] == [{}]


def test_every_list_of_the_code_that_is_narrowed_has_its_index() -> None:
    wanted = {
        (COLLECTIONS[kind], field, "CONTAINS" if field == "search" else "ASCENDING", CHANGED[kind], "DESCENDING")
        for kind, fields in NARROWED.items()
        for field in fields
    }
    assert {index_of(body) for body in resources("google_firestore_index").values()} == wanted


def index_of(body: Body) -> tuple[str, ...]:
    ways = [(f["field_path"], f.get("order") or f["array_config"]) for f in body["fields"]]
    return (body["collection"], *(part for way in ways for part in way))


def test_the_database_can_be_taken_back_and_is_protected() -> None:
    (database,) = resources("google_firestore_database").values()
    assert database["point_in_time_recovery_enablement"] == "POINT_IN_TIME_RECOVERY_ENABLED"
    assert database["type"] == "FIRESTORE_NATIVE"
    assert blocks("variable")["deletion_protection"]["default"] is True


# -- settings and secrets


def test_no_value_of_a_secret_passes_through_terraform() -> None:
    assert "google_secret_manager_secret_version" not in resource_kinds()


def test_what_terraform_tells_the_functions_are_settings_they_know() -> None:
    known = set(re.findall(r"^#?([A-Z][A-Z0-9_]*)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert set(local("environment")) <= known


# -- monitoring


def policies() -> list[str]:
    named = [body["display_name"] for name, body in resources("google_monitoring_alert_policy").items()]
    own = (name.removeprefix("Relay: ").partition(", ${")[0] for name in named)
    return [*local("alerts"), *local("objectives"), *(name for name in own if "${" not in name)]


def runbook() -> dict[str, str]:
    entries = (ROOT / "docs/runbook.md").read_text().split("\n## ")[1:]
    return {entry.split("\n", 1)[0].strip(): entry for entry in entries}


def test_every_alert_has_an_entry_in_the_runbook_and_every_entry_an_alert() -> None:
    assert sorted(policies()) == sorted(runbook())


def test_the_alerts_that_were_asked_for_are_there() -> None:
    asked = "dead letters, oldest message, API credentials, provider failures, overdue reminders, webhooks refused"
    assert {*asked.split(", "), "no webhook seen"} <= set(policies())


def test_every_entry_says_what_it_means_what_to_look_at_and_what_to_do() -> None:
    for name, entry in runbook().items():
        assert all(f"**{part}.**" in entry for part in ("Means", "Look at", "Do")), name


def test_every_alert_tells_somebody_and_names_its_entry() -> None:
    for body in resources("google_monitoring_alert_policy").values():
        assert body["notification_channels"] == "${local.told}"
        assert "docs/runbook.md" in body["documentation"][0]["content"]


def logged_fields() -> set[str]:
    """Keys of the dictionaries that are logged as JSON, `extra={"json": {...}}`, also where one has a name first."""
    trees = (ast.parse(path.read_text()) for path in CODE)
    defined = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return {key for function in defined for key in fields_logged_in(function)}


def fields_logged_in(function: ast.FunctionDef) -> set[str]:
    nodes = list(ast.walk(function))
    named = {ast.unparse(n.targets[0]): n.value for n in nodes if isinstance(n, ast.Assign)}
    extras = [
        n.value for n in nodes if isinstance(n, ast.keyword) and n.arg == "extra" and isinstance(n.value, ast.Dict)
    ]
    logged = [named.get(ast.unparse(extra.values[0]), extra.values[0]) for extra in extras]
    return {key for dictionary in logged if isinstance(dictionary, ast.Dict) for key in keys_of(dictionary)}


def keys_of(dictionary: ast.Dict) -> set[str]:
    return {str(key.value) for key in dictionary.keys if isinstance(key, ast.Constant)}


def test_log_based_metrics_count_fields_that_the_code_logs() -> None:
    read = str([local("counted"), local("measured")])
    fields = {field for metric in local("measured").values() for field in (metric["field"],)}
    named = {
        *re.findall(r"jsonPayload\.(\w+)", read),
        *fields,
        *(by for m in local("counted").values() for by in m["by"]),
    }
    assert named <= logged_fields() | {"message", "waited"}


def alerts_in_code() -> set[str]:
    code = "\n".join(path.read_text() for path in CODE)
    literal = re.findall(r'"alert": "(\w+)"', code)
    of_requests = re.findall(r'"(\w+): (?:a webhook|the API|believed)', code)
    return {*literal, *of_requests}


@pytest.mark.parametrize(
    "alert",
    [
        "api_credentials",
        "api_unavailable",
        "dead_letter",
        "overdue_reminders",
    ],
)
def test_an_alert_that_a_policy_waits_for_is_one_that_the_code_raises(alert: str) -> None:
    assert alert in local("own_alerts")
    assert alert in alerts_in_code()


def test_every_policy_on_logged_alerts_waits_for_one_that_it_names() -> None:
    text = "\n".join(path.read_text().replace("\\", "") for path in INFRA.glob("*.tf"))
    assert set(re.findall(r'metric\.labels\.alert="(\w+)"', text)) <= set(local("own_alerts"))


def test_every_other_alert_of_the_code_is_explained_in_the_runbook() -> None:
    explained = set(re.findall(r"^\| `(\w+)` \|", runbook()["request to look at"], re.MULTILINE)) - {"alert"}
    assert explained == alerts_in_code() - set(local("own_alerts"))


# -- proof of life


def test_the_public_addresses_are_called_from_outside_and_their_answers_are_those_of_the_functions() -> None:
    checks = {
        name: (check["path"].rpartition("/")[2], check["status"]) for name, check in local("public_checks").items()
    }
    assert checks == {"receive": ('${local.services_of["receive"]}', 405), "links": ("uptime-check-relay", 404)}
    says = {name: check["says"] for name, check in local("public_checks").items()}
    assert says["links"] == MARK.format(links.UNKNOWN.reason)
    assert links.CODE.fullmatch("uptime-check-relay"), "it is looked up, so the database is asked too"
    assert f'"{says["receive"]}' in (ROOT / "shared/entrypoint.py").read_text()


def test_a_lost_right_of_the_public_is_told() -> None:
    alert = local("alerts")["public access lost"]
    assert (alert["threshold"], alert["severity"]) == (0, "CRITICAL")
    assert 'response_code=\\"403\\"' in alert["filter"] or 'response_code="403"' in alert["filter"]


def test_copies_of_the_database_are_made_every_day() -> None:
    (schedule,) = resources("google_firestore_backup_schedule").values()
    assert schedule["daily_recurrence"] == [{}]
    assert blocks("variable")["backup_days"]["default"] == 14


def test_nothing_that_is_bound_to_a_service_agent_waits_for_the_services() -> None:
    """A deferred data source would have all those bindings replaced."""
    text = (INFRA / "versions.tf").read_text()
    assert "depends_on" not in text[text.index('data "google_project"') :]


def test_terraform_builds_the_functions_as_make_deploy_does() -> None:
    (build,) = resources("google_cloudfunctions2_function")["relay"]["build_config"]
    assert build["runtime"] == f"python{RUNTIME.replace('.', '')}"
    assert "".join(f"{name}={value}" for name, value in build["environment_variables"].items()) == KEEP_BYTECODE


def test_warm_instances_are_a_setting_of_the_module_as_of_make_deploy() -> None:
    (service,) = resources("google_cloudfunctions2_function")["relay"]["service_config"]
    assert service["min_instance_count"] == "${min(each.value.min_instances, local.warm)}"
    assert local("warm") == '${tonumber(lookup(var.settings, "MIN_INSTANCES", 1))}'
    assert max(f["min_instances"] for f in functions().values()) == 1


def test_infra_can_be_a_module() -> None:
    assert not [
        path.name
        for path in INFRA.glob("*.tf")
        if path.name != "root.tf" and re.search(r"^(provider|  backend) ", path.read_text(), re.M)
    ]
    naming = ("google_project_iam_member", "google_service_account_iam_member", "google_kms_crypto_key")
    naming += ("google_kms_crypto_key_iam_member", "google_storage_bucket_object", "google_storage_bucket_iam_member")
    given = {
        (kind, name)
        for kind in resource_kinds() - set(naming)
        for name, body in resources(kind).items()
        if body.get("project") != "${var.project}"
    }
    assert given == set()


# -- form


def test_variables_are_typed_and_described_and_outputs_described() -> None:
    assert all(body["type"] and body["description"] for body in blocks("variable").values())
    assert all(body["description"] for body in blocks("output").values())


@pytest.mark.parametrize("path", sorted(INFRA.glob("*.tfvars.example")), ids=lambda path: path.name)
def test_an_example_sets_variables_that_exist_and_all_that_are_required(path: Any) -> None:
    given, variables = load(path).keys(), blocks("variable")
    assert given <= variables.keys()
    assert {name for name, body in variables.items() if "default" not in body} <= given


@pytest.mark.skipif(not shutil.which("terraform"), reason="terraform is not installed")
def test_the_files_are_formatted_as_terraform_does_it() -> None:
    environ = {name: value for name, value in os.environ.items() if name != "TF_CLI_CONFIG_FILE"}
    command = ["terraform", "fmt", "-check", "-recursive", str(INFRA)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environ)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_paths_of_links_rest_in_no_log() -> None:
    text = (INFRA / "monitoring.tf").read_text()
    exclusion = text[text.index('resource "google_logging_project_exclusion"') :]
    assert "run.googleapis.com/requests" in exclusion
    assert 'service_name=\\"${var.prefix}links\\"' in exclusion
