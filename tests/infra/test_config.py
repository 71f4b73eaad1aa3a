"""A mistake in what the operator decides is one line that says what to do."""

import pytest

from infra.ops import config
from infra.ops.shell import Stop
from tests.infra.tools import Tools


@pytest.mark.parametrize("name", ["PROJECT", "REGION"])
def test_a_missing_project_or_region_is_asked_for(tools: Tools, name: str) -> None:
    done = tools.run("deploy", DRY_RUN="1", **{name: ""})
    assert done.returncode == 1
    assert done.stderr.startswith(f"{name} is not set: add {name}=<")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "module", ["deploy", "secrets", "smoke", "url", "logs", "console", "destroy", "infra", "rotate"]
)
def test_every_command_asks_for_it_in_one_line(tools: Tools, module: str) -> None:
    done = tools.run(module, PROJECT="")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "PROJECT" in done.stderr


def test_relay_env_may_hold_project_and_region(tools: Tools) -> None:
    tools.relay_env("PROJECT=of-the-file\nREGION=europe-west1\n")
    done = tools.run("deploy", DRY_RUN="1", FUNCTIONS="links", PROJECT="", REGION="")
    assert "--project=of-the-file --region=europe-west1" in done.stdout


def test_the_command_line_wins_over_relay_env(tools: Tools) -> None:
    tools.relay_env("REGION=europe-west1\n")
    assert "--region=us-east1" in tools.run("deploy", DRY_RUN="1", FUNCTIONS="links", REGION="us-east1").stdout


@pytest.mark.parametrize("tool", ["gcloud", "terraform"])
def test_a_missing_tool_is_named_with_where_to_get_it(tools: Tools, tool: str) -> None:
    tools.without(tool)
    done = tools.run("secrets")
    assert done.returncode == 1
    assert done.stderr.startswith(f"{tool} is not installed: see https://")


@pytest.mark.parametrize(
    ("complaint", "advice"),
    [
        (
            "ERROR: You do not currently have an active account selected.\n",
            "no gcloud login: run `gcloud auth login`\n",
        ),
        ("ERROR: Reauthentication failed. cannot prompt.\n", "the gcloud login has expired: run `gcloud auth login`\n"),
        (
            "ERROR: Secret Manager API has not been used in project 1 before\n",
            "a service is not enabled: run `make infra` first\n",
        ),
        ("", "gcloud secrets versions list failed: no reason given\n"),
    ],
)
def test_what_gcloud_complains_of_becomes_what_to_do(tools: Tools, complaint: str, advice: str) -> None:
    tools.answer("secrets versions list", error=complaint, status=1)
    assert tools.run("secrets").stderr == advice


def test_an_unknown_function_is_named(tools: Tools) -> None:
    done = tools.run("deploy", FUNCTIONS="links lynx")
    assert done.stderr.startswith("FUNCTIONS: there is no function lynx; choose from: ")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("SMTP_URL=smtps://u:p@h", "SMTP_URL is a secret: remove it and run `make secrets`"),
        ("REMINDER_DAY=3", "REMINDER_DAY is not a setting of a deployed relay: see .env.example"),
        ("SECONDS_PER_DAY=1", "SECONDS_PER_DAY is not a setting of a deployed relay: see .env.example"),
        ("BRAND_NAME=Acme Legal", "relay.env line 2: NAME=value expected, in quotes if the value has spaces"),
        ('BRAND_NAME="Acme', "relay.env line 2: NAME=value expected, in quotes if the value has spaces"),
        ("BRAND_NAME", "relay.env line 2: NAME=value expected, in quotes if the value has spaces"),
    ],
)
def test_a_line_of_relay_env_that_would_not_work_is_refused(here: Tools, line: str, complaint: str) -> None:
    here.relay_env(f"# ours\n{line}\n")
    with pytest.raises(Stop) as stop:
        config.operator()
    assert complaint in str(stop.value)
    assert "u:p@h" not in str(stop.value)


def test_quotes_exports_comments_and_empty_values_are_read_as_a_shell_reads_them(here: Tools) -> None:
    here.relay_env("\n  # a comment\nexport BRAND_NAME='Acme  Legal'\nEMAIL_REPLY_TO=\nEMAIL_FROM=a\\ b\n")
    assert config.operator() == {"BRAND_NAME": "Acme  Legal", "EMAIL_REPLY_TO": "", "EMAIL_FROM": "a b"}


def test_a_file_from_another_system_is_read_as_one_from_here(here: Tools) -> None:
    text = '\ufeffBRAND_NAME="Söhne & Co, Ltd = us"\r\n# ours\r\nEMAIL_REPLY_TO=a@example.com  \r\n'
    (here.folder / "relay.env").write_bytes(text.encode())
    assert config.operator() == {"BRAND_NAME": "Söhne & Co, Ltd = us", "EMAIL_REPLY_TO": "a@example.com"}


@pytest.mark.parametrize("module", ["deploy", "infra plan", "destroy", "doctor", "why", "probe"])
def test_a_file_that_cannot_be_read_is_named(tools: Tools, module: str) -> None:
    """A misspelt RELAY_ENV would else be a relay without any setting."""
    missing = tools.run(module, RELAY_ENV="tset.env", BACKEND="gcp")
    (tools.folder / "relay.env").write_bytes(b"BRAND_NAME=S\xf6hne\n")
    latin = tools.run(module, BACKEND="gcp")
    for done, why in ((missing, "No such file"), (latin, "it is not written in UTF-8")):
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert ".env cannot be read: " in done.stderr
        assert why in done.stderr
    assert not tools.asked()


def test_a_state_that_cannot_be_read_stops_a_deployment(tools: Tools) -> None:
    tools.answer("output -json", error="\nError: querying Cloud Storage failed\n", status=1)
    done = tools.run("deploy", FUNCTIONS="links")
    assert done.returncode == 1
    assert done.stderr == "terraform -chdir=infra output -json failed: Error: querying Cloud Storage failed\n"
    assert not tools.asked("gcloud functions")


def test_a_shortener_that_is_not_named_is_our_own() -> None:
    assert config.holds("SHORTENER=links", {})
    assert not config.holds("SHORTENER=links", {"SHORTENER": "bitly"})
