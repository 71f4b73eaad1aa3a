"""The API's answer names URLs that signers are sent to: none may lead into a private network, or run a script."""

import logging
from typing import Any

import pytest

from shared.adapters.clickwrap.client import ClickwrapClient
from shared.adapters.clickwrap.fields import FIELDS
from shared.adapters.clickwrap.link_hosts import Hosts
from shared.adapters.clickwrap.payload import read
from shared.domain.errors import RetryLater
from tests.stand_in import Reply, StandIn

GOOD = "https://app.pactsafe.com/sign?r=1&s=%2F#top"


def led(url: Any, hosts: Hosts = Hosts()) -> str:  # noqa: B008 - immutable
    answer = read({"download_url": url, "signers": [{"id": "a", "request_url": url}]}, FIELDS, hosts)
    (signer,) = answer.signers
    assert signer.request_url == answer.download_url
    return signer.request_url


@pytest.mark.parametrize(
    "url", [GOOD, "https://sign.test:8443/x", "https://SIGN.Test/x", "https://xn--bcher-kva.example./ü"]
)
def test_a_public_https_url_is_used(url: str) -> None:
    assert led(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://app.pactsafe.com/sign",
        "//app.pactsafe.com/sign",
        "/sign",
        "app.pactsafe.com/sign",
        "javascript:alert(1)",
        "java\tscript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "file:///etc/passwd",
        "ftp://app.pactsafe.com/",
        "https://",
        "https:///sign",
    ],
)
def test_any_other_scheme_is_dropped(url: str) -> None:
    assert led(url) == ""


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "0.0.0.0",
        "10.0.0.8",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "169.254.169.254.",
        "100.64.0.1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[::1%25lo]",
        "１２７.0.0.1",
        "①②⑦.0.0.1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "x.localhost",
        "metadata.google.internal",
        "printer.local",
        "router.home.arpa",
        "intranet",
        "sign..test",
        ".sign.test",
        "-sign.test",
        "раypal.com",
        "93.184.216.34",
    ],
)
def test_a_host_without_a_public_name_is_dropped(host: str) -> None:
    assert led(f"https://{host}/sign") == ""


@pytest.mark.parametrize(
    "url",
    [
        "https://app.pactsafe.com@evil.test/",
        "https://user:pass@app.pactsafe.com/",
        "https://evil.test\\@app.pactsafe.com/",
        "https://app.pactsafe.com\\.evil.test/",
        "https://app.pactsafe.com/\r\nSet-Cookie: a=b",
        "https://app.pactsafe.com/a b",
        'https://app.pactsafe.com/"><script>',
        "https://app.pactsafe.com/\u202egpj.exe",
        "https://app.pactsafe.com:99999/",
        "https://app.pactsafe.com:x/",
        "https://[app.pactsafe.com/",
    ],
)
def test_what_two_readers_might_read_differently_is_dropped(url: str) -> None:
    assert led(url) == ""


@pytest.mark.parametrize("value", [None, True, [], {"href": GOOD}, 5, ""])
def test_what_is_no_text_is_no_url(value: Any) -> None:
    assert led(value) == ""


def test_a_good_url_on_a_later_path_is_used_in_the_place_of_a_bad_one() -> None:
    assert read({"download_url": "http://10.0.0.1/", "pdf_url": GOOD}).download_url == GOOD


@pytest.mark.parametrize(
    ("url", "used"),
    [
        ("https://pactsafe.com/x", True),
        ("https://app.PACTSAFE.com/x", True),
        ("https://evilpactsafe.com/x", False),
        ("https://pactsafe.com.evil.test/x", False),
        ("https://evil.test/?pactsafe.com", False),
    ],
)
def test_with_an_allow_list_only_its_domains_and_what_is_below_them_are_used(url: str, used: bool) -> None:
    assert bool(led(url, Hosts(("pactsafe.com", "ironclad.test")))) is used


def test_the_log_says_why_a_url_was_dropped_but_not_which(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        led("https://10.0.0.1/s3cret-path")
    assert [r.json["field"] for r in caplog.records] == ["download_url", "signer.request_url"]  # type: ignore[attr-defined]
    assert {r.json["alert"] for r in caplog.records} == {"link_refused"}  # type: ignore[attr-defined]
    assert "s3cret" not in str([vars(r) for r in caplog.records])


LOCAL = Hosts(loopback=True)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/sandbox/sign/x", "http://localhost:1/", "https://[::1]/"])
def test_links_to_this_machine_are_used_where_the_api_is_on_it_and_nowhere_else(url: str) -> None:
    assert (led(url, LOCAL), led(url)) == (url, "")


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/", "http://sign.test/", "https://169.254.169.254/", "ftp://127.0.0.1/"]
)
def test_an_api_on_this_machine_may_not_lead_to_other_private_ones(url: str) -> None:
    assert led(url, LOCAL) == ""


def test_whether_the_api_is_on_this_machine_is_read_from_its_own_url() -> None:
    link = "http://127.0.0.1:9/sign"
    with StandIn(Reply(body={"signers": [{"id": "a", "request_url": link}]})) as vendor:
        answer = ClickwrapClient(vendor.url, "hush", FIELDS, rate=6_000).fetch("r1")
    assert answer.signers[0].request_url == link


@pytest.mark.parametrize(
    "key", ["../../admin", "a/b", "..", "x?y=z#f", "http://10.0.0.1/", "a\r\nHost: evil", "%2e%2e"]
)
def test_a_signers_id_stays_one_piece_of_the_path_however_it_is_spelt(key: str) -> None:
    with StandIn(Reply(body={"signers": [key]}), Reply(body={"email": "a@x.org"})) as vendor:
        ClickwrapClient(vendor.url, "hush", FIELDS, rate=6_000).fetch("r1")
    path = vendor.asked[1].path
    assert path.startswith("/signers/id:")
    assert not set(path.removeprefix("/signers/id:")) & set("/?#\r\n ")


def test_a_redirect_of_the_api_is_not_followed() -> None:
    with StandIn() as elsewhere, StandIn(Reply(302, headers={"Location": elsewhere.url})) as vendor:
        with pytest.raises(RetryLater, match="302"):
            ClickwrapClient(vendor.url, "hush", FIELDS, rate=6_000).fetch("r1")
        assert elsewhere.asked == []
