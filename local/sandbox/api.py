"""The part of the vendor's REST API that this project calls."""

import hmac
import time

import flask

from local.sandbox import answers
from local.sandbox.service import SandboxService
from local.sandbox.settings import Fault

api = flask.Blueprint("api", __name__, url_prefix="/api/v1.1")

PER_PAGE, MAX_PER_PAGE = 25, 100  # the vendor's default and maximum


def service() -> SandboxService:
    found = flask.current_app.extensions["service"]
    assert isinstance(found, SandboxService)
    return found


@api.before_request
def apply_fault() -> flask.Response | None:
    fault = service().store.take_fault()
    if fault is None:
        return None
    time.sleep(fault.delay)
    return None if fault.is_delay else _answer(fault)


def _answer(fault: Fault) -> flask.Response:
    status = fault.status or 200
    body = answers.error(status) if fault.body is None else fault.body
    response = flask.Response(body) if isinstance(body, str) else flask.jsonify(body)
    response.status_code = status
    response.headers.update(fault.headers)
    return response


@api.before_request
def check_token() -> flask.typing.ResponseReturnValue | None:
    kind, _, token = flask.request.headers.get("Authorization", "").partition(" ")
    wanted = service().store.settings().api_token or token
    good = kind.lower() == "bearer" and token and hmac.compare_digest(token.encode(), wanted.encode())
    return None if good else (answers.error(401), 401)


@api.get("/requests/<key>")
def get_request(key: str) -> flask.typing.ResponseReturnValue:
    store = service().store
    return answers.answer(store.get(key), store.settings(), service().public_url)


@api.get("/sites/<int:site>/requests")
def list_requests(site: int) -> flask.typing.ResponseReturnValue:
    if site != answers.SITE:
        return answers.error(404), 404
    number, size = _whole("page", 1), min(_whole("per_page", PER_PAGE), MAX_PER_PAGE)
    store = service().store
    requests, total = store.page((number - 1) * size, size)
    return flask.jsonify(answers.page(requests, total, number, size, store.settings(), service().public_url))


def _whole(name: str, default: int) -> int:
    text = flask.request.args.get(name, str(default))
    if not (text.isascii() and text.isdigit() and int(text[:9]) > 0 and len(text) < 9):
        flask.abort(400, f"{name}: must be a whole number from 1")
    return int(text)
