"""Private functions read in code who calls them: the claims of the token that Cloud Run has let in."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import functions_framework
import pytest
from werkzeug.test import Client

from infra.ops.function_table import functions
from local.stack.identity import PUSH, SCHEDULER, TASKS, passed_on
from shared import bootstrap, entrypoint
from shared.callers import CLOCK_SKEW, Callers

ROOT = Path(__file__).parents[2]
URL, NOW = "https://here.example/resolve", 1_000_000.0
CALLERS = Callers((PUSH, TASKS), URL)


def header(audience: str = URL, account: str = PUSH, **claims: object) -> dict[str, str]:
    return passed_on(audience, account, **{"exp": NOW + 3_600} | claims)


def raw(payload: bytes) -> dict[str, str]:
    return {"Authorization": f"Bearer e30.{base64.urlsafe_b64encode(payload).decode().rstrip('=')}.x"}


def serverless(given: dict[str, str]) -> dict[str, str]:
    return {"X-Serverless-Authorization": given["Authorization"]}


OTHERS = header(account="relay-links@p.iam.gserviceaccount.com")
UNREADABLE, AUDIENCE, ACCOUNT, EXPIRED = "can be read", "another audience", "may not call", "expired"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (header(), ""),
        (header(account=TASKS), ""),
        ({"Authorization": header()["Authorization"].replace("Bearer", "bearer")}, ""),
        (header(exp=NOW - CLOCK_SKEW), ""),
        (header(exp=NOW - CLOCK_SKEW - 1), EXPIRED),
        (header(exp=0), EXPIRED),
        (header("https://here.example/deliver"), AUDIENCE),
        (header(f"{URL}/"), AUDIENCE),
        (header(""), AUDIENCE),
        (header(aud=[URL]), UNREADABLE),
        (OTHERS, ACCOUNT),
        (header(account=SCHEDULER), ACCOUNT),
        (header(account=PUSH.upper()), ACCOUNT),
        (header(account=""), ACCOUNT),
        (header(email_verified=False), ACCOUNT),
        (header(email_verified="true"), UNREADABLE),
        ({}, UNREADABLE),
        ({"Authorization": ""}, UNREADABLE),
        ({"Authorization": header()["Authorization"].removeprefix("Bearer ")}, UNREADABLE),
        ({"Authorization": f"{OTHERS['Authorization']},{header()['Authorization']}"}, UNREADABLE),
        ({"Authorization": f"{OTHERS['Authorization']} {header()['Authorization']}"}, UNREADABLE),
        ({"Authorization": "Bearer a.b"}, UNREADABLE),
        ({"Authorization": "Bearer a.!.c"}, UNREADABLE),
        (raw(b"no json"), UNREADABLE),
        (raw(b'{"x":' + b"[" * 100_000), UNREADABLE),
        (raw(b"\xff"), UNREADABLE),
        # Cloud Run checks X-Serverless-Authorization alone where there is one
        (serverless(header()), ""),
        (serverless(header()) | OTHERS, ""),
        (serverless(OTHERS) | header(), ACCOUNT),
        ({"X-Serverless-Authorization": ""} | header(), UNREADABLE),
    ],
)
def test_a_call_is_refused_unless_its_token_is_of_a_caller_and_for_this_function(
    given: dict[str, str], reason: str
) -> None:
    found = CALLERS.refusal(given, NOW)
    assert reason in found
    assert bool(reason) == bool(found)


PRIVATE = [name for name, f in functions().items() if f.called_by_google]


@pytest.fixture
def settings(compose: Any) -> Callable[..., None]:
    return lambda **environ: compose(environ)


@pytest.mark.parametrize("name", PRIVATE)
def test_a_private_function_refuses_in_code_whoever_else_is_let_in(
    name: str, settings: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    url = f"https://here.example/{name}"
    settings(**{"BACKEND": "embedded", "CALLERS": PUSH, f"{name.upper()}_URL": url})
    for handler in PRIVATE:
        monkeypatch.setattr(bootstrap, handler, lambda: SimpleNamespace(event=print, run=dict))
    monkeypatch.setattr(bootstrap, "deferral", lambda _: SimpleNamespace(dead_letter=print))
    app = Client(functions_framework.create_app(name, str(ROOT / "functions" / name / "main.py")))
    push = json.loads((ROOT / "tests/golden/envelopes/push.json").read_text())
    refused = ({}, passed_on(url, SCHEDULER), passed_on(f"{url}x", PUSH), passed_on(url, PUSH, exp=1))
    assert {app.post("/", json=push, headers=given).status_code for given in refused} == {403}
    assert capfd.readouterr().err.count('"alert": "caller_refused"') == len(refused)
    assert app.post("/", json=push, headers=passed_on(url, PUSH)).status_code != 403


def test_those_that_only_google_calls_are_private() -> None:
    assert set(PRIVATE) == set(bootstrap.URLS) == {n for n, f in functions().items() if not f.public} - {"console"}


@pytest.mark.parametrize("name", PRIVATE)
@pytest.mark.parametrize("missing", ["CALLERS", "{}_URL"])
def test_one_that_is_deployed_without_its_callers_does_not_start(
    name: str, missing: str, settings: Callable[..., None]
) -> None:
    environ = {"CALLERS": PUSH, f"{name.upper()}_URL": URL}
    variable = missing.format(name.upper())
    settings(**{k: v for k, v in environ.items() if k != variable})
    with pytest.raises(SystemExit, match=f"^cannot start: {variable} is not set$"):
        entrypoint.private(name)


def test_an_audience_of_ones_own_replaces_the_url(settings: Callable[..., None]) -> None:
    settings(CALLERS=PUSH, RESOLVE_URL=URL, OIDC_AUDIENCE="https://relay.example")
    assert bootstrap.callers("resolve").audience == "https://relay.example"
