"""Which stand-ins a run needs, and what the settings must say for the relay to find them."""

import pkgutil
import threading
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from importlib import import_module
from types import ModuleType

import flask
from werkzeug.serving import make_server

from local.provider_stubs import vendors
from local.provider_stubs.common import Account, Desk
from local.sandbox.outbox import Outbox
from local.stack.gateway import Quiet
from shared import bootstrap


@cache
def stubs() -> dict[str, ModuleType]:
    """Every module of `vendors`, by the name of its provider."""
    found = sorted(module.name for module in pkgutil.iter_modules(vendors.__path__))
    return {name: import_module(f"{vendors.__name__}.{name}") for name in found}


def accounts() -> dict[tuple[str, str], Account]:
    """By channel ("SMS", "EMAIL") and provider."""
    return {(account.channel.upper(), name): account for name, stub in stubs().items() for account in stub.ACCOUNTS}


@contextmanager
def stand_ins(environ: MutableMapping[str, str], outbox: Outbox) -> Iterator[list[str]]:
    """One for each chosen provider whose address `environ` leaves open; fills that in, and credentials not set.

    Yields the names of the providers that are stood in for.
    """
    known = accounts()
    chosen = [(channel, environ.get(f"{channel}_PROVIDER", "").strip()) for channel in ("SMS", "EMAIL")]
    missing = [key for key in chosen if key in known and not environ.get(known[key].address, "").strip()]
    with ExitStack() as stack:
        for key in missing:
            account = known[key]
            host = f"127.0.0.1:{stack.enter_context(_server(stubs()[key[1]], environ, outbox))}"
            environ[account.address] = account.value.replace("{host}", host)
            for name, value in account.credentials.items():
                environ.setdefault(name, value.replace("{host}", host))
        yield [provider for _, provider in missing]


def _server(stub: ModuleType, environ: Mapping[str, str], outbox: Outbox) -> AbstractContextManager[int]:
    if not hasattr(stub, "serve"):
        return http_server(environ, outbox)
    server: AbstractContextManager[int] = stub.serve(outbox, bootstrap.clock)
    return server


@contextmanager
def http_server(settings: Mapping[str, str], outbox: Outbox) -> Iterator[int]:
    """Yields its port."""
    app = create_app(Desk(settings, outbox, bootstrap.clock))
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def create_app(desk: Desk) -> flask.Flask:
    app = flask.Flask(__name__)
    app.extensions["desk"] = desk
    for stub in stubs().values():
        if hasattr(stub, "blueprint"):
            app.register_blueprint(stub.blueprint)
    return app
