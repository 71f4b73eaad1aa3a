"""`make smoke`: check that the deployed functions accept calls from each other and from Clickwrap. Sends no message.

A test event is posted to `receive`. An event that `resolve` ignores, and a notice that `deliver` ignores because its
body and its subscription name different channels, are published to Pub/Sub. A task for a request that does not exist
calls `remind`. The services' request logs show the result: 200, or 401 and 403 if the caller's identity or audience is
not accepted. What passes is remembered as a release.
"""

import json
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec

from infra.ops import config, revisions, secret_manager, shell, terraform
from infra.ops.function_table import written
from infra.ops.guard import changing
from infra.ops.report import Finding, report
from infra.ops.shell import Stop, ask, do
from shared.text.pages import MARK

LOG_TIMEOUT = 120.0  # seconds; a log entry can be read after up to a minute
LOG_POLL_INTERVAL = 5.0  # seconds
REJECTED = 'is rejected ({status}): see "The audience" in docs/deploy.md'
UNKNOWN_LINK, NO_PROVIDER = MARK.format("unknown"), "no such provider in use"  # how the functions themselves say so
EVENT = {"v": 1, "event": "smoke", "type": "request_sent", "request": "relay-check", "signer": None, "title_hint": ""}
NOTICE = {"v": 1, "notice": "smoke", "request": "smoke", "signer": "smoke", "kind": "progress", "round": 1}


class Run(msgspec.Struct, frozen=True):
    """One run. mark: a random text in the URLs of this run, to find them in the logs.

    urls: function -> another URL to call it at. revisions: function -> the revision whose answer counts.
    """

    mark: str
    since: datetime
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    urls: Mapping[str, str] = {}
    revisions: Mapping[str, str] = {}

    def url(self, name: str) -> str:
        return self.urls.get(name) or config.url(name)


def webhook(run: Run) -> Iterator[Finding]:
    status, body = _post_test_event(f"{run.url('receive')}?smoke={run.mark}")
    if status == 401:
        yield Finding("receive", "rejects the token: deploy receive again, because its instances have an old one")
    elif status != 200:
        yield Finding("receive", f"answers {status}: {body[:80]}")
    else:
        yield _result(run, "receive", f"smoke={run.mark}", "Clickwrap's call")


def push(run: Run) -> Iterator[Finding]:
    message = json.dumps(NOTICE | {"channel": "email"})
    where = ("--attribute=channel=sms", f"--project={config.project()}", "--format=none")
    do("gcloud", "pubsub", "topics", "publish", "signer-notices", f"--message={message}", *where)
    yield _result(run, "deliver", "/sms", "Pub/Sub's identity")


def task(run: Run) -> Iterator[Finding]:
    body = json.dumps({"request": "smoke", "signer": "smoke", "reminder_day": 0, "task": "smoke"})
    settings = terraform.outputs().environment
    audience = settings.get("OIDC_AUDIENCE") or config.url("remind")
    do(
        *("gcloud", "tasks", "create-http-task", "--queue=reminders", f"--location={config.region()}"),
        *(f"--project={config.project()}", f"--url={run.url('remind')}?smoke={run.mark}", "--method=POST"),
        *("--header=Content-Type:application/json", f"--body-content={body}", "--format=none"),
        f"--oidc-service-account-email={settings['TASKS_SERVICE_ACCOUNT']}",
        f"--oidc-token-audience={audience}",
    )
    yield _result(run, "remind", f"smoke={run.mark}", "Cloud Tasks' identity")


def event(run: Run) -> Iterator[Finding]:
    message = json.dumps(EVENT | {"received_at": f"{run.since:%Y-%m-%dT%H:%M:%SZ}"})
    where = (f"--project={config.project()}", "--format=none")
    do("gcloud", "pubsub", "topics", "publish", "clickwrap-events", f"--message={message}", *where)
    yield _result(run, "resolve", "http", "Pub/Sub's identity")


def link(run: Run) -> Iterator[Finding]:
    """An unknown code. The requests of `links` are in no log, so the text tells its 404 from Google's own."""
    status, body = (404, UNKNOWN_LINK) if shell.dry() else _get(f"{run.url('links')}/smoke-{run.mark}")
    fits = status == 404 and UNKNOWN_LINK in body
    yield Finding(
        "links", "" if fits else f"answers {status or 'nothing'} to an unknown code", "answers a signer's call"
    )


def receipt(run: Run) -> Iterator[Finding]:
    """A provider that does not exist."""
    status, body = (404, NO_PROVIDER) if shell.dry() else _get(f"{run.url('receipts')}/smoke-{run.mark}")
    fits = status == 404 and NO_PROVIDER in body
    yield Finding(
        "receipts", "" if fits else f"answers {status or 'nothing'} to an unknown provider", "answers a provider's call"
    )


