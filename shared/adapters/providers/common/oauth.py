"""The access token of an application (OAuth 2.0): asked for once, used by many sends, renewed before it ends.

Microsoft: https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow
Google: https://developers.google.com/identity/protocols/oauth2/service-account
"""

import base64
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from threading import Lock
from urllib.parse import quote

import msgspec

from shared.adapters.http.client import Http, HttpResponse, field_text
from shared.adapters.providers.common.rules import AGAIN, SETTINGS
from shared.domain.decodable import decodable
from shared.domain.errors import PermanentFailure, RetryLater
from shared.setting_types import url

LOGIN_URL = url("MICROSOFT_LOGIN_URL", "where Microsoft gives tokens", "https://login.microsoftonline.com")
USED = 0.9  # part of a token's life after which it is renewed
MOST = 5.0  # seconds for a question, beside the send's own
ASSERTION_LIFE = 3600  # seconds; the most that Google takes
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"

# Of Microsoft, in `error_codes`: https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes
REASONS = {
    90002: "it does not know the tenant",
    700016: "it does not know the application in this tenant",
    7000215: "it refuses the application's secret; its value is wanted, not its id",
    7000222: "the application's secret has expired",
}


@decodable
class Key(msgspec.Struct, frozen=True):
    """A service account's key file, as far as it is read."""

    client_email: str
    private_key: str
    private_key_id: str
    token_uri: str


class Grant(msgspec.Struct, frozen=True):
    """How an application asks. who: is asked. url: of the token endpoint. settings: the variables to check if refused.

    form: makes the fields of the question at a time.
    """

    who: str
    url: str
    settings: str
    form: Callable[[datetime], Mapping[str, str]]


class Tokens:
    """Of one application. deadline: seconds of a send, which a question takes at most."""

    def __init__(self, grant: Grant, clock: Callable[[], datetime], deadline: float) -> None:
        self._grant, self._clock, self._http = grant, clock, Http(grant.who, clock, min(deadline, MOST))
        self._lock, self._token, self._until = Lock(), "", clock()
        self._failures, self._failure = 0, RetryLater("")

    def current(self) -> str:
        """One question at a time; who waits for it takes its answer, and its failure too. Raises RetryLater."""
        before = self._failures
        with self._lock:
            if not self._token or self._clock() >= self._until:
                if self._failures != before:  # asked while this one waited, and in vain
                    raise RetryLater(self._failure.reason, self._failure.after)
                self._ask()
            return self._token

    def forget(self, refused: str) -> None:
        """A token that was refused is used no more."""
        with self._lock:
            if self._token == refused:
                self._token = ""

    def _ask(self) -> None:
        try:
            self._token, self._until = self._asked()
        except RetryLater as e:
            self._failures, self._failure = self._failures + 1, e
            raise

    def _asked(self) -> tuple[str, datetime]:
        now = self._clock()
        answer = self._http.post_form(self._grant.url, dict(self._grant.form(now)), {}, effect=False)
        if answer.status >= 300:
            raise self._refusal(answer)
        told = answer.json()
        token, seconds = field_text(told.get("access_token")), told.get("expires_in")
        if not token or not isinstance(seconds, int):
            raise RetryLater(f"{self._grant.who} was asked for a token, and its answer makes no sense")
        return token, now + timedelta(seconds=USED * seconds)

    def _refusal(self, answer: HttpResponse) -> RetryLater | PermanentFailure:
        """`error` as RFC 6749 §5.2 has it."""
        told = answer.json()
        error, codes = field_text(told.get("error")), told.get("error_codes")
        known = [REASONS[code] for code in codes if code in REASONS] if isinstance(codes, list) else []
        rule = SETTINGS(f"{known[0] if known else 'it gives no access'}; check {self._grant.settings}")
        if error == "temporarily_unavailable":
            rule = AGAIN("it gives no tokens just now")
        return rule.error(self._grant.who, error or f"HTTP {answer.status}")


def client_credentials(login_url: str, tenant: str, client: str, password: str, *, scope: str, settings: str) -> Grant:
    """Of an application at Microsoft."""
    fields = {"grant_type": "client_credentials", "client_id": client, "client_secret": password, "scope": scope}
    where = f"{login_url}/{quote(tenant, safe='')}/oauth2/v2.0/token"
    return Grant("Microsoft 365", where, settings, lambda now: fields)


def service_account(key_file: str, user: str, *, scope: str, settings: str) -> Grant:
    """Of a service account at Google that acts for a user, by domain-wide delegation.

    Args:
        key_file: its key in JSON, in base64.
        user: their address.
        scope: what for.
        settings: the variables to check when it is refused.

    Raises:
        ValueError: it is no such key.
    """
    key = msgspec.json.decode(base64.b64decode(key_file.translate({45: "+", 95: "/"}), validate=True), type=Key)

    def form(now: datetime) -> dict[str, str]:
        from google.auth import crypt, jwt

        seconds = int(now.timestamp())
        claims: dict[str, str | int] = {"iss": key.client_email, "sub": user, "scope": scope, "aud": key.token_uri}
        try:
            signer = crypt.RSASigner.from_string(key.private_key, key.private_key_id)  # type: ignore[no-untyped-call]
        except ValueError:
            raise SETTINGS(f"the key file holds no private key; check {settings}").error("Google", "PEM") from None
        claims |= {"iat": seconds, "exp": seconds + ASSERTION_LIFE}
        assertion: bytes = jwt.encode(signer, claims)  # type: ignore[no-untyped-call]
        return {"grant_type": JWT_BEARER, "assertion": assertion.decode()}

    return Grant("Google", key.token_uri, settings, form)
