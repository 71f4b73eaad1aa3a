"""Which stand-ins a run needs, and what the settings must say for the relay to find them."""

import threading
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import ExitStack, contextmanager

import flask
import msgspec
from werkzeug.serving import make_server

from local.provider_stubs.apprise import apprise
from local.provider_stubs.common import PASSWORD, USER, Desk
from local.provider_stubs.mail import mail
from local.provider_stubs.sms import sms
from local.provider_stubs.smtp import mail_server
from local.sandbox.outbox import Outbox
from local.stack.gateway import Quiet
from shared import bootstrap


class Account(msgspec.Struct, frozen=True):
    """address: the variable that says where the provider is. value: what it must be; {host} is host:port."""

    address: str
    value: str = "http://{host}"
    credentials: Mapping[str, str] = {}


APPRISE = f"json://{USER}:{PASSWORD}@{{host}}/apprise/{{to}}"
ACCOUNTS = {
    ("SMS", "twilio"): Account(
        "TWILIO_API_URL",
        credentials={
            "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
            "TWILIO_AUTH_TOKEN": "demo-token",
            "TWILIO_FROM": "+15005550006",
        },
    ),
    ("SMS", "vonage"): Account(
        "VONAGE_API_URL",
        credentials={"VONAGE_API_KEY": "demo-key", "VONAGE_API_SECRET": "demo-secret", "VONAGE_FROM": "Relay"},
    ),
    ("SMS", "apprise"): Account("APPRISE_SMS_URL", APPRISE),
    ("EMAIL", "sendgrid"): Account("SENDGRID_API_URL", credentials={"SENDGRID_API_KEY": "SG.demo-key"}),
    ("EMAIL", "mailgun"): Account(
        "MAILGUN_API_URL", credentials={"MAILGUN_API_KEY": "demo-key", "MAILGUN_DOMAIN": "mg.example.com"}
    ),
    ("EMAIL", "postmark"): Account("POSTMARK_API_URL", credentials={"POSTMARK_SERVER_TOKEN": "demo-token"}),
    ("EMAIL", "apprise"): Account("APPRISE_EMAIL_URL", APPRISE),
    ("EMAIL", "smtp"): Account("SMTP_URL", f"smtp://{USER}:{PASSWORD}@{{host}}"),
}


@contextmanager
def stand_ins(environ: MutableMapping[str, str], outbox: Outbox) -> Iterator[list[str]]:
    """One for each chosen provider whose address `environ` leaves open; fills that in, and credentials not set.

    Yields the names of the providers that are stood in for.
    """
    chosen = [(channel, environ.get(f"{channel}_PROVIDER", "").strip()) for channel in ("SMS", "EMAIL")]
    missing = [key for key in chosen if key in ACCOUNTS and not environ.get(ACCOUNTS[key].address, "").strip()]
    with ExitStack() as stack:
        for key in missing:
            account = ACCOUNTS[key]
            server = mail_server(outbox, bootstrap.clock) if key[1] == "smtp" else http_server(environ, outbox)
            host = f"127.0.0.1:{stack.enter_context(server)}"
            environ[account.address] = account.value.replace("{host}", host)
            for name, value in account.credentials.items():
                environ.setdefault(name, value)
        yield [provider for _, provider in missing]


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
    for blueprint in (sms, mail, apprise):
        app.register_blueprint(blueprint)
    return app