def closed(name: str, run: Run) -> Iterator[Finding]:
    """The function is there, and Google refuses a caller without identity before it runs."""
    if not shell.dry():
        _get(f"{config.url(name)}?smoke={run.mark}")
    run = msgspec.structs.replace(run, revisions={})  # no revision saw it
    yield _result(run, name, f"smoke={run.mark}", "a stranger's call", wanted="403")


def _get(url: str) -> tuple[int, str]:
    """Status and text; (0, "") without an answer."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode(errors="replace")
    except OSError:
        return 0, ""


def scheduler(run: Run) -> Iterator[Finding]:
    yield _result(run, "reconcile", "http", "Cloud Scheduler's identity")


def _post_test_event(url: str) -> tuple[int, str]:
    """Post what Clickwrap's "Test Webhook" button sends; `receive` answers it and publishes nothing."""
    token = secret_manager.read("CLICKWRAP_WEBHOOK_TOKENS").split(",")[0].strip()
    event = {"type": "webhook", "event_type": "test_event", "id": "smoke", "description": "make smoke"}
    if shell.dry():
        shell.say(f"POST {url} {json.dumps(event)}")
        return 200, ""
    headers = {"Content-Type": "application/json", "Pactsafe-Webhook-Token": token}
    request = urllib.request.Request(url, json.dumps(event).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode(errors="replace")
    except OSError as e:
        raise Stop(f"cannot be reached: {e}") from None


def _result(run: Run, service: str, url_part: str, what: str, wanted: str = "200") -> Finding:
    """Wait for the service's request log, which shows how it answered."""
    status = _wait_for_status(run, service, url_part, wanted)
    if shell.dry() or status == wanted:
        return Finding(service, note=f"{what} is {'accepted' if wanted == '200' else 'refused, as it should be'}")
    if status in ("401", "403"):
        return Finding(service, f"{what} {REJECTED.format(status=status)}")
    if not status:
        return Finding(service, f"no call within {LOG_TIMEOUT:.0f} s: is it deployed? see `make doctor`")
    return Finding(service, f"answers {status}: `make logs FUNCTIONS={service}` shows why")


def _wait_for_status(run: Run, service: str, url_part: str, wanted: str) -> str:
    """The last status. A refusal may pass: a right that was just bound holds after a minute, and calls are repeated."""
    deadline = run.now() + LOG_TIMEOUT
    while True:
        status = _logged_status(run, service, url_part)
        if status not in ("", "401", "403") or status == wanted or shell.dry() or run.now() > deadline:
            return status
        run.sleep(LOG_POLL_INTERVAL)


def _logged_status(run: Run, service: str, url_part: str) -> str:
    wanted = (
        f'resource.type="cloud_run_revision" AND resource.labels.service_name="{service}" AND '
        f'httpRequest.requestUrl:"{url_part}" AND timestamp>="{run.since:%Y-%m-%dT%H:%M:%SZ}"'
    )
    if revision := run.revisions.get(service):
        wanted += f' AND resource.labels.revision_name="{revision}"'
    limits = ("--limit=1", "--format=value(httpRequest.status)")
    return ask("gcloud", "logging", "read", wanted, f"--project={config.project()}", *limits)


def smoke(answering: Mapping[str, str] = {}) -> int:
    """Returns the exit status. answering: as in `check`. What passes is remembered."""
    status = check(answering=answering)
    if status == 0:
        revisions.remember(revisions.serving(written()))  # `make rollback` goes back to it
    return status


def check(urls: Mapping[str, str] = {}, answering: Mapping[str, str] = {}) -> int:
    """Returns the exit status. urls: function -> where to call it. answering: function -> whose answer counts."""
    config.place()  # a missing project or region is reported once, not by every check
    since = datetime.now(UTC) - timedelta(minutes=1)
    run = Run(secrets.token_hex(8), since, urls=urls, revisions=answering)
    return report([(function.name, partial(CHECKS[function.name], run)) for function in terraform.deployed()])


CHECKS: dict[str, Callable[[Run], Iterator[Finding]]] = {
    "receive": webhook,
    "resolve": event,
    "deliver": push,
    "remind": task,
    "links": link,
    "receipts": receipt,
    "reconcile": scheduler,
    "console": partial(closed, "console"),
    "forward": partial(closed, "forward"),  # anything more would be posted to the customer's endpoint
}


if __name__ == "__main__":
    shell.main(changing(smoke))
