"""Each provider that can be asked what it took, against the kit: the answers are those its documentation shows."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from shared.adapters.providers import registry
from shared.domain.errors import Accepted, CannotSay, RetryLater
from shared.domain.lost_answers import fingerprint
from shared.ports import MessageFinder, Sought
from tests.contract.channel_kit import EMAIL, NOTICE, NOW, SMS, FinderKit
from tests.contract.test_channels import TestMailgun as OfMailgun
from tests.contract.test_channels import TestMicrosoft as OfMicrosoft
from tests.contract.test_channels import TestPostmark as OfPostmark
from tests.contract.test_channels import TestTwilio as OfTwilio
from tests.contract.test_channels import mailgun, microsoft, microsofts_login, postmark, sendgrid, twilio
from tests.stand_in import Reply, StandIn

LEFT = NOW - timedelta(minutes=2)
UNTIL = NOW + timedelta(seconds=15)
BY_SMS = Sought(notice=NOTICE, to=SMS.to, fingerprint=fingerprint(SMS.text), since=LEFT, until=UNTIL)
BY_EMAIL = Sought(notice=NOTICE, to=EMAIL.to, fingerprint="", since=LEFT, until=UNTIL)


def finder(channel: Callable[[str], Any], url: str) -> MessageFinder:
    made = channel(url)
    assert isinstance(made, MessageFinder)
    return made


def of_twilio(body: str, sid: str = OfTwilio.provider_id, at: timedelta = timedelta(0)) -> dict[str, Any]:
    """A row of the list, as https://www.twilio.com/docs/messaging/api/message-resource shows it."""
    created = format_datetime(LEFT + at)
    return {"sid": sid, "body": body, "to": SMS.to, "date_created": created, "date_sent": None, "status": "queued"}


def twilio_list(*rows: dict[str, Any], more: str | None = None) -> Reply:
    return Reply(200, {"messages": rows, "page": 0, "page_size": 100, "next_page_uri": more})


class TestTwilio(FinderKit):
    sought, provider_id, golden = BY_SMS, OfTwilio.provider_id, "twilio-find"

    def make(self, url: str) -> MessageFinder:
        return finder(twilio, url)

    def lists(self, *notices: str) -> list[Reply]:
        rows = [of_twilio(SMS.text) if n == NOTICE else of_twilio(f"Another {n}", "SMx") for n in notices]
        return [twilio_list(*rows, more="/2010-04-01/next" if len(rows) == 100 else None)]

    @pytest.mark.parametrize(
        "body",
        [
            SMS.text,
            SMS.text.replace("–", "-"),
            f"Sent from your Twilio trial account - {SMS.text}",
            SMS.text.replace(" ", "\u00a0") + "\n",
        ],
    )
    def test_what_twilio_changes_in_a_text_makes_it_no_other_message(self, body: str) -> None:
        assert self.ask(twilio_list(of_twilio(body))) == Accepted(self.provider_id)

    def test_the_same_text_of_another_day_is_another_message(self) -> None:
        assert self.ask(twilio_list(of_twilio(SMS.text, at=-timedelta(days=4)))) is None

    def test_the_link_alone_does_not_make_it_the_same_message(self) -> None:
        assert self.ask(twilio_list(of_twilio("Completed: https://s.example/l/c0de"))) is None

    def test_a_list_that_goes_on_is_no_denial_though_it_reaches_back_before_the_send(self) -> None:
        """It is sorted by DateSent, which a queued message has not: where that stands, Twilio does not say."""
        old = of_twilio("Old", at=-timedelta(days=4))
        with pytest.raises(CannotSay):
            self.ask(twilio_list(of_twilio("New"), old, more="/2010-04-01/next"))

    def test_one_that_is_another_notices_is_passed_over(self) -> None:
        known = replace(BY_SMS, others=frozenset({"SM1"}))
        with StandIn(twilio_list(of_twilio(SMS.text, "SM1"), of_twilio(SMS.text, "SM2"))) as server:
            assert self.make(server.url).find(known) == Accepted("SM2")
            assert self.make(server.url).find(replace(known, others=frozenset({"SM1", "SM2"}))) is None

    def test_the_message_without_its_id_is_there_all_the_same(self) -> None:
        assert self.ask(twilio_list({**of_twilio(SMS.text), "sid": None})) == Accepted("")

    def test_an_account_that_keeps_no_texts_cannot_say(self) -> None:
        with pytest.raises(CannotSay):
            self.ask(twilio_list(of_twilio("")))

    def test_a_message_without_its_date_is_neither_counted_nor_left_out(self) -> None:
        with pytest.raises(RetryLater):
            self.ask(twilio_list({**of_twilio(SMS.text), "date_created": None}))

    def test_a_text_of_which_nothing_is_known_is_not_looked_for(self) -> None:
        with StandIn() as server, pytest.raises(CannotSay):
            self.make(server.url).find(replace(BY_SMS, fingerprint=""))
        assert server.asked == []


