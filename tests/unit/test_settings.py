"""A wrong or missing variable stops the start with one line that names it and says what it should be."""

from datetime import UTC, datetime, time, timedelta

import pytest

from shared.adapters.clickwrap.fields import FIELDS
from shared.domain.model import ChannelName
from shared.domain.policy import Policy
from shared.services.resource_names import ResourceNames
from shared.setting_types import SettingError, Values, number, secret, url
from shared.settings import Settings
from shared.settings.channels import MAX_DELIVERY_ATTEMPTS, SHORTENER
from shared.settings.clickwrap import CLICKWRAP_FIELDS

LOCAL = {"BACKEND": "embedded"}


def policy(**given: str) -> Policy:
    return Settings(given).policy()


def test_without_any_variable_the_defaults_hold():
    assert policy() == Policy(available=frozenset(), opens_seen=True)
    assert Settings({}).names() == ResourceNames()
    assert Settings({})[CLICKWRAP_FIELDS] == FIELDS
    assert (Settings({}).backend, Settings({})[SHORTENER]) == ("gcp", "links")


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("REMINDER_DAYS", " 1, 2,30 ", "reminder_days", (1, 2, 30)),
        ("SEND_WINDOW", "09:30-18:00", "window", (time(9, 30), time(18))),
        ("SEND_WINDOW", "off", "window", None),
        ("REMINDER_SPREAD", "90", "spread", timedelta(minutes=90)),
        ("DEFAULT_REGION", "gb", "region", "GB"),
        ("DEFAULT_TIMEZONE", "Europe/London", "timezone", "Europe/London"),
        ("CHANNEL_POLICY", "email-first", "channels", "email-first"),
        ("SMS_PROVIDER", "twilio", "available", frozenset({ChannelName.SMS})),
        ("EMAIL_PROVIDER", "smtp", "available", frozenset({ChannelName.EMAIL})),
        ("PROGRESS_TO", "all", "progress_to", "all"),
        ("PROGRESS_MAX_SIGNERS", "3", "progress_max_signers", 3),
        ("RETENTION_DAYS", "32", "retention_days", 32),
        (
            "RESTORED",
            "2026-11-25T14:03:00Z/2026-11-25T15:10:00Z",
            "restored",
            (datetime(2026, 11, 25, 14, 3, tzinfo=UTC), datetime(2026, 11, 25, 15, 10, tzinfo=UTC)),
        ),
        ("MAX_ATTEMPTS", "1", "max_attempts", 1),
        ("COMPLETION_LINK", "auto", "completion_link", "auto"),
        ("SENDER_FALLBACK", " Team@X.org", "sender_fallback", "team@x.org"),
        ("TELL_SENDER", "on", "tell_sender", False),  # without a provider of e-mail
        ("EMAIL_PROVIDER", "smtp", "tell_sender", True),
        ("MAX_ATTEMPTS", "  ", "max_attempts", 20),
    ],
)
def test_each_variable_is_read(name, value, field, expected):
    assert getattr(policy(**{name: value}), field) == expected


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("REMINDER_DAYS", ["0", "3,3", "7,3", "x", "3,,7", "1.5"]),
        (
            "RESTORED",
            [
                "2026-11-25T14:03:00Z",
                "2026-11-25T14:03:00/2026-11-25T15:10:00",
                "2026-11-25T14:03:00Z/2026-11-25T14:03:00Z",
                "x/y",
            ],
        ),
        ("SEND_WINDOW", ["21:00-08:00", "08:00", "8-21", "08:00-08:00", "08:00-25:00", "on"]),
        ("DEFAULT_REGION", ["USA", "1A", "U"]),
        ("DEFAULT_TIMEZONE", ["Mars/Base", "../etc/passwd", "/etc/passwd", "America"]),
        ("CHANNEL_POLICY", ["fax"]),
        ("SMS_PROVIDER", ["Twilio", "smtp"]),
        ("EMAIL_PROVIDER", ["twilio"]),
        ("PROGRESS_TO", ["some"]),
        ("PROGRESS_MAX_SIGNERS", ["0", "many", "nan", "inf"]),
        ("RETENTION_DAYS", ["31", "-1", "32.5"]),
        ("MAX_ATTEMPTS", ["0"]),
        ("COMPLETION_LINK", ["none"]),
        ("SENDER_FALLBACK", ["ann", "a@x.org,b@x.org", "Ann <a@x.org>"]),
        ("SECONDS_PER_DAY", ["0", "-1", "x"]),
        ("BACKEND", ["aws"]),
    ],
)
def test_a_wrong_value_is_named_in_one_line(name, values):
    for value in values:
        with pytest.raises(SettingError) as e:
            policy(**{"SECONDS_PER_DAY": "60", **LOCAL, name: value})
        line = str(e.value)
        assert line.startswith(f"{name} '{value}' must be ")
        assert "\n" not in line


