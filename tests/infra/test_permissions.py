"""docs/permissions.md says what the Terraform code and the table of functions say, and no more than the code needs."""

import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from shared import bootstrap
from shared.domain.dead_letters import dead_topic, kept_by
from shared.domain.errors import RetryLater
from shared.ports import Task
from shared.services.deferral import Arrived
from shared.services.resource_names import ResourceNames
from tests.infra.parsed import INFRA, ROOT, functions, local, resource_kinds, resources

Grant = tuple[str, str, str]  # account, role, "<kind> <name>"
BASIC_ROLES = {"roles/owner", "roles/editor", "roles/viewer", "roles/browser"}
PLURALS = {"queues": "queue", "topics": "topic", "secrets": "secret", "services": "service", "buckets": "bucket"}
PLURALS["subscriptions"] = "subscription"
AGENT = "gcp-sa-pubsub"


# -- what the .tf files and functions.json grant


def secret_id(variable: str) -> str:
    return variable.lower().replace("_", "-")


def dead_lettered() -> set[str]:
    return {push["topic"] for push in local("pushes").values()}


def spread(table: dict[str, list[str]], kind: str) -> set[tuple[str, str]]:
    return {(f"relay-{function}", f"{kind} {name}") for function, names in table.items() for name in names}


def build_bucket(body: dict[str, Any]) -> str:
    found = re.search(r'buckets/([^"]+)"', body["condition"][0]["expression"])
    assert found, "the build account's right on storage must be bound to buckets"
    return f"bucket {found[1]}*"


def readers() -> dict[str, list[str]]:
    return {name: [secret_id(v) for v in row["secrets"]] for name, row in functions().items()}


def kept() -> dict[str, list[str]]:
    return {name: [kept_by(topic) for topic in dead_lettered()] for name in local("dead_letter_readers")}


def buried() -> dict[str, list[str]]:
    return {name: [dead_topic(topic) for topic in topics] for name, topics in local("buriers").items()}


# For each binding of the .tf files: to whom it grants its role, on what. A binding that is missing here fails a test.
BINDINGS: dict[str, Callable[[dict[str, Any]], set[tuple[str, str]]]] = {
    "google_pubsub_topic_iam_member.publisher": lambda _: spread(local("publishers"), "topic"),
    "google_pubsub_topic_iam_member.burier": lambda _: spread(buried(), "topic"),
    "google_pubsub_topic_iam_member.dead_letters": lambda _: {
        (AGENT, f"topic {dead_topic(t)}") for t in dead_lettered()
    },
    "google_pubsub_subscription_iam_member.dead_letters": lambda _: {
        (AGENT, f"subscription {name}") for name in local("pushes")
    },
    "google_pubsub_subscription_iam_member.dead_letter_reader": lambda _: spread(kept(), "subscription"),
    "google_cloud_tasks_queue_iam_member.enqueuer": lambda _: spread(local("task_creators"), "queue"),
    "google_cloud_tasks_queue_iam_member.deleter": lambda _: spread(local("task_deleters"), "queue"),
    "google_service_account_iam_member.task_identity": lambda _: {
        (f"relay-{function}", "account relay-tasks") for function in local("task_creators")
    },
    "google_service_account_iam_member.push_tokens": lambda _: {(AGENT, "account relay-push")},
    "google_secret_manager_secret_iam_member.reader": lambda _: spread(readers(), "secret"),
    "google_kms_crypto_key_iam_member.evidence": lambda _: {("relay-console", "key evidence")},
    "google_artifact_registry_repository_iam_member.build": lambda _: {("relay-build", "repository relay-functions")},
    "google_project_iam_member.measurements": lambda _: {("relay-console", "project")},
    "google_project_iam_member.build_logs": lambda _: {("relay-build", "project")},
    "google_project_iam_member.build_sources": lambda body: {("relay-build", build_bucket(body))},
    "google_storage_bucket_iam_member.build": lambda _: {("relay-build", "bucket PROJECT-relay-sources")},
    "google_cloud_run_service_iam_member.invoker": lambda _: set(),  # what `invocations` adds
}
DATABASE = "google_project_iam_member.database"  # its role differs by function


def bindings() -> Iterator[tuple[str, dict[str, Any]]]:
    for kind in resource_kinds():
        if kind.endswith(("_iam_member", "_iam_binding", "_iam_policy")):
            named = ((f"{kind}.{name}", body) for name, body in resources(kind).items())
            yield from ((address, body) for address, body in named if not address.split(".")[1].startswith("github"))


def callers(row: dict[str, Any]) -> set[str]:
    if row["public"]:
        return {"allUsers"}
    if row["caller"] == "operators":
        return {"operators"}
    return {f"relay-{caller}" for caller in (row["caller"], *(["tasks"] if row["deferred"] else []))}


