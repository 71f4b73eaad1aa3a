"""The commands besides deploy: what they ask, what they change, what they keep to themselves."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import msgspec
import pytest

from infra.ops import destroy, infra, smoke
from infra.ops.function_table import ROOT, written
from infra.ops.report import Finding
from infra.ops.shell import Stop
from infra.ops.smoke import Run
from shared.domain.model import CHECK, Event
from shared.handlers import links
from shared.settings.own_systems import STATUS_WEBHOOK_SECRETS
from tests.infra.parsed import INFRA, blocks, load
from tests.infra.tools import Tools
from tests.stand_in import Reply, StandIn

SECRETS = ["clickwrap-webhook-tokens", "clickwrap-api-token", "links-secret", "smtp-url"]
OF_THE_HOOK = "of-the-hook" * 3  # as long as it has to be


def added(tools: Tools) -> dict[str, str]:
    return {asked.command[4]: asked.text for asked in tools.asked("secrets versions add")}


# -- secrets


def test_each_needed_secret_without_a_value_is_asked_for_and_never_shown(tools: Tools) -> None:
    tools.relay_env("EMAIL_PROVIDER=smtp\nEMAIL_FROM=a@example.com\n")
    for name in ("links-secret", "address-secret"):
        tools.answer(f"list {name}", out="enabled\n")
    done = tools.run("secrets", stdin=f"{OF_THE_HOOK}\nAPI TOKEN\nsmtps://u:p@h\n")
    assert done.returncode == 0, done.stderr
    assert added(tools) == {
        "clickwrap-webhook-tokens": OF_THE_HOOK,
        "clickwrap-api-token": "API TOKEN",
        "smtp-url": "smtps://u:p@h",
    }
    arguments = str([asked.command for asked in tools.asked()])
    for secret in (OF_THE_HOOK, "API TOKEN", "u:p@h"):
        assert secret not in done.stdout + done.stderr + arguments


@pytest.mark.parametrize(
    ("name", "typed", "wanted"),
    [
        ("CLICKWRAP_WEBHOOK_TOKENS", "short", "must have 32 characters or more"),
        ("STATUS_WEBHOOK_SECRETS", "whsec_c2hvcnQ=", "must be"),
    ],
)
def test_a_secret_of_our_own_that_no_function_would_start_with_is_refused(
    tools: Tools, name: str, typed: str, wanted: str
) -> None:
    tools.relay_env("STATUS_WEBHOOK_URL=https://acme.example/status\n")
    tools.with_secrets()
    done = tools.run("secrets", stdin=f"{typed}\n", RENEW=name, FORCE="1")
    assert done.returncode == 1
    assert f"{name} {wanted}" in done.stderr
    assert typed not in done.stderr
    assert not added(tools)


def test_what_nobody_gives_us_is_made_up(tools: Tools) -> None:
    status = "STATUS_WEBHOOK_URL=https://acme.example/status\n"
    tools.relay_env(f"EMAIL_PROVIDER=postmark\nEMAIL_FROM=a@example.com\n{status}")
    for given in ("clickwrap-api-token", "postmark-server-token"):
        tools.answer(f"list {given}", out="enabled\n")
    assert tools.run("secrets", stdin="\n" * 4).returncode == 0
    made = added(tools)
    assert len(made["postmark-webhook-token"]) >= 43
    assert len(made["clickwrap-webhook-tokens"]) >= 43
    assert len(made["links-secret"]) >= 43
    assert len(STATUS_WEBHOOK_SECRETS.parse(made["status-webhook-secrets"])[0]) == 32
    assert made["links-secret"] != made["clickwrap-webhook-tokens"]


def test_a_secret_that_has_a_value_gets_a_new_one_when_asked_to(tools: Tools) -> None:
    tools.answer("secrets versions list", out="enabled\n")
    done = tools.run("secrets", stdin="new-token\n", RENEW="CLICKWRAP_API_TOKEN")
    assert (done.returncode, done.stdout.count("Now run `make deploy`")) == (0, 1)
    assert added(tools) == {"clickwrap-api-token": "new-token"}
    wrong = tools.run("secrets", RENEW="BITLY_TOKEN")
    assert wrong.stderr.startswith("RENEW: BITLY_TOKEN is not one of this relay's secrets: CLICKWRAP_WEBHOOK_TOKENS ")


@pytest.mark.parametrize(("answer", "count"), [("no", 0), ("yes", 1)])
def test_the_webhooks_token_is_not_renewed_unasked_since_its_webhooks_would_be_refused(
    tools: Tools, answer: str, count: int
) -> None:
    tools.with_secrets()
    done = tools.run("secrets", stdin=f"{answer}\n{OF_THE_HOOK}\n", RENEW="CLICKWRAP_WEBHOOK_TOKENS")
    assert (done.returncode, len(added(tools))) == (1 - count, count)
    assert "`make rotate-token`" in done.stdout
    assert OF_THE_HOOK not in done.stdout + done.stderr


def test_a_secret_that_only_others_know_is_not_made_up(tools: Tools) -> None:
    done = tools.run("secrets", stdin="\n\n")
    assert done.stderr == "CLICKWRAP_API_TOKEN has no value yet: run `make secrets` again when you have it\n"


def test_a_second_run_asks_nothing(tools: Tools) -> None:
    tools.answer("secrets versions list", out="enabled\n")
    assert "0 of them a new one" in tools.run("secrets").stdout
    assert not added(tools)


# -- the webhook's token


def test_a_rotation_takes_both_tokens_until_clickwrap_sends_the_new_one(tools: Tools) -> None:
    tools.with_secrets()
    tools.answer("versions access latest", out="old\n")
    done = tools.run("rotate")
    assert done.returncode == 0, done.stderr
    new, _, old = added(tools)["clickwrap-webhook-tokens"].partition(",")
    assert old == "old"
    assert len(new) >= 43
    assert new not in done.stdout
    assert {asked.command[3] for asked in tools.asked("functions deploy")} == {"receive", "reconcile"}
    lines = [asked.line() for asked in tools.asked()]
    assert "versions add" in next(line for line in lines if "versions add" in line or "functions deploy" in line)


def test_its_second_run_refuses_the_old_one_once_the_operator_says_so(tools: Tools) -> None:
    tools.with_secrets()
    tools.answer("versions access latest", out="new,old\n")
    done = tools.run("rotate", stdin="yes\n")
    assert (done.returncode, added(tools)["clickwrap-webhook-tokens"]) == (0, "new")
    assert "The old token is now rejected." in done.stdout


@pytest.mark.parametrize("settings", [{}, {"FORCE": "1"}], ids=["no", "forced"])
def test_a_rotation_interrupted_before_its_deployment_goes_on_and_ends_only_by_a_yes(
    tools: Tools, settings: dict[str, str]
) -> None:
    """There are two tokens then too, but the functions accept the old one alone, and so does Clickwrap send it."""
    tools.with_secrets()
    tools.answer("versions access latest", out="new,old\n")
    done = tools.run("rotate", stdin="no\n", **settings)
    assert done.returncode == 0, done.stderr
    assert not added(tools)
    assert {asked.command[3] for asked in tools.asked("functions deploy")} == {"receive", "reconcile"}
    assert "Both tokens are now accepted. Paste the new one into Clickwrap" in done.stdout


# -- Clickwrap, logs, console


def test_the_url_comes_with_the_events_to_tick_and_without_the_token(tools: Tools) -> None:
    said = tools.run("url").stdout
    assert "https://us-central1-demo-project.cloudfunctions.net/receive" in said
    assert "Request Sent, Request Signed, Request Complete, Request Expired" in said
    assert not tools.asked("versions access")


def test_logs_are_of_the_functions_asked_for(tools: Tools) -> None:
    assert tools.run("logs", FUNCTIONS="receive links", SINCE="2d").returncode == 0
    (asked,) = tools.asked("logging read")
    assert 'service_name=("receive" OR "links")' in asked.line()
    assert "--freshness=2d" in asked.command


@pytest.mark.skipif("console" not in {f.name for f in written()}, reason="there is no console")
def test_the_console_is_reached_with_the_operators_own_identity(tools: Tools) -> None:
    tools.answer("auth print-identity-token", error="You do not currently have an active account selected", status=1)
    said = tools.run("console")
    assert "http://127.0.0.1:8090/" in said.stdout
    assert said.stderr == "no gcloud login: run `gcloud auth login`\n"


# -- Terraform


def test_infra_plans_asks_and_applies_what_was_planned(tools: Tools) -> None:
    tools.relay_env(
        'SMS_PROVIDER=vonage\nOPERATORS="user:a@example.com user:b@example.com"\nALERT_EMAILS=ops@example.com\n'
    )
    assert tools.run("infra", stdin="yes\n").returncode == 0
    steps = {asked.command[2]: asked.variables for asked in tools.asked("terraform -chdir=infra")}
    assert list(steps) == ["init", "state", "plan", "apply"]
    assert steps["plan"] == {
        "TF_VAR_project": "demo-project",
        "TF_VAR_region": "us-central1",
        "TF_VAR_sms_provider": "vonage",
        "TF_VAR_operators": '["user:a@example.com", "user:b@example.com"]',
        "TF_VAR_alert_emails": '["ops@example.com"]',
    }


def test_infra_applies_nothing_without_a_yes(tools: Tools) -> None:
    done = tools.run("infra", stdin="n\n", ALERT_EMAILS="ops@example.com")
    assert done.stderr == "nothing changed: the plan was not applied\n"
    assert not tools.asked("apply")


def test_a_plan_changes_nothing(tools: Tools) -> None:
    assert tools.run("infra plan", ALERT_EMAILS="ops@example.com").returncode == 0
    assert {asked.command[2] for asked in tools.asked("terraform")} == {"init", "state", "plan"}


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Waits between two tries, which take no time."""
    taken: list[float] = []
    monkeypatch.setattr("infra.ops.infra.time.sleep", taken.append)
    return taken