def test_a_short_day_is_for_local_use_only_and_has_no_night():
    with pytest.raises(SettingError, match="SECONDS_PER_DAY is for local use only"):
        policy(SECONDS_PER_DAY="60")
    short = policy(SECONDS_PER_DAY="60", **LOCAL)
    assert (short.day, short.window) == (60, None)
    assert policy(SECONDS_PER_DAY="60", SEND_WINDOW="08:00-21:00", **LOCAL).window == (time(8), time(21))


@pytest.mark.parametrize("name", ["project", "location"])
def test_a_missing_variable_is_named(name):
    with pytest.raises(SettingError, match="is not set"):
        getattr(Settings({}), name)
    given = Settings({"GOOGLE_CLOUD_PROJECT": "p", "LOCATION": "l"})
    assert getattr(given, name) == name[0]


@pytest.mark.parametrize(("value", "tokens"), [("a", ("a",)), (" a , b ,", ("a", "b"))])
def test_one_or_two_webhook_tokens_are_taken(value, tokens):
    assert Settings({"BACKEND": "embedded", "CLICKWRAP_WEBHOOK_TOKENS": value}).webhook_tokens == tokens


@pytest.mark.parametrize("value", ["", ",", "hush1,hush2,hush3"])
def test_no_token_or_three_are_refused_without_being_shown(value):
    with pytest.raises(SettingError, match="CLICKWRAP_WEBHOOK_TOKENS") as e:
        assert Settings({"CLICKWRAP_WEBHOOK_TOKENS": value}).webhook_tokens
    assert "hush" not in str(e.value)


def test_a_secret_with_a_wrong_value_is_not_shown():
    with pytest.raises(SettingError) as e:
        _ = Values({"SOME_PIN": "hush"})[number("SOME_PIN", "", 1, secret=True)]
    assert str(e.value) == "SOME_PIN must be a number, 1 or more"


def test_urls_must_be_https_except_on_loopback():
    setting = url("X", "")
    assert Values({"X": "https://x.org/"})[setting] == "https://x.org"
    assert Values({"X": "http://127.0.0.1:80"})[setting] == "http://127.0.0.1:80"
    assert Values({})[setting] == ""
    with pytest.raises(SettingError, match=r"X 'http://x\.org' must be an https:// URL"):
        _ = Values({"X": "http://x.org"})[setting]
    with pytest.raises(SettingError, match="X is not set"):
        Values({}).required(setting)
    with pytest.raises(SettingError, match="Y is not set"):
        _ = Values({})[secret("Y", "")]


def test_field_paths_can_be_overridden_one_by_one():
    fields = Settings({"CLICKWRAP_FIELDS": '{"title": "a.b", "id": ["x", "y"]}'})[CLICKWRAP_FIELDS]
    assert (fields["title"], fields["id"], fields["status"]) == (("a.b",), ("x", "y"), FIELDS["status"])


def test_fields_for_the_templates_can_be_added():
    value = '{"metadata.deal": ["custom_data.deal"], "signer.metadata.team": "team"}'
    fields = Settings({"CLICKWRAP_FIELDS": value})[CLICKWRAP_FIELDS]
    assert (fields["metadata.deal"], fields["signer.metadata.team"]) == (("custom_data.deal",), ("team",))


@pytest.mark.parametrize(
    "value",
    ["x", "[]", '""', "null", "5", '{"titel": "a"}', '{"title": 5}', '{"metadata.": "a"}', '{"metadata.A-b": "a"}'],
)
def test_wrong_field_paths_are_refused(value):
    with pytest.raises(SettingError, match="CLICKWRAP_FIELDS"):
        _ = Settings({"CLICKWRAP_FIELDS": value})[CLICKWRAP_FIELDS]


