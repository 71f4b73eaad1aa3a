"""Access tokens of an application: Microsoft's for Graph and SMTP, Google's for SMTP."""

import base64
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from shared.adapters.providers.common.oauth import Tokens, client_credentials
from shared.adapters.providers.email.smtp import Sender
from shared.domain.errors import Accepted, OutcomeUnknown, RetryLater
from shared.setting_types import SettingError, Values
from tests.contract.channel_kit import DEADLINE, EMAIL, NOTICE, NOW
from tests.contract.test_channels import APPLICATION, TOKEN, microsoft
from tests.smtp_stand_in import LOGIN, SmtpStandIn
from tests.stand_in import Reply, StandIn

TAKEN = Accepted(f"<{NOTICE}@example.com>")
USER = LOGIN.login.decode()


def tokens(url: str, clock: Any = lambda: NOW) -> Tokens:
    grant = client_credentials(
        url, "9d1c/0", "app-1", "s3cr~t", scope="https://graph/.default", settings="THE_SETTINGS"
    )
    return Tokens(grant, clock, DEADLINE)


def test_the_question_is_exactly_what_microsoft_describes() -> None:
    with StandIn(TOKEN) as login:
        assert tokens(login.url).current() == "t0ken"
        [asked] = login.asked
    assert (asked.method, asked.path) == ("POST", "/9d1c%2F0/oauth2/v2.0/token")
    assert asked.form() == {
        "grant_type": "client_credentials",
        "client_id": "app-1",
        "client_secret": "s3cr~t",
        "scope": "https://graph/.default",
    }