@pytest.mark.parametrize(
    "late",
    [
        'Error 404: Cannot find metric that matches type = "logging.googleapis.com/user/relay_alerts"',
        "Error 400: Service account service-1@gcp-sa-pubsub.iam.gserviceaccount.com does not exist.",
    ],
)
def test_what_google_is_late_with_is_tried_again_but_not_for_ever(
    here: Tools, monkeypatch: pytest.MonkeyPatch, pauses: list[float], late: str
) -> None:
    monkeypatch.setenv("ALERT_EMAILS", "a@example.com")
    monkeypatch.setenv("FORCE", "1")
    here.answer("infra apply", error=f"Error: {late}\n", status=1)
    with pytest.raises(Stop, match="`make infra` again continues where it stopped"):
        infra.apply()
    assert len(here.asked("infra apply")) == len(here.asked("infra plan")) == infra.MAX_TRIES
    assert sum(pauses) >= 600, "a metric may take ten minutes"


def test_any_other_error_stops_at_once(here: Tools, monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> None:
    monkeypatch.setenv("ALERT_EMAILS", "a@example.com")
    monkeypatch.setenv("FORCE", "1")
    here.answer("infra apply", error="Error: 403 forbidden\n", status=1)
    with pytest.raises(Stop):
        infra.apply()
    assert pauses == []


def test_a_plan_that_was_reviewed_is_applied_as_it_is(tools: Tools) -> None:
    plan = tools.folder / "reviewed.tfplan"
    assert tools.run("infra plan", ALERT_EMAILS="a@example.com", PLAN=str(plan)).returncode == 0
    (made,) = tools.asked("infra plan")
    assert f"-out={plan}" in made.command
    assert tools.run("infra", ALERT_EMAILS="a@example.com", PLAN=str(plan)).returncode == 0
    assert len(tools.asked("infra plan")) == 1
    (applied,) = tools.asked("infra apply")
    assert applied.command[-1] == str(plan)


def test_of_a_reviewed_plan_nothing_is_planned_anew(tools: Tools) -> None:
    plan = tools.folder / "reviewed.tfplan"
    tools.answer("infra apply", error="Error: Cannot find metric that matches type\n", status=1)
    done = tools.run("infra", ALERT_EMAILS="a@example.com", PLAN=str(plan))
    assert done.stderr.splitlines()[-1].startswith("Google is not ready for the rest of this plan")
    assert not tools.asked("infra plan")
    assert len(tools.asked("infra apply")) == 1


@pytest.mark.parametrize("verb", ["plan", "apply", "destroy"])
def test_a_lock_that_a_killed_run_left_is_told_with_the_way_out(tools: Tools, verb: str) -> None:
    tools.answer(f"infra {verb}", error="| Error: Error acquiring the state lock\n|   ID: 17\n", status=1)
    done = tools.run("destroy" if verb == "destroy" else "infra", FORCE="1", ALERT_EMAILS="a@example.com")
    shown, advice = done.stderr.splitlines()[-2:]
    assert "ID: 17" in shown
    folder = ROOT / ".local" / "terraform" / "demo-project"
    assert f"`TF_DATA_DIR={folder} terraform -chdir=infra force-unlock ID`" in advice


def test_infra_asks_for_whom_to_alert(tools: Tools) -> None:
    assert tools.run("infra").stderr.startswith("ALERT_EMAILS is not set: add ALERT_EMAILS=<")


def test_terraforms_variables_are_those_that_infra_has() -> None:
    from infra.ops.infra import LISTS, OPTIONAL, TEXTS

    optional = [name for path in OPTIONAL for block in load(INFRA / "optional" / path)["variable"] for name in block]
    assert {name.lower() for name in (*TEXTS, *LISTS, "PROJECT", "REGION")} <= {*blocks("variable"), *optional}


# -- the end


@pytest.fixture
def doomed(here: Tools) -> Tools:
    here.relay_env("ALERT_EMAILS=a@example.com\n")
    return here


def live(all_requests: int, ended: int) -> list[Reply]:
    return [
        Reply(body=[{"result": {"aggregateFields": {"n": {"integerValue": str(n)}}}}]) for n in (all_requests, ended)
    ]


def test_a_relay_with_live_requests_is_not_destroyed(doomed: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    doomed.answer("print-access-token", out="token\n")
    with StandIn(*live(5, 2)) as firestore:
        monkeypatch.setattr(destroy, "FIRESTORE", firestore.url)
        with pytest.raises(Stop, match="3 requests are still live"):
            destroy.destroy()
        assert firestore.asked[0].path == "/v1/projects/demo-project/databases/(default)/documents:runAggregationQuery"
        assert firestore.asked[0].headers["authorization"] == "Bearer token"
        values = firestore.asked[1].json()["structuredAggregationQuery"]["structuredQuery"]["where"]["fieldFilter"][
            "value"
        ]
        assert {v["stringValue"] for v in values["arrayValue"]["values"]} == {"complete", "expired", "gone", "dormant"}
    assert not doomed.asked("delete")


@pytest.mark.parametrize(
    ("status", "left"),
    [(403, ""), (404, "google_firestore_database.relay")],
    ids=["no right", "a database of another name"],
)
def test_a_database_that_cannot_be_asked_is_not_destroyed_either(
    doomed: Tools, monkeypatch: pytest.MonkeyPatch, status: int, left: str
) -> None:
    doomed.answer("state list", out=left)
    with StandIn(Reply(status)) as firestore:
        monkeypatch.setattr(destroy, "FIRESTORE", firestore.url)
        with pytest.raises(Stop, match="cannot be counted"):
            destroy.destroy()
    assert not doomed.asked("delete")


def test_after_an_interruption_a_database_that_is_gone_needs_no_force(
    doomed: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda prompt: "demo-project")
    doomed.answer("state list", out="google_pubsub_topic.relay")
    with StandIn(Reply(404)) as firestore:
        monkeypatch.setattr(destroy, "FIRESTORE", firestore.url)
        destroy.destroy()
    assert doomed.asked("terraform -chdir=infra destroy")


@pytest.mark.parametrize(
    ("settings", "words"), [({"REGION": "europe-west1"}, "is of us-central1, not of europe"), ({}, "ALERT_EMAILS is")]
)
def test_what_would_stop_a_destroy_half_way_stops_it_before_anything_is_deleted(
    tools: Tools, settings: dict[str, str], words: str
) -> None:
    tools.answer("output -json", json.dumps({"environment": {"value": {"LOCATION": "us-central1"}}}))
    done = tools.run("destroy", FORCE="1", **settings)
    assert (done.returncode, words in done.stderr) == (1, True)
    assert not tools.asked("delete")


def test_the_projects_id_must_be_typed(doomed: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda prompt: "demo")
    with StandIn(*live(2, 2)) as firestore:
        monkeypatch.setattr(destroy, "FIRESTORE", firestore.url)
        with pytest.raises(Stop, match="nothing was destroyed"):
            destroy.destroy()
    assert not doomed.asked("delete")


def test_forced_it_deletes_functions_then_lifts_the_protection_then_destroys(tools: Tools) -> None:
    tools.answer("functions delete links", error="ERROR: Resource 'links' was not found\n", status=1)
    kept = ["google_firestore_database.relay", 'google_secret_manager_secret.relay["links-secret"]']
    tools.answer("state list", out="\n".join([*kept, "google_cloud_tasks_queue.relay"]))
    assert tools.run("destroy", FORCE="1", ALERT_EMAILS="a@example.com").returncode == 0
    assert [a.command[3] for a in tools.asked("functions delete")] == [f.name for f in written()]
    apply, gone = tools.asked("-auto-approve")
    assert (apply.command[2], gone.command[2]) == ("apply", "destroy")
    assert [w for w in apply.command if w.startswith("-target=")] == [f"-target={address}" for address in kept]
    assert apply.variables["TF_VAR_deletion_protection"] == "false"


def test_an_interrupted_destroy_goes_on_and_makes_nothing_again(tools: Tools) -> None:
    tools.answer("state list", out="google_pubsub_topic.relay\n")
    assert tools.run("destroy", FORCE="1", ALERT_EMAILS="a@example.com").returncode == 0
    assert [asked.command[2] for asked in tools.asked("-auto-approve")] == ["destroy"]


# -- smoke


def run(patience: int = 3) -> Run:
    """A run whose clock goes a minute a look."""
    minutes = iter(range(0, 60 * 1000, 60))
    return Run("mark", datetime(2026, 1, 1, tzinfo=UTC), lambda: next(minutes), lambda seconds: None)


def test_a_test_event_with_the_token_is_accepted(here: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    here.answer("versions access", out="new,old\n")
    here.answer('service_name="receive"', out="200\n")
    with StandIn(Reply(body={"status": "ignored"})) as receive:
        monkeypatch.setattr(smoke.config, "url", lambda name: f"{receive.url}/{name}")
        (finding,) = smoke.webhook(run())
        (asked,) = receive.asked
    assert finding.advice == ""
    assert (asked.path, asked.headers["pactsafe-webhook-token"]) == ("/receive?smoke=mark", "new")
    assert asked.json()["event_type"] == "test_event"


@pytest.mark.parametrize(("status", "advice"), [(401, "deploy receive again"), (503, "answers 503")])
def test_a_webhook_that_is_not_accepted_is_reported(
    here: Tools, monkeypatch: pytest.MonkeyPatch, status: int, advice: str
) -> None:
    with StandIn(Reply(status)) as receive:
        monkeypatch.setattr(smoke.config, "url", lambda name: receive.url)
        (finding,) = smoke.webhook(run())
    assert advice in finding.advice


def test_the_notice_that_proves_the_push_is_one_that_deliver_leaves_alone(here: Tools) -> None:
    here.answer('service_name="deliver"', out="200\n")
    (finding,) = smoke.push(run())
    assert finding.advice == ""
    (asked,) = here.asked("topics publish signer-notices")
    message = json.loads(next(w for w in asked.command if w.startswith("--message=")).removeprefix("--message="))
    assert "--attribute=channel=sms" in asked.command
    assert message["channel"] == "email"


def test_the_task_carries_the_identity_and_audience_that_resolve_gives_its_own(here: Tools) -> None:
    here.answer('service_name="remind"', out="200\n")
    (finding,) = smoke.task(run())
    assert finding.advice == ""
    (asked,) = here.asked("tasks create-http-task")
    assert "--oidc-service-account-email=relay-tasks@demo-project.iam.gserviceaccount.com" in asked.command
    assert "--oidc-token-audience=https://us-central1-demo-project.cloudfunctions.net/remind" in asked.command


def test_the_event_that_proves_the_other_push_is_one_that_resolve_ignores(here: Tools) -> None:
    here.answer('service_name="resolve"', out="200\n")
    (finding,) = smoke.event(run())
    assert finding.advice == ""
    (asked,) = here.asked("topics publish clickwrap-events")
    sent = json.loads(next(w for w in asked.command if w.startswith("--message=")).removeprefix("--message="))
    assert msgspec.convert(sent, Event).request == CHECK


@pytest.mark.parametrize(("check", "text"), [(smoke.link, smoke.UNKNOWN_LINK), (smoke.receipt, smoke.NO_PROVIDER)])
def test_a_404_of_a_public_function_is_told_from_googles(
    here: Tools, monkeypatch: pytest.MonkeyPatch, check: Callable[[Run], Iterator[Finding]], text: str
) -> None:
    with StandIn(Reply(404, text.encode()), Reply(404, b"Page not found")) as function:
        monkeypatch.setattr(smoke.config, "url", lambda name: function.url)
        assert [finding.advice for finding in check(run())] == [""]
        assert "answers 404 to an unknown" in next(check(run())).advice


def test_the_texts_by_which_they_are_told_apart_are_those_of_the_functions() -> None:
    assert links.UNKNOWN.reason in smoke.UNKNOWN_LINK
    assert smoke.NO_PROVIDER in (ROOT / "shared/handlers/receipts.py").read_text()


@pytest.mark.parametrize("name", ["console", "forward"])
def test_a_stranger_is_refused(here: Tools, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with StandIn(Reply(403)) as function:
        monkeypatch.setattr(smoke.config, "url", lambda name: function.url)
        here.answer(f'service_name="{name}"', out="403\n")
        assert next(smoke.CHECKS[name](run())).advice == ""
        here.answer(f'service_name="{name}"', out="200\n")
        assert "answers 200" in next(smoke.CHECKS[name](run())).advice


def test_a_right_that_holds_only_after_a_minute_is_waited_for(here: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = iter(["", "403", "403", "200"])
    monkeypatch.setattr(smoke, "_logged_status", lambda *_: next(seen))
    run_of_seconds = Run("mark", datetime(2026, 1, 1, tzinfo=UTC), iter(range(100)).__next__, lambda seconds: None)
    assert next(smoke.scheduler(run_of_seconds)).advice == ""


def test_the_answer_of_the_revision_named_counts(here: Tools) -> None:
    here.answer('revision_name="deliver-8"', out="200\n")
    of_revision = msgspec.structs.replace(run(), revisions={"deliver": "deliver-8"})
    assert next(smoke.push(of_revision)).advice == ""
    assert "no call within" in next(smoke.push(run())).advice


@pytest.mark.parametrize(
    ("name", "path"), [("receive", "/?smoke=mark"), ("links", "/smoke-mark"), ("receipts", "/smoke-mark")]
)
def test_a_public_function_is_called_at_another_url_where_one_is_given(here: Tools, name: str, path: str) -> None:
    with StandIn(Reply(404)) as function:
        list(smoke.CHECKS[name](msgspec.structs.replace(run(), urls={name: function.url})))
        assert function.asked[0].path == path


def test_smoke_tests_every_function() -> None:
    assert set(smoke.CHECKS) == {function.name for function in written()}


@pytest.mark.parametrize("status", ["401", "403"])
def test_a_refused_identity_leads_to_the_page_on_audiences(here: Tools, status: str) -> None:
    here.answer('service_name="reconcile"', out=f"{status}\n")
    (finding,) = smoke.scheduler(run())
    assert finding.advice == f'Cloud Scheduler\'s identity is rejected ({status}): see "The audience" in docs/deploy.md'


def test_silence_in_the_logs_ends_the_wait(here: Tools) -> None:
    (finding,) = smoke.scheduler(run())
    assert "no call within 120 s" in finding.advice
    assert 2 <= len(here.asked("logging read")) <= 5