def test_a_site_has_its_own_brand_and_the_relays_for_the_rest():
    given = {"BRAND_NAME": "Acme", "EMAIL_FROM": "Acme <a@acme.example>", "BRANDS": '{"7": {"name": "Other"}}'}
    brands = Settings(given).brands()
    assert (brands.of("").name, brands.of("7").name, brands.of("8").name) == ("Acme", "Other", "Acme")
    assert brands.of("7").contact == "a@acme.example"
    assert Settings({**given, "EMAIL_REPLY_TO": "r@acme.example"}).brands().of("").contact == "r@acme.example"
    assert Settings({**given, "BRAND_CONTACT": "555 0100"}).brands().of("").contact == "555 0100"


@pytest.mark.parametrize(
    "value",
    [
        "x",
        "[]",
        '{"7": "Acme"}',
        '{"7": {"nmae": "Acme"}}',
        '{"7": {"name": 5}}',
        '{"7": {"email_from": "nobody"}}',
        '{"7": {"links_domain": "https://go.acme.example"}}',
    ],
)
def test_a_wrong_brand_is_refused(value):
    with pytest.raises(SettingError, match="BRANDS"):
        Settings({"BRANDS": value}).brands()


CLOUD = "https://us-central1-relay.cloudfunctions.net/links"


@pytest.mark.parametrize(
    ("environ", "warned"),
    [
        ({"SMS_PROVIDER": "twilio", "LINKS_BASE_URL": CLOUD}, True),
        ({"SMS_PROVIDER": "twilio", "LINKS_BASE_URL": "https://links-abc.a.run.app"}, True),
        ({"SMS_PROVIDER": "twilio", "LINKS_BASE_URL": CLOUD, "LINKS_DOMAIN": "go.acme.example"}, False),
        ({"SMS_PROVIDER": "twilio", "LINKS_BASE_URL": "https://go.acme.example"}, False),
        ({"SMS_PROVIDER": "twilio", "LINKS_BASE_URL": CLOUD, "SHORTENER": "none"}, False),
        ({"LINKS_BASE_URL": CLOUD}, False),
    ],
)
def test_texts_with_links_on_googles_domain_are_warned_of(environ, warned):
    found = [
        line
        for line in Settings({"RECEIPTS_BASE_URL": "https://r.example", **environ}).warnings()
        if "LINKS_DOMAIN" in line
    ]
    assert len(found) == warned


@pytest.mark.parametrize(
    ("name", "value"), [("MAX_ATTEMPTS", "1.5"), ("DEFAULT_REGION", "ZZ"), ("PROGRESS_MAX_SIGNERS", "2.5")]
)
def test_a_value_that_would_mean_something_else_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=name):
        Settings({name: value}).policy()


@pytest.mark.parametrize("value", ["4", "101", "many"])
def test_deliveries_are_as_many_as_pub_sub_takes(value: str) -> None:
    assert Settings({})[MAX_DELIVERY_ATTEMPTS] == 100
    with pytest.raises(SettingError, match="MAX_DELIVERY_ATTEMPTS"):
        _ = Settings({"MAX_DELIVERY_ATTEMPTS": value})[MAX_DELIVERY_ATTEMPTS]


@pytest.mark.parametrize(("name", "value"), [("REMINDER_DAYS", "3,9999999"), ("RETENTION_DAYS", "9999999")])
def test_spans_past_the_end_of_the_calendar_stop_the_start(name, value):
    with pytest.raises(SettingError, match=f"{name} '{value}' must be"):
        Settings({name: value}).policy()


@pytest.mark.parametrize(
    ("backend", "length", "right"), [("gcp", 31, False), ("gcp", 32, True), ("emulators", 1, True)]
)
def test_a_short_secret_of_our_own_is_refused_where_the_relay_is_deployed(backend, length, right):
    from shared.adapters.shorteners.links import SECRET

    given = Settings(
        {"BACKEND": backend, "CLICKWRAP_WEBHOOK_TOKENS": f"{'y' * 32},{'x' * length}", "LINKS_SECRET": "z" * length}
    )
    reads = {"CLICKWRAP_WEBHOOK_TOKENS": lambda: given.webhook_tokens, "LINKS_SECRET": lambda: given.strong(SECRET)}
    for name, read in reads.items():
        if right:
            assert read()
        else:
            with pytest.raises(SettingError, match=f"{name} must have 32 characters"):
                read()