def invocations() -> set[Grant]:
    return {(who, "roles/run.invoker", f"service {name}") for name, row in functions().items() for who in callers(row)}


def role_of(body: dict[str, Any]) -> str:
    """A role of the relay's own by its id, without the prefix."""
    own = re.fullmatch(r"\$\{google_project_iam_custom_role\.(\w+)\.name\}", body["role"])
    if not own:
        return str(body["role"])
    return str(resources("google_project_iam_custom_role")[own[1]]["role_id"]).rpartition("}")[2]


def granted() -> set[Grant]:
    found = {(f"relay-{name}", role, "database") for name, role in local("database_roles").items()}
    for address, body in bindings():
        if address != DATABASE:
            found |= {(who, role_of(body), what) for who, what in BINDINGS[address](body)}
    return found | invocations()


# -- what the document says


def documented() -> list[Grant]:
    text = (ROOT / "docs/permissions.md").read_text()
    table = text.split("## Who may do what")[1].split("\n## ")[0]
    return [grant for line in table.splitlines() if line.startswith("| `") for grant in grants_of(line)]


def grants_of(line: str) -> list[Grant]:
    account, role, resource, why = [cell.strip() for cell in line.strip("|").split("|")]
    assert why, f"no reason given: {line}"
    kind = PLURALS.get(resource.split()[0], resource.split()[0])
    names = re.findall(r"`([^`]+)`", resource)
    return [(account.strip("`"), role.strip("`"), f"{kind} {name}") for name in names] or [
        (account.strip("`"), role.strip("`"), kind)
    ]


# -- the tests


def test_every_binding_of_the_terraform_code_is_known_here() -> None:
    assert {address for address, _ in bindings()} == {*BINDINGS, DATABASE}


def test_the_document_lists_what_is_granted_and_nothing_else() -> None:
    assert set(documented()) == granted()


def test_the_document_lists_nothing_twice() -> None:
    assert sorted(documented()) == sorted(set(documented()))


def test_no_basic_role_is_granted() -> None:
    assert not {role for _, role, _ in granted()} & BASIC_ROLES


def test_bindings_add_a_member_and_never_replace_those_of_others() -> None:
    assert all(address.split(".")[0].endswith("_iam_member") for address, _ in bindings())


def test_only_receive_links_and_receipts_are_public() -> None:
    assert {what for who, _, what in granted() if who == "allUsers"} == {
        "service receive",
        "service links",
        "service receipts",
    }


def test_the_terraform_code_names_the_public_for_public_functions_only() -> None:
    text = "\n".join(re.sub(r"#.*|description .*", "", path.read_text()) for path in INFRA.glob("*.tf"))
    assert "allAuthenticatedUsers" not in text
    assert re.findall(r".*allUsers.*", text) == [
        '      f.public ? [for member in ["allUsers"] : member if var.public_by_iam]'
    ]


def test_the_only_rights_on_the_whole_project_are_the_builds_log_and_the_consoles_measurements() -> None:
    on_project = {(who, role) for who, role, what in granted() if what == "project"}
    assert on_project == {("relay-build", "roles/logging.logWriter"), ("relay-console", "relayMeasurements")}
    role = resources("google_project_iam_custom_role")["measurements"]
    assert role["permissions"] == ["monitoring.timeSeries.list"]


def test_only_the_console_may_delete_a_document_and_public_functions_may_not_list_any() -> None:
    permissions = {name: local("database_permissions")[role] for name, role in local("database_roles").items()}
    assert [name for name, given in permissions.items() if "datastore.entities.delete" in given] == ["console"]
    public = {name for name, row in functions().items() if row["public"]}
    assert not [name for name in public & permissions.keys() if "datastore.entities.list" in permissions[name]]
    expected = ["datastore.databases.get", "datastore.entities.get", "datastore.entities.update"]
    assert permissions["links"] == expected


def test_a_right_on_documents_holds_for_the_relays_database_only() -> None:
    condition = resources("google_project_iam_member")["database"]["condition"][0]["expression"]
    assert condition.replace("\\", "") == 'resource.name == "projects/${var.project}/databases/${var.database}"'


def test_what_the_functions_read_is_in_no_audit_log() -> None:
    """The name of a link's document is its code."""
    (config,) = resources("google_project_iam_audit_config").values()
    exempted = config["dynamic"][0]["audit_log_config"]["content"][0]["exempted_members"]
    assert exempted.startswith("${concat([for account in google_service_account.relay : account.member], ")