def test_many_sends_ask_for_one_token_and_for_another_before_it_ends() -> None:
    now = [NOW]
    with StandIn(TOKEN, Reply(200, {"access_token": "second", "expires_in": 3599})) as login:
        source, got = tokens(login.url, lambda: now[0]), list[str]()
        threads = [threading.Thread(target=lambda: got.append(source.current())) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (got, len(login.asked)) == (["t0ken"] * 6, 1)
        now[0] = NOW + timedelta(minutes=53)
        assert source.current() == "t0ken"
        now[0] = NOW + timedelta(minutes=55)
        assert source.current() == "second"


def test_who_waits_for_an_answer_that_does_not_come_waits_once() -> None:
    with StandIn(Reply(fault="hang")) as login:
        source, together = tokens(login.url), threading.Barrier(6)

        def ask() -> None:
            together.wait()
            with pytest.raises(RetryLater):
                source.current()

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(login.asked) == 1
        login.answer(TOKEN)
        assert source.current() == "t0ken", "the next one asks again"


@pytest.mark.parametrize(
    ("reply", "after", "why"),
    [
        (Reply(401, {"error": "invalid_client", "error_codes": [7000215]}), 900, "value is wanted, not its id"),
        (
            Reply(401, {"error": "invalid_client", "error_codes": [7000222]}),
            900,
            "secret has expired; check THE_SETTINGS",
        ),
        (Reply(400, {"error": "unauthorized_client", "error_codes": [700016]}), 900, "not know the application"),
        (Reply(400, {"error": "invalid_request", "error_codes": [90002]}), 900, "not know the tenant"),
        (Reply(400, {"error": "invalid_scope"}), 900, r"gives no access; check THE_SETTINGS \(invalid_scope\)"),
        (Reply(404, b"<html>"), 900, "HTTP 404"),
        (Reply(400, {"error": "temporarily_unavailable"}), None, "temporarily_unavailable"),
        (Reply(429, headers={"Retry-After": "17"}), 17, "429"),
        (Reply(503), None, "503"),
        (Reply(504), None, "504"),
        (Reply(200, b"<html>"), None, "makes no sense"),
        (Reply(200, {"access_token": "t", "expires_in": "soon"}), None, "makes no sense"),
        (Reply(fault="reset"), None, "could not be reached"),
        (Reply(fault="hang"), None, "could not be reached"),
    ],
)
def test_without_a_token_a_message_waits_and_the_reason_is_told(reply: Reply, after: float | None, why: str) -> None:
    with StandIn(reply) as login, pytest.raises(RetryLater, match=why) as raised:
        tokens(login.url).current()
    assert raised.value.after == after
    assert "s3cr~t" not in raised.value.reason


# -- Graph


@pytest.fixture
def graph() -> Iterator[StandIn]:
    with StandIn(Reply(202)) as server:
        yield server


REFUSED_TOKEN = Reply(401, {"error": {"code": "InvalidAuthenticationToken", "message": "..."}})


def test_a_token_that_is_refused_is_renewed_once_and_the_message_is_sent_once(graph: StandIn) -> None:
    graph.answer(REFUSED_TOKEN, Reply(202))
    with StandIn(TOKEN, Reply(200, {"access_token": "second", "expires_in": 3599})) as login:
        assert microsoft(graph.url, login.url).send(EMAIL) == TAKEN
    assert [asked.headers["authorization"] for asked in graph.asked] == ["Bearer t0ken", "Bearer second"]


def test_a_new_token_that_is_refused_too_keeps_the_message_and_names_the_settings(graph: StandIn) -> None:
    graph.answer(REFUSED_TOKEN)
    with StandIn(TOKEN) as login, pytest.raises(RetryLater, match="MICROSOFT_CLIENT_SECRET") as raised:
        microsoft(graph.url, login.url).send(EMAIL)
    assert (raised.value.after, len(graph.asked), len(login.asked)) == (900, 2, 2)


def test_without_a_token_nothing_is_sent(graph: StandIn) -> None:
    with StandIn(Reply(503)) as login, pytest.raises(RetryLater):
        microsoft(graph.url, login.url).send(EMAIL)
    assert graph.asked == []


def test_an_answer_lost_after_a_renewal_is_unknown(graph: StandIn) -> None:
    graph.answer(REFUSED_TOKEN, Reply(fault="reset"))
    with StandIn(TOKEN) as login, pytest.raises(OutcomeUnknown):
        microsoft(graph.url, login.url).send(EMAIL)


# -- SMTP, by XOAUTH2


def smtp(server: SmtpStandIn, password: str, **settings: str) -> Sender:
    url = f"smtp://{quote(USER, safe='')}:{password}@127.0.0.1:{server.port}"
    values = {"SMTP_URL": url, "EMAIL_FROM": "legal@example.com", **settings}
    return Sender(Values(values), lambda: NOW, DEADLINE)


def by_microsoft(server: SmtpStandIn, login: StandIn) -> Sender:
    names = {"SMTP_AUTH": "microsoft", "SMTP_TENANT_ID": "9d1c", "SMTP_CLIENT_ID": "app-1"}
    return smtp(server, APPLICATION["MICROSOFT_CLIENT_SECRET"], **names, MICROSOFT_LOGIN_URL=login.url)


def test_an_application_at_microsoft_logs_in_with_its_token() -> None:
    with SmtpStandIn(login=True, token="t0ken") as server, StandIn(TOKEN) as login:
        channel = by_microsoft(server, login)
        assert [channel.send(EMAIL), channel.send(EMAIL)] == [TAKEN] * 2
        assert server.logins == [f"user={USER}\1auth=Bearer t0ken\1\1"] * 2
        [asked] = login.asked
        assert asked.form()["client_secret"] == "s3cr~t"
        assert asked.form()["scope"] == "https://outlook.office365.com/.default"


def test_a_token_that_the_mail_server_refuses_is_not_used_again() -> None:
    with SmtpStandIn(login=True, token="right") as server, StandIn(TOKEN) as login:
        channel = by_microsoft(server, login)
        for asked in (1, 2):
            with pytest.raises(RetryLater, match=r"check SMTP_AUTH.*535 5\.7\.8") as raised:
                channel.send(EMAIL)
            assert (raised.value.after, len(login.asked)) == (900, asked)
        assert server.envelopes == []


def test_a_server_without_xoauth2_gets_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(SmtpStandIn, "auth_XOAUTH2")
    with SmtpStandIn(login=True) as server, StandIn(TOKEN) as login:
        with pytest.raises(RetryLater, match=r"offers no login.*SMTP_AUTH"):
            by_microsoft(server, login).send(EMAIL)
        assert server.logins == []


@pytest.fixture(scope="module")
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def unpadded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def key_file(private_key: rsa.RSAPrivateKey, token_uri: str) -> str:
    """As `base64 -w0 key.json | tr +/ -_` makes it."""
    form, no_encryption = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    pem = private_key.private_bytes(serialization.Encoding.PEM, form, no_encryption).decode()
    account = {"type": "service_account", "client_email": "relay@p.iam.gserviceaccount.com", "token_uri": token_uri}
    key = {**account, "private_key": pem, "private_key_id": "k1", "client_id": "1"}
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode()


def test_a_service_account_at_google_logs_in_for_the_user(private_key: rsa.RSAPrivateKey) -> None:
    with SmtpStandIn(login=True, token="t0ken") as server, StandIn(TOKEN) as login:
        key = key_file(private_key, f"{login.url}/token")
        assert smtp(server, key, SMTP_AUTH="google").send(EMAIL) == TAKEN
        form = login.asked[0].form()
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    signed, _, signature = form["assertion"].rpartition(".")
    header, claims = (msgspec.json.decode(unpadded(part)) for part in signed.split("."))
    private_key.public_key().verify(unpadded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    assert header == {"typ": "JWT", "alg": "RS256", "kid": "k1"}
    assert claims == {
        "iss": "relay@p.iam.gserviceaccount.com",
        "sub": USER,
        "scope": "https://mail.google.com/",
        "aud": f"{login.url}/token",
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 3600,
    }


def test_a_key_file_without_a_key_keeps_the_message() -> None:
    account = {
        "client_email": "relay@p.iam",
        "token_uri": "http://127.0.0.1:1",
        "private_key": "",
        "private_key_id": "k",
    }
    key = base64.urlsafe_b64encode(msgspec.json.encode(account)).decode()
    with SmtpStandIn(login=True) as server, pytest.raises(RetryLater, match=r"no private key.*SMTP_URL") as raised:
        smtp(server, key, SMTP_AUTH="google").send(EMAIL)
    assert raised.value.after == 900


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"SMTP_AUTH": "microsoft", "SMTP_CLIENT_ID": "a"}, "SMTP_TENANT_ID"),
        ({"SMTP_AUTH": "microsoft", "SMTP_TENANT_ID": "t"}, "SMTP_CLIENT_ID"),
        ({"SMTP_AUTH": "google"}, "SMTP_URL"),
        ({"SMTP_AUTH": "google", "SMTP_URL": "smtps://u:e30=@h"}, "SMTP_URL"),
        ({"SMTP_AUTH": "google", "SMTP_URL": "smtps://h"}, "SMTP_URL"),
        ({"SMTP_AUTH": "oauth"}, "SMTP_AUTH"),
    ],
)
def test_a_login_that_lacks_something_is_refused_at_the_start(settings: dict[str, str], named: str) -> None:
    values = {"SMTP_URL": "smtps://u:hush@h", "EMAIL_FROM": "legal@example.com", **settings}
    with pytest.raises(SettingError, match=named) as raised:
        Sender(Values(values), lambda: datetime.now(UTC))
    assert "hush" not in str(raised.value)