class TestMailgun(FinderKit):
    sought, provider_id, golden = BY_EMAIL, OfMailgun.provider_id, "mailgun-find"

    def make(self, url: str) -> MessageFinder:
        return finder(mailgun, url)

    def row(self, notice: str) -> dict[str, Any]:
        """As https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/logs shows it."""
        headers = {"to": EMAIL.to, "message-id": self.provider_id if notice == NOTICE else "other"}
        variables = msgspec.json.encode({"notice": notice}).decode()
        return {
            "event": "accepted",
            "recipient": EMAIL.to,
            "user-variables": variables,
            "message": {"headers": headers},
        }

    def lists(self, *notices: str) -> list[Reply]:
        return [Reply(200, {"items": [self.row(notice) for notice in notices], "pagination": {}})]

    def test_its_variables_may_be_an_object_too(self) -> None:
        row = {**self.row(NOTICE), "user-variables": {"notice": NOTICE}}
        assert self.ask(Reply(200, {"items": [row]})) == Accepted(self.provider_id)

    def test_variables_that_are_cut_off_may_be_ours(self) -> None:
        row = {**self.row(NOTICE), "user-variables": self.row(NOTICE)["user-variables"][:20]}
        with pytest.raises(CannotSay):
            self.ask(Reply(200, {"items": [row]}))

    @pytest.mark.parametrize("variables", ["", "{}", "[]", None, 1])
    def test_variables_of_other_senders_are_not_ours(self, variables: object) -> None:
        assert self.ask(Reply(200, {"items": [{**self.row(NOTICE), "user-variables": variables}]})) is None


class TestPostmark(FinderKit):
    sought, provider_id, golden = BY_EMAIL, OfPostmark.provider_id, "postmark-find"

    def make(self, url: str) -> MessageFinder:
        return finder(postmark, url)

    def lists(self, *notices: str) -> list[Reply]:
        rows = [{"MessageID": self.provider_id if n == NOTICE else "x", "Metadata": {"notice": n}} for n in notices]
        return [Reply(200, {"TotalCount": len(rows), "Messages": rows})]


class TestSendGrid(FinderKit):
    sought, provider_id, golden = BY_EMAIL, "14c5d75ce93", "sendgrid-find"

    def make(self, url: str) -> MessageFinder:
        return finder(sendgrid, url)

    def lists(self, *notices: str) -> list[Reply]:
        """The list, then each message of it: https://www.twilio.com/docs/sendgrid/api-reference/email-logs."""
        keys = [f"{self.provider_id if n == NOTICE else f'x{i}'}.recvd-1" for i, n in enumerate(notices)]
        rows = [{"sg_message_id": key, "to_email": EMAIL.to, "status": "processed"} for key in keys]
        shown = [
            Reply(200, {"sg_message_id": k, "custom_args": {"notice": n}}) for k, n in zip(keys, notices, strict=True)
        ]
        return [Reply(200, {"messages": rows}), *shown]

    def test_a_message_that_is_listed_and_not_shown_yet_is_asked_for_again(self) -> None:
        with pytest.raises(RetryLater):
            self.ask(self.lists("other")[0], Reply(404))

    def test_a_list_that_is_shown_slowly_is_left_in_time_for_the_failure_to_be_counted(self) -> None:
        """Eleven calls of 20 s would outlast the function."""
        times = (NOW + n * timedelta(seconds=6) for n in range(11))
        with StandIn(*self.lists(*(f"other-{n}" for n in range(10)))) as server:
            slow = finder(lambda url: sendgrid(url, lambda: next(times)), server.url)
            with pytest.raises(RetryLater, match="too long"):
                slow.find(self.sought)
        assert len(server.asked) == 4

    def test_a_message_shown_without_its_arguments_may_be_ours(self) -> None:
        with pytest.raises(CannotSay):
            self.ask(self.lists("other")[0], Reply(200, {"sg_message_id": "x"}))