@pytest.mark.parametrize(
    ("caller", "services"),
    [
        ("relay-push", {"resolve", "deliver", "forward"}),
        ("relay-tasks", {"remind", "resolve", "deliver", "forward"}),
        ("relay-scheduler", {"reconcile"}),
        ("operators", {"console"}),
    ],
)
def test_each_identity_may_call_its_own_functions_only(caller: str, services: set[str]) -> None:
    assert {what.removeprefix("service ") for who, _, what in invocations() if who == caller} == services


def test_only_functions_that_park_or_plan_may_act_as_the_tasks_identity() -> None:
    acting = {who for who, role, _ in granted() if role == "roles/iam.serviceAccountUser"}
    assert acting == {who for who, role, _ in granted() if role == "roles/cloudtasks.enqueuer"}


# -- least privilege: what a function is wired to


class Asked:
    """A backend that notes what is asked of it."""

    def __init__(self) -> None:
        self.ports: set[str] = set()

    def __getattr__(self, port: str) -> Callable[..., object]:
        def ask(*_: object) -> object:
            self.ports.add(port)
            return object()

        return ask


URLS = ("REMIND", "RESOLVE", "DELIVER", "FORWARD", "STATUS_WEBHOOK")


@pytest.fixture
def ports(compose: Any) -> Callable[[str], set[str]]:
    """The ports that a function is wired to, in the cloud."""
    environ = {
        "GOOGLE_CLOUD_PROJECT": "p",
        "LOCATION": "l",
        "CLICKWRAP_WEBHOOK_TOKENS": "a-secret-of-thirty-two-characters",
        "CLICKWRAP_API_TOKEN": "token",
        "LINKS_BASE_URL": "https://l.example",
        "ADDRESS_SECRET": "secret" * 6,
        "LINKS_SECRET": "a-secret-of-thirty-two-characters",
        "STATUS_WEBHOOK_SECRETS": "whsec_" + "a" * 32,
        **{f"{name}_URL": f"https://{name.lower()}.example" for name in URLS},
    }

    def wired(function: str) -> set[str]:
        asked = Asked()
        compose(environ, _local=asked)
        getattr(bootstrap, function)()
        if functions()[function]["deferred"]:
            bootstrap.deferral(function)
        return asked.ports

    return wired


NEEDS = {
    "roles/pubsub.publisher": "bus",
    "relayUpdater": "ledger",
    "relayWriter": "ledger",
    "relaySearcher": "ledger",
    "relayEraser": "ledger",
    "relayMeasurements": "flows",
    "roles/cloudtasks.enqueuer": "scheduler",
    "roles/cloudtasks.taskDeleter": "scheduler",
}


@pytest.mark.parametrize("function", sorted(functions().keys() - {"console"}))
def test_a_function_has_a_role_only_for_what_it_is_wired_to(ports: Callable[[str], set[str]], function: str) -> None:
    roles = {role for who, role, _ in granted() if who == f"relay-{function}"}
    rightful = {NEEDS[role] for role in roles & NEEDS.keys()}
    unused = {"scheduler"} if function == "remind" else set()  # the echo holds one; remind only publishes through it
    assert rightful == ports(function) - unused


@pytest.mark.parametrize(
    ("function", "channels"), [("resolve", [""]), ("deliver", ["sms", "email"]), ("forward", [""])]
)
def test_what_is_deferred_waits_in_a_queue_of_its_own(
    compose: Any, monkeypatch: pytest.MonkeyPatch, function: str, channels: list[str]
) -> None:
    """A customer's endpoint that hangs must not hold up the webhooks' events, nor the API's outage the changes."""
    tasks: list[Task] = []
    scheduler = SimpleNamespace(create=tasks.extend)
    compose(
        {"GOOGLE_CLOUD_PROJECT": "p", "LOCATION": "l", **{f"{name}_URL": "https://f.example" for name in URLS}},
        _local=SimpleNamespace(scheduler=lambda: scheduler, bus=lambda: None),
    )
    for channel in channels:
        bootstrap.deferral(function).defer(Arrived(b"{}", {"channel": channel}), RetryLater("down", after=900))
    granted = local("task_creators")
    assert {task.queue for task in tasks} <= set(granted[function])
    others = {queue for other, queues in granted.items() if other != function for queue in queues}
    assert not {task.queue for task in tasks} & others


def test_topics_and_queues_in_the_grants_exist() -> None:
    names = ResourceNames()
    topics = {names.events_topic, names.notices_topic, names.status_topic}
    assert {topic for granted in local("publishers").values() for topic in granted} == topics
    queues = {queue for table in ("task_creators", "task_deleters") for many in local(table).values() for queue in many}
    assert queues == set(names.queues())
