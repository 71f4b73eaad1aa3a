"""The stand-in for Clickwrap as one WSGI app: pages for the sender and the signer, and the API.

It is mounted under /sandbox; its links are relative to the mount point. Only one process may use its file, because
two would send each webhook twice.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import flask
import msgspec

from local.sandbox import answers, drafts, model, web
from local.sandbox.api import api, service
from local.sandbox.drafts import Invalid
from local.sandbox.model import Refused, SignatureRequest
from local.sandbox.service import SandboxService
from local.sandbox.settings import as_form, changes_of_form
from local.sandbox.store import NoSuchRequest, Store
from local.sandbox.webhooks import Webhooks
from shared.domain.decodable import decodable

pages = flask.Blueprint("pages", __name__)
PAGE = 20  # requests on one page of the list


@decodable
class Trigger(msgspec.Struct, forbid_unknown_fields=True):
    """An event to bring about. only: its webhook is sent, and the request stays as it is."""

    event: str
    only: bool = False


def create_app(
    path: Path,
    webhook_url: str,
    webhook_token: str,
    public_url: str,
    clock: Callable[[], datetime],
    speed: float = 1.0,
) -> flask.Flask:
    """Create the app.

    Webhooks are sent after `webhooks_of(app).start()`.

    Args:
        path: SQLite file.
        public_url: URL of the mount point, for the links in messages.
        speed: see `Webhooks`.
    """
    app = flask.Flask(__name__)
    sandbox = SandboxService(Store(path), webhook_url, public_url.rstrip("/"), clock)
    app.extensions["service"] = sandbox
    app.extensions["webhooks"] = Webhooks(sandbox, webhook_token, clock, speed)
    web.add_security_headers(app)
    app.before_request(lambda: sandbox.expire_due())
    app.register_error_handler(NoSuchRequest, lambda error: web.failure(404, str(error)))
    app.register_blueprint(pages)
    app.register_blueprint(api)
    return app


def webhooks_of(app: flask.Flask) -> Webhooks:
    found = app.extensions["webhooks"]
    assert isinstance(found, Webhooks)
    return found


# -- the sender's pages


@pages.get("/")
def index() -> str:
    return _index(drafts.EXAMPLE)


def _index(values: dict[str, Any], reasons: tuple[str, ...] = (), switches: Mapping[str, str] | None = None) -> str:
    """The page with both forms. After an error, `reasons` explain it, and the forms keep what was typed."""
    number = min(max(1, flask.request.args.get("page", 1, int)), 1_000_000)
    requests, total = service().store.page((number - 1) * PAGE, PAGE)
    return flask.render_template(
        "index.html",
        requests=requests,
        page=number,
        more=number * PAGE < total,
        total=total,
        form=values,
        reasons=reasons,
        switches=switches or as_form(service().store.settings()),
        api_url=f"{service().public_url}/api/v1.1",
        webhook_url=service().webhook_url,
    )


@pages.post("/requests")
def create() -> flask.typing.ResponseReturnValue:
    if flask.request.is_json:
        return _create_from_json()
    values = drafts.read_form(flask.request.form)
    if "add" in flask.request.form:
        return _index({**values, "signers": [*values["signers"], drafts.BLANK]})
    try:
        request = service().create(drafts.draft_of_form(values, service().clock()))
    except Invalid as error:
        return _index(values, error.reasons), 400
    return flask.redirect(flask.url_for("pages.show", key=request.id), 303)


def _create_from_json() -> flask.typing.ResponseReturnValue:
    try:
        draft = drafts.read_draft(web.json_body(), service().clock())
    except Invalid as error:
        return web.failure(400, str(error))
    return _json(service().create(draft)), 201


def _json(request: SignatureRequest) -> dict[str, Any]:
    """The JSON for programs that use the sandbox: always with all fields, whatever the settings of the API are."""
    return answers.full(request, service().public_url)


@pages.get("/requests/<key>")
def show(key: str) -> flask.typing.ResponseReturnValue:
    request = service().store.get(key)
    return _json(request) if web.wants_json() else _show(request)


def _show(request: SignatureRequest, reason: str = "") -> str:
    return flask.render_template(
        "request.html",
        it=request,
        reason=reason,
        actions=model.possible_actions(request, service().clock()),
        deliveries=service().store.deliveries(request.id),
    )


@pages.post("/requests/<key>/<action>")
def act(key: str, action: str) -> flask.typing.ResponseReturnValue:
    try:
        request = service().act(key, action)
    except Refused as error:
        return web.failure(409, str(error)) if web.wants_json() else (_show(service().store.get(key), str(error)), 409)
    return _json(request) if web.wants_json() else flask.redirect(flask.url_for("pages.show", key=key), 303)


@pages.post("/requests/<key>/trigger")
def trigger(key: str) -> flask.typing.ResponseReturnValue:
    """`make trigger`: JSON `{"event": "signed", "only": false}`; only: the webhook alone."""
    try:
        wanted = msgspec.convert(web.json_body(), Trigger)
        return _json(service().trigger(key, wanted.event, only=wanted.only))
    except msgspec.ValidationError as error:
        return web.failure(400, str(error))
    except Refused as error:
        return web.failure(409, str(error))


@pages.post("/settings")
def settings() -> flask.typing.ResponseReturnValue:
    if flask.request.is_json:
        return _settings_from_json()
    typed = flask.request.form.to_dict()
    try:
        service().store.set(changes_of_form(typed))
    except Invalid as error:
        return _index(drafts.EXAMPLE, error.reasons, typed), 400
    return flask.redirect(flask.url_for("pages.index", _anchor="settings"), 303)


def _settings_from_json() -> flask.typing.ResponseReturnValue:
    try:
        saved = service().store.set(web.json_body())
    except Invalid as error:
        return web.failure(400, str(error))
    return flask.jsonify(msgspec.to_builtins(saved))


# -- the signer's pages


@pages.get("/sign/<token>")
def sign_page(token: str) -> str:
    return _sign_page(service().open(token), token)


def _sign_page(request: SignatureRequest, token: str) -> str:
    signer = request.holder(token)
    return flask.render_template("sign.html", it=request, me=signer, blocker=model.blocker(request, signer))


@pages.post("/sign/<token>")
def sign(token: str) -> flask.typing.ResponseReturnValue:
    try:
        request = service().sign(token)
    except Refused as error:
        if web.wants_json():
            return web.failure(409, str(error))
        return _sign_page(service().open(token), token), 409
    return _json(request) if web.wants_json() else flask.redirect(flask.url_for("pages.sign_page", token=token), 303)


@pages.get("/download/<key>")
def download(key: str) -> flask.typing.ResponseReturnValue:
    request = service().store.get(key)
    if request.completed_at is None:
        return web.failure(409, "there is nothing to download before the request is complete")
    return flask.render_template("agreement.txt", it=request), {"Content-Type": "text/plain; charset=utf-8"}
