"""Check that Clickwrap, a provider or a shortener accepts our credentials, with one read-only call each."""

import base64
import os
import smtplib
import ssl
from collections.abc import Callable, Mapping
from urllib.parse import quote, urlencode

import msgspec

from infra.ops.config import holds
from infra.ops.function_table import every_secret
from shared.adapters.providers.email.smtp import Server, parse_smtp_url

TIMEOUT = 20  # seconds
Get = Callable[[str, dict[str, str]], int]


class Values:
    """Looks up a setting by name: in the environment, then in relay.env and Terraform, then in Secret Manager."""

    def __init__(self, settings: Mapping[str, str], secret: Callable[[str], str]) -> None:
        self._settings, self._secret = settings, secret

    def __call__(self, name: str, default: str | None = None) -> str:
        """Raises KeyError for a setting without value and default; Stop for a secret that cannot be read."""
        value = os.environ.get(name) or self._settings.get(name) or default
        if value is None:
            value = self._secret(name) if name in every_secret() else None
        if not value:
            raise KeyError(name)
        return value.strip()


class Probe(msgspec.Struct, frozen=True):
    """One check. when: "always", or the setting that selects it. check: returns what to do, "" if nothing."""

    name: str
    when: str
    check: Callable[[Values, Get], str]


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def advice_for(status: int, secret: str, fine: tuple[int, ...] = (200,)) -> str:
    if status in fine:
        return ""
    if status in (401, 403):
        return f"refuses {secret} ({status}): run `make secrets RENEW={secret}` with the right one, then `make deploy`"
    return f"answers {status}: see its status page" if status else "cannot be reached: check its URL in the settings"


def clickwrap(v: Values, get: Get) -> str:
    """Ask for a request that does not exist: with valid credentials the API answers 404."""
    url = v("CLICKWRAP_API_URL", "https://api.pactsafe.com/v1.1")
    return advice_for(
        get(f"{url}/requests/doctor", bearer(v("CLICKWRAP_API_TOKEN"))), "CLICKWRAP_API_TOKEN", (200, 404)
    )


def twilio(v: Values, get: Get) -> str:
    """https://www.twilio.com/docs/iam/api/account: fetch an account."""
    account, url = v("TWILIO_ACCOUNT_SID"), v("TWILIO_API_URL", "https://api.twilio.com")
    login = basic(account, v("TWILIO_AUTH_TOKEN"))
    return advice_for(get(f"{url}/2010-04-01/Accounts/{quote(account)}.json", login), "TWILIO_AUTH_TOKEN")


def vonage(v: Values, get: Get) -> str:
    """https://developer.vonage.com/en/api/account: get the account's balance."""
    url = v("VONAGE_API_URL", "https://rest.nexmo.com")
    query = urlencode({"api_key": v("VONAGE_API_KEY"), "api_secret": v("VONAGE_API_SECRET")})
    return advice_for(get(f"{url}/account/get-balance?{query}", {}), "VONAGE_API_SECRET")


def sendgrid(v: Values, get: Get) -> str:
    """https://www.twilio.com/docs/sendgrid/api-reference/api-key-permissions: what the key may do."""
    url = v("SENDGRID_API_URL", "https://api.sendgrid.com")
    return advice_for(get(f"{url}/v3/scopes", bearer(v("SENDGRID_API_KEY"))), "SENDGRID_API_KEY")


def mailgun(v: Values, get: Get) -> str:
    """https://documentation.mailgun.com/docs/mailgun/api-reference: get a domain."""
    url, domain = v("MAILGUN_API_URL", "https://api.mailgun.net"), v("MAILGUN_DOMAIN")
    status = get(f"{url}/v3/domains/{quote(domain)}", basic("api", v("MAILGUN_API_KEY")))
    if status == 404:
        return "does not know MAILGUN_DOMAIN: check it, and whether the account is the EU's (MAILGUN_API_URL)"
    return advice_for(status, "MAILGUN_API_KEY")


def postmark(v: Values, get: Get) -> str:
    """https://postmarkapp.com/developer/api/server-api: get the server."""
    url, token = v("POSTMARK_API_URL", "https://api.postmarkapp.com"), v("POSTMARK_SERVER_TOKEN")
    headers = {"X-Postmark-Server-Token": token, "Accept": "application/json"}
    return advice_for(get(f"{url}/server", headers), "POSTMARK_SERVER_TOKEN")


def bitly(v: Values, get: Get) -> str:
    """https://dev.bitly.com/api-reference: retrieve the user."""
    url = v("BITLY_API_URL", "https://api-ssl.bitly.com")
    return advice_for(get(f"{url}/v4/user", bearer(v("BITLY_TOKEN"))), "BITLY_TOKEN")


def rebrandly(v: Values, get: Get) -> str:
    """https://developers.rebrandly.com/reference: get the account."""
    url = v("REBRANDLY_API_URL", "https://api.rebrandly.com")
    return advice_for(get(f"{url}/v1/account", {"apikey": v("REBRANDLY_API_KEY")}), "REBRANDLY_API_KEY")


def own_links(v: Values, get: Get) -> str:
    """Ask for a code that was never issued: the function `links` answers 404."""
    status = get(f"{v('LINKS_BASE_URL')}/doctor", {})
    return "" if status == 404 else f"answer {status or 'nothing'}: run `make deploy FUNCTIONS=links`"


def smtp(v: Values, get: Get) -> str:
    """Connect and log in, without a sender or a recipient."""
    try:
        server = parse_smtp_url(v("SMTP_URL"))
        with _connection(server) as connection:
            if server.user:
                connection.login(server.user, server.password)
    except smtplib.SMTPAuthenticationError:
        return "refuses the login: run `make secrets RENEW=SMTP_URL` with the right one, then `make deploy`"
    except (OSError, ValueError) as e:
        return f"cannot be used ({e if isinstance(e, ValueError) else type(e).__name__}): check SMTP_URL"
    return ""


def _connection(server: Server) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if server.scheme == "smtps":
        return smtplib.SMTP_SSL(server.host, server.port, timeout=TIMEOUT, context=context)
    connection = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT)
    if server.scheme == "smtp+starttls":
        connection.starttls(context=context)
    return connection


PROBES = (
    Probe("Clickwrap's API", "always", clickwrap),
    Probe("SMS by Twilio", "SMS_PROVIDER=twilio", twilio),
    Probe("SMS by Vonage", "SMS_PROVIDER=vonage", vonage),
    Probe("e-mail by SMTP", "EMAIL_PROVIDER=smtp", smtp),
    Probe("e-mail by SendGrid", "EMAIL_PROVIDER=sendgrid", sendgrid),
    Probe("e-mail by Mailgun", "EMAIL_PROVIDER=mailgun", mailgun),
    Probe("e-mail by Postmark", "EMAIL_PROVIDER=postmark", postmark),
    Probe("the function links", "SHORTENER=links", own_links),
    Probe("short links by Bitly", "SHORTENER=bitly", bitly),
    Probe("short links by Rebrandly", "SHORTENER=rebrandly", rebrandly),
)


def chosen(settings: Mapping[str, str]) -> list[Probe]:
    """The checks that these settings need. Apprise has no read-only call."""
    return [probe for probe in PROBES if probe.when == "always" or holds(probe.when, settings)]