class TestMicrosoft(FinderKit):
    sought, provider_id, golden = BY_EMAIL, OfMicrosoft.provider_id, "microsoft-find"

    @pytest.fixture(autouse=True)
    def login(self) -> Iterator[None]:
        with microsofts_login() as server:
            self.login_url = server.url
            yield

    def make(self, url: str) -> MessageFinder:
        return microsoft(url, self.login_url)

    def row(self, message_id: str, *to: str) -> dict[str, Any]:
        """As https://learn.microsoft.com/en-us/graph/api/user-list-messages shows it."""
        people = [{"emailAddress": {"name": "Ann", "address": address}} for address in to]
        return {"@odata.etag": "W/1", "id": "AAMk", "internetMessageId": message_id, "toRecipients": people}

    def lists(self, *notices: str) -> list[Reply]:
        rows = [self.row(self.provider_id if n == NOTICE else f"<{n}@prod.outlook.com>", EMAIL.to) for n in notices]
        return [Reply(200, {"value": rows})]

    @pytest.mark.parametrize("code", ["ErrorAccessDenied", "MailboxNotEnabledForRESTAPI", "ErrorAccountSuspend"])
    def test_who_may_only_send_cannot_say_and_is_not_asked_for_a_day(self, code: str) -> None:
        with pytest.raises(CannotSay):
            self.ask(Reply(403, {"error": {"code": code, "message": "Access is denied. Check credentials."}}))

    def test_a_token_that_is_refused_is_renewed_for_a_question_too(self) -> None:
        refused = Reply(401, {"error": {"code": "InvalidAuthenticationToken"}})
        assert self.ask(refused, *self.lists(NOTICE)) == Accepted(self.provider_id)

    @pytest.mark.parametrize(
        ("message_id", "to", "doubtful"),
        [
            (f"<{'0' * 64}@example.com>", EMAIL.to, False),  # another notice of ours
            ("<1@prod.outlook.com>", "bob@example.com", False),
            ("<1@prod.outlook.com>", "Ann@Example.com", True),  # ours, had Exchange given it an id of its own
        ],
    )
    def test_only_a_message_that_is_surely_not_ours_counts_as_none(
        self, message_id: str, to: str, doubtful: bool
    ) -> None:
        reply = Reply(200, {"value": [self.row(message_id, to)]})
        if doubtful:
            with pytest.raises(CannotSay):
                self.ask(reply)
        else:
            assert self.ask(reply) is None

    @pytest.mark.parametrize(
        "told", [{"value": [{"internetMessageId": None}]}, {"value": [], "@odata.nextLink": "https://..."}]
    )
    def test_a_list_that_does_not_tell_all_is_no_denial(self, told: dict[str, Any]) -> None:
        with pytest.raises(CannotSay):
            self.ask(Reply(200, told))


@pytest.mark.parametrize(("channel", "name"), registry.every())
def test_each_provider_can_be_asked_or_says_why_not(channel: Any, name: str) -> None:
    spec, sender = registry.spec(channel, name), registry.sender_class(channel, name)
    assert bool(spec.lag) != bool(spec.cannot_find)
    assert hasattr(sender, "find") == bool(spec.lag)
    assert getattr(sender, "lag", None) == spec.lag
    assert spec.lag is None or spec.lag >= 60, "longer than the 20 s for which a send may still be under way"
