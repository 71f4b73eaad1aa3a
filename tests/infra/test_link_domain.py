"""The load balancer of a link domain: only where it is asked for, and in nobody's log."""

import json

import pytest

from infra.ops import infra
from tests.infra.parsed import INFRA, Body, load
from tests.infra.tools import Tools

FILE = INFRA / "optional" / infra.LINK_DOMAIN


def resources() -> dict[str, Body]:
    return {kind: body for block in load(FILE)["resource"] for kind, named in block.items() for body in named.values()}


def test_no_request_is_logged_since_its_path_lets_its_reader_sign() -> None:
    assert resources()["google_compute_backend_service"]["log_config"] == [{"enable": False}]


def test_behind_the_domain_stands_the_function_links_with_tls_1_2_at_least() -> None:
    group = resources()["google_compute_region_network_endpoint_group"]
    assert group["cloud_run"] == [{"service": '${local.services_of["links"]}'}]
    assert resources()["google_compute_ssl_policy"]["min_tls_version"] == "TLS_1_2"


def test_the_records_to_enter_are_an_output() -> None:
    [output] = load(FILE)["output"]
    assert list(output) == ["links_dns"]


@pytest.mark.parametrize(
    ("env", "domains"),
    [
        ("LINKS_DOMAIN=go.example.com\n", ["go.example.com"]),
        (
            """LINKS_DOMAIN=go.example.com\nBRANDS='{"7": {"links_domain": "go.b.example"}, "8": {"name": "C"}}'\n""",
            ["go.example.com", "go.b.example"],
        ),
        ("BRAND_NAME=Acme\n", None),
    ],
)
def test_it_is_part_of_infra_where_a_domain_is_set_and_only_there(
    here: Tools, monkeypatch: pytest.MonkeyPatch, env: str, domains: list[str] | None
) -> None:
    used = here.folder / "infra"
    (used / "optional").mkdir(parents=True)
    (used / "optional" / infra.LINK_DOMAIN).write_text("the optional part")
    (used / infra.LINK_DOMAIN).write_text("left over")
    monkeypatch.setattr(infra, "INFRA", used)
    monkeypatch.setenv("ALERT_EMAILS", "a@example.com")
    here.relay_env(env)
    infra.plan()
    [asked] = here.asked("infra plan")
    assert json.loads(asked.variables.get("TF_VAR_links_domains", "null")) == domains
    assert (used / infra.LINK_DOMAIN).exists() is bool(domains)
