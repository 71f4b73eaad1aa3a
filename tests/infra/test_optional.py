"""The load balancer of a link domain: only where it is asked for, and in nobody's log."""

import threading

import pytest

from infra.ops import infra, terraform
from tests.infra.parsed import INFRA, Body, load
from tests.infra.tools import Tools

FILE = INFRA / "optional" / "link_domain.tf"


def resources() -> dict[str, Body]:
    return {kind: body for block in load(FILE)["resource"] for kind, named in block.items() for body in named.values()}


def test_no_request_is_logged_since_its_path_lets_its_reader_sign() -> None:
    assert resources()["google_compute_backend_service"]["log_config"] == [{"enable": False}]


def test_behind_the_domain_stands_the_function_links_with_tls_1_2_at_least() -> None:
    group = resources()["google_compute_region_network_endpoint_group"]
    assert group["cloud_run"] == [{"service": '${local.services_of["links"]}'}]
    assert resources()["google_compute_ssl_policy"]["min_tls_version"] == "TLS_1_2"


def test_every_resource_names_its_project_since_the_module_has_no_provider() -> None:
    assert {body.get("project") for body in resources().values()} == {"${var.project}"}


def test_the_records_to_enter_are_an_output() -> None:
    [output] = load(FILE)["output"]
    assert list(output) == ["links_dns"]


BRANDS = """LINKS_DOMAIN=go.example.com\nBRANDS='{"7": {"links_domain": "go.b.example"}, "8": {"name": "C"}}'\n"""
ACCOUNT = "BILLING_ACCOUNT=012345-6789AB-CDEF01\nMONTHLY_BUDGET=50\n"


@pytest.mark.parametrize(
    ("env", "present", "told"),
    [
        ("LINKS_DOMAIN=go.example.com\n", {"link_domain.tf"}, {"links_domains": '["go.example.com"]'}),
        (BRANDS, {"link_domain.tf"}, {"links_domains": '["go.example.com", "go.b.example"]'}),
        (ACCOUNT, {"budget.tf"}, {"billing_account": "012345-6789AB-CDEF01", "monthly_budget": "50"}),
        ("BRAND_NAME=Acme\n", set(), {}),
    ],
)
def test_what_is_optional_is_part_of_infra_where_it_is_asked_for_and_only_there(
    here: Tools, monkeypatch: pytest.MonkeyPatch, env: str, present: set[str], told: dict[str, str]
) -> None:
    used = here.folder / "infra"
    (used / "optional").mkdir(parents=True)
    for name in infra.OPTIONAL:
        (used / "optional" / name).write_text("the optional part")
        (used / name).write_text("left over")
    monkeypatch.setattr(infra, "INFRA", used)
    monkeypatch.setenv("ALERT_EMAILS", "a@example.com")
    here.relay_env(env)
    infra.plan()
    [asked] = here.asked("infra plan")
    optional = ("links_domains", "billing_account", "monthly_budget")
    given = {name: asked.variables.get(f"TF_VAR_{name}") for name in optional}
    assert {name: value for name, value in given.items() if value} == told
    assert {path.name for path in used.glob("*.tf")} == present


def test_the_optional_files_are_those_that_are_there_and_none_is_committed_twice() -> None:
    assert set(infra.OPTIONAL) == {path.name for path in (INFRA / "optional").glob("*.tf")}
    ignored = (INFRA.parent / ".gitignore").read_text().split()
    assert {f"infra/{name}" for name in infra.OPTIONAL} <= set(ignored)


def test_a_budget_is_planned_and_made_in_the_name_of_the_project(here: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the provider takes from its environment is in no plan."""
    monkeypatch.setenv("FORCE", "1")
    monkeypatch.setattr(infra, "prepared", lambda: infra.budgets())
    here.relay_env(ACCOUNT)
    infra.apply()
    for verb in ("plan", "apply"):
        [asked] = here.asked(f"infra {verb}")
        assert asked.variables["USER_PROJECT_OVERRIDE"] == "true"
        assert asked.variables["GOOGLE_BILLING_PROJECT"] == "demo-project"


@pytest.mark.parametrize(
    ("file", "role"), [("link_domain", "compute.viewer"), ("budget", "serviceusage.serviceUsageConsumer")]
)
def test_the_workflows_may_compare_what_is_optional(file: str, role: str) -> None:
    """Else every plan of theirs would end in 403 once it is there."""
    path = INFRA / "optional" / f"{file}.tf"
    [granted] = [b["google_project_iam_member"] for b in load(path)["resource"] if "google_project_iam_member" in b]
    [body] = granted.values()
    assert (body["for_each"], body["role"]) == ("${local.github}", f"roles/{role}")


def test_two_environments_in_one_checkout_do_not_take_each_others_files(
    here: Tools, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While one plans with a link domain, the other has none: the first plan would delete its load balancer."""
    monkeypatch.setattr(terraform, "ROOT", here.folder)
    monkeypatch.setenv("ALERT_EMAILS", "a@example.com")
    monkeypatch.setattr(infra, "prepared", dict)
    with infra.alone():
        monkeypatch.setenv("PROJECT", "other-project")
        (other := threading.Thread(target=infra.plan)).start()
        other.join(1)
        assert not here.asked("infra plan")
    other.join(20)
    assert here.asked("infra plan")
    assert "another command is reading infra/" in capsys.readouterr().out
