"""Apprise has a plug-in that posts JSON: provider enough to see what it is asked, and what we make of its answers."""

import pytest

from shared.adapters.providers.common.apprise import AppriseSender
from shared.adapters.providers.email import apprise
from shared.domain.errors import Accepted, OutcomeUnknown, RetryLater
from shared.setting_types import SettingError, Values
from tests.contract.channel_kit import EMAIL, NOW, SMS
from tests.stand_in import Reply, StandIn


def channel(server: StandIn) -> AppriseSender:
    return AppriseSender(server.url.replace("http://", "json://") + "/to/{to}", "APPRISE_SMS_URL")


def test_a_message_apprise_sends_is_accepted() -> None:
    with StandIn(Reply(200)) as server:
        assert channel(server).send(SMS) == Accepted("")
        assert server.asked[0].path == "/to/+13175551234"
        assert server.asked[0].json()["message"] == SMS.text


def test_an_email_goes_out_with_its_subject_and_page() -> None:
    with StandIn(Reply(200)) as server:
        channel(server).send(EMAIL)
        sent = server.asked[0].json()
    assert (sent["title"], "Hello Zoë" in sent["message"]) == (EMAIL.subject, True)


@pytest.mark.parametrize("reply", [Reply(400), Reply(500), Reply(fault="reset")])
def test_a_no_is_unknown_as_apprise_does_not_tell_why(reply: Reply, caplog: pytest.LogCaptureFixture) -> None:
    with StandIn(reply) as server:
        with pytest.raises(OutcomeUnknown) as raised:
            channel(server).send(SMS)
        assert len(server.asked) == 1
    assert SMS.to not in raised.value.reason + caplog.text


def test_a_url_apprise_does_not_know_keeps_the_message_and_names_the_setting() -> None:
    with pytest.raises(RetryLater, match="APPRISE_SMS_URL") as raised:
        AppriseSender("nonsense://{to}", "APPRISE_SMS_URL").send(SMS)
    assert raised.value.after == 900


def test_a_url_without_a_place_for_the_recipient_is_refused() -> None:
    with pytest.raises(SettingError, match=r"APPRISE_EMAIL_URL must be an Apprise URL with {to}"):
        apprise.Sender(Values({"APPRISE_EMAIL_URL": "json://127.0.0.1/"}), lambda: NOW)
