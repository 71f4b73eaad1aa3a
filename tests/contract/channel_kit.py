"""What every channel must do, whoever the provider is. A subclass says how its provider plays each part."""

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest
from msgspec.structs import replace as replace_struct

from shared.domain.errors import Accepted, CannotSay, OutcomeUnknown, PermanentFailure, RetryLater
from shared.domain.model import NoticeState
from shared.domain.receipts import InvalidSignature, Receipt, ReceiptRequest
from shared.ports import Channel, MessageFinder, Outgoing, Sought
from tests.stand_in import Asked, Reply, StandIn, closed_port

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DEADLINE = 1.0
NOTICE = "5f" * 32
GOLDEN = Path(__file__).parents[1] / "golden" / "channels"
SMS = Outgoing(notice=NOTICE, to="+13175551234", text='Eric has signed "A & B". 50% – ok? https://s.example/l/c0de')
EMAIL = Outgoing(
    notice=NOTICE,
    to="ann@example.com",
    subject='Please review & sign "Zoë’s Agreement"',
    text="Hello Zoë,\n\nhttps://s.example/l/c0de\n",
    html="<p>Hello Zoë,</p><p>https://s.example/l/c0de</p>",
)


class Stage(Protocol):
    """A provider that plays a part, and our channel to it."""

    def play(self, part: str) -> None:
        """Skips the test when this provider has no such part."""

    def channel(self) -> Channel: ...

    def unreachable(self) -> Channel: ...

    def calls(self) -> int:
        """How many messages it was asked to take."""


class ChannelKit:
    message: Outgoing
    provider_id: str
    credentials: str  # a variable the operator is told to check
    secrets: tuple[str, ...] = ()
    says_500_did_nothing = False  # its documentation, of a fault inside the provider

    @pytest.fixture
    def stage(self) -> Iterator[Stage]:
        raise NotImplementedError

    def refused(self, stage: Stage, part: str) -> PermanentFailure:
        stage.play(part)
        with pytest.raises(PermanentFailure) as raised:
            stage.channel().send(self.message)
        self.said_no_secret(raised.value.reason)
        return raised.value

    def later(self, stage: Stage, part: str) -> RetryLater:
        stage.play(part)
        with pytest.raises(RetryLater) as raised:
            stage.channel().send(self.message)
        self.said_no_secret(raised.value.reason)
        return raised.value

    def lost(self, stage: Stage, part: str) -> None:
        stage.play(part)
        with pytest.raises(OutcomeUnknown) as raised:
            stage.channel().send(self.message)
        self.said_no_secret(raised.value.reason)
        assert stage.calls() == 1, "never sent again blindly"

    def said_no_secret(self, reason: str) -> None:
        for secret in (*self.secrets, self.message.to, self.message.text, "s.example"):
            assert secret not in reason

    def test_a_message_the_provider_takes_is_accepted_under_its_id(self, stage: Stage) -> None:
        stage.play("accept")
        assert stage.channel().send(self.message) == Accepted(self.provider_id)
        assert stage.calls() == 1

    def test_refused_credentials_keep_the_message_and_name_the_setting(self, stage: Stage) -> None:
        error = self.later(stage, "bad credentials")
        assert error.after == 900
        assert self.credentials in error.reason

    def test_an_address_that_does_not_exist_is_given_up_and_suppressed(self, stage: Stage) -> None:
        assert self.refused(stage, "bad recipient").suppress

    def test_a_recipient_who_has_opted_out_is_given_up_and_suppressed(self, stage: Stage) -> None:
        assert self.refused(stage, "opted out").suppress

    def test_a_message_refused_for_itself_is_given_up_and_suppresses_nobody(self, stage: Stage) -> None:
        assert not self.refused(stage, "bad message").suppress
        assert stage.calls() <= 1

    def test_a_provider_that_is_busy_is_tried_again_at_our_own_pace(self, stage: Stage) -> None:
        refused = self.later(stage, "busy")
        assert refused.after is None
        assert refused.paced or not isinstance(stage, HttpStage)  # SMTP has no word for it

    def test_a_provider_that_names_a_wait_gets_it(self, stage: Stage) -> None:
        assert self.later(stage, "busy for 17 s").after == 17

    def test_a_provider_that_is_broken_is_tried_again(self, stage: Stage) -> None:
        self.later(stage, "broken")

    def test_a_provider_that_cannot_be_reached_is_tried_again(self, stage: Stage) -> None:
        with pytest.raises(RetryLater):
            stage.unreachable().send(self.message)

    def test_an_answer_that_does_not_come_in_time_is_unknown(self, stage: Stage) -> None:
        began = time.monotonic()
        self.lost(stage, "hang")
        assert time.monotonic() - began < DEADLINE + 2

    def test_a_connection_lost_after_the_message_left_is_unknown(self, stage: Stage) -> None:
        self.lost(stage, "reset")

    def test_a_gateway_that_lost_the_answer_is_unknown(self, stage: Stage) -> None:
        self.lost(stage, "bad gateway")

    def test_a_fault_inside_the_provider_is_unknown_unless_it_says_that_nothing_happened(self, stage: Stage) -> None:
        (self.later if self.says_500_did_nothing else self.lost)(stage, "fault inside")

    def test_a_success_that_makes_no_sense_is_unknown(self, stage: Stage) -> None:
        self.lost(stage, "garbage")

    def test_a_success_cut_in_half_is_unknown(self, stage: Stage) -> None:
        self.lost(stage, "truncate")

    def test_many_threads_may_send_through_one_channel(self, stage: Stage) -> None:
        stage.play("accept")
        channel, taken = stage.channel(), []
        threads = [threading.Thread(target=lambda: taken.append(channel.send(self.message))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert taken == [Accepted(self.provider_id)] * 4


@dataclass
class HttpStage:
    """Plays by HTTP answers; the faults that no provider has to itself are the same for all."""

    make: Callable[[str], Channel]
    parts: dict[str, Reply]
    server: StandIn
    common: dict[str, Reply] = field(
        default_factory=lambda: {
            "busy": Reply(429),
            "busy for 17 s": Reply(429, headers={"Retry-After": "17"}),
            "broken": Reply(503, b"<html>"),
            "hang": Reply(fault="hang"),
            "reset": Reply(fault="reset"),
            "bad gateway": Reply(502),
            "fault inside": Reply(500),
            "garbage": Reply(200, b"<html>It works!</html>"),
        }
    )

    def play(self, part: str) -> None:
        reply = {**self.common, **self.parts}.get(part)
        if reply is None:
            pytest.skip(f"this provider has no '{part}'")
        self.server.answer(reply)

    def channel(self) -> Channel:
        return self.make(self.server.url)

    def unreachable(self) -> Channel:
        return self.make(f"http://127.0.0.1:{closed_port()}")

    def calls(self) -> int:
        return len(self.server.asked)


class HttpChannelKit(ChannelKit):
    parts: dict[str, Reply]
    golden: str | dict[str, Any]  # the request on the wire, or the name of its file without suffix

    def make(self, url: str) -> Channel:
        raise NotImplementedError

    @pytest.fixture
    def stage(self) -> Iterator[HttpStage]:
        with StandIn() as server:
            yield HttpStage(self.make, self.parts, server)

    def test_the_request_is_exactly_what_the_vendor_describes(self, stage: HttpStage) -> None:
        stage.play("accept")
        stage.channel().send(self.message)
        golden = self.golden
        expected = golden if isinstance(golden, dict) else json.loads((GOLDEN / f"{golden}.json").read_text())
        assert wire(stage.server.asked[0], expected["headers"]) == expected

    def test_a_message_of_a_brand_goes_out_under_its_own_sender(self, stage: HttpStage) -> None:
        mail = "@" in self.message.to
        own = {"sender": "Other <hi@other.example>", "reply_to": "re@other.example"} if mail else {"sender": "Other"}
        stage.play("accept")
        stage.channel().send(replace_struct(self.message, **own))
        sent = json.dumps(wire(stage.server.asked[0], {}))
        assert "legal@example.com" not in sent
        assert ("hi@other.example" in sent and "re@other.example" in sent) if mail else '": "Other"' in sent

    @pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b'{"sid": null}', b"\xff"])
    def test_no_2xx_without_the_documented_proof_is_a_success(self, stage: HttpStage, body: bytes) -> None:
        for status in (200, 201, 202):
            stage.server.answer(Reply(status, body))
            with pytest.raises((OutcomeUnknown, PermanentFailure)):
                stage.channel().send(self.message)

    @pytest.mark.parametrize("status", [301, 302, 307, 404])
    def test_an_api_that_is_elsewhere_keeps_the_message_and_names_the_setting(
        self, stage: HttpStage, status: int
    ) -> None:
        stage.server.answer(Reply(status, headers={"Location": "/elsewhere"}))
        with pytest.raises(RetryLater, match="_API_URL") as raised:
            stage.channel().send(self.message)
        assert raised.value.after == 900
        assert stage.calls() == 1


class FinderKit:
    """For a provider that can be asked what it took. `lists` makes its answers that list these notices, and others."""

    sought: Sought
    provider_id: str
    golden: str

    def make(self, url: str) -> MessageFinder:
        raise NotImplementedError

    def lists(self, *notices: str) -> list[Reply]:
        raise NotImplementedError

    def ask(self, *replies: Reply) -> Accepted | None:
        with StandIn(*replies) as server:
            return self.make(server.url).find(self.sought)

    def test_a_message_that_it_took_is_found_under_the_id_that_a_send_would_have_given(self) -> None:
        assert self.ask(*self.lists("other", NOTICE)) == Accepted(self.provider_id)

    def test_one_that_it_does_not_list_is_not_there(self) -> None:
        assert self.ask(*self.lists()) is None

    def test_the_question_is_exactly_what_the_vendor_describes(self) -> None:
        with StandIn(*self.lists(NOTICE)) as server:
            self.make(server.url).find(self.sought)
            expected = json.loads((GOLDEN / f"{self.golden}.json").read_text())
            assert [wire(asked, expected[0]["headers"]) for asked in server.asked] == expected

    @pytest.mark.parametrize("status", [301, 400, 401, 403, 404])
    def test_a_refusal_to_tell_is_no_denial(self, status: int) -> None:
        with pytest.raises(CannotSay):
            self.ask(Reply(status, {"messages": [], "items": [], "Messages": []}))

    @pytest.mark.parametrize(
        "reply",
        [
            *(Reply(status) for status in (408, 425, 429, 500, 502, 503, 504)),
            *(Reply(fault=fault) for fault in ("hang", "reset")),
            *(
                Reply(200, body)
                for body in (b"", b"{}", b"[]", b"<html>", b'{"messages": 1, "items": {}}', b"[" * 10_000)
            ),
            Reply(200, {name: [None] for name in ("messages", "items", "Messages", "value")}),
        ],
    )
    def test_no_answer_is_no_denial(self, reply: Reply) -> None:
        with pytest.raises(RetryLater):
            self.ask(reply)

    def test_an_answer_cut_in_half_is_no_denial(self) -> None:
        with pytest.raises(RetryLater):
            self.ask(replace(self.lists()[0], fault="truncate"))

    def test_a_wait_that_it_names_is_kept(self) -> None:
        with pytest.raises(RetryLater) as raised:
            self.ask(Reply(429, headers={"Retry-After": "17"}))
        assert raised.value.after == 17

    def test_who_cannot_be_reached_denies_nothing(self) -> None:
        with pytest.raises(RetryLater):
            self.make(f"http://127.0.0.1:{closed_port()}").find(self.sought)

    def test_a_long_list_without_it_is_no_denial(self) -> None:
        with pytest.raises(CannotSay):
            self.ask(*self.lists(*(f"other-{n}" for n in range(100))))


def wire(asked: Asked, headers: dict[str, str]) -> dict[str, Any]:
    """The request in the form of a golden file, with the headers that one names."""
    kind = asked.headers.get("content-type", "").partition(";")[0]
    json, form = (lambda: {"json": asked.json()}), (lambda: {"form": asked.form()})
    forms = {"application/json": json, "application/x-amz-json-1.0": json, "text/plain": lambda: {"mime": mime(asked)}}
    body = {**forms, "": dict}.get(kind, form)()
    shown = {name: asked.headers.get(name) for name in headers}
    return {"method": asked.method, "path": asked.path, "headers": shown, **body}


def mime(asked: Asked) -> str:
    """The mail in a body in base64, as the golden file has it."""
    content = base64.b64decode(asked.body, validate=True).decode()
    assert "\r\n" in content
    return re.sub(r"={15}\d+==", "BOUNDARY", content.replace("\r\n", "\n"))


class ReceiptKit:
    """For a provider that sends receipts: `request` makes a signed one of each kind."""

    def reader(self) -> Any:
        raise NotImplementedError

    def request(self, kind: str) -> ReceiptRequest:
        raise NotImplementedError

    states = {
        "accepted": NoticeState.ACCEPTED,
        "delivered": NoticeState.DELIVERED,
        "undelivered": NoticeState.UNDELIVERED,
        "opted out": NoticeState.UNDELIVERED,
    }

    def read(self, kind: str) -> list[Receipt]:
        receipts: list[Receipt] = self.reader().receipts(self.request(kind), NOW)
        return receipts

    @pytest.mark.parametrize("kind", states)
    def test_a_receipt_tells_which_notice_and_what_became_of_it(self, kind: str) -> None:
        [receipt] = self.read(kind)
        assert receipt.notice == NOTICE
        assert receipt.provider_id
        assert receipt.state == self.states[kind]
        assert receipt.suppress == (kind == "opted out")
        assert bool(receipt.reason) == (receipt.state is NoticeState.UNDELIVERED)
        assert receipt.at.tzinfo is not None

    def test_a_receipt_that_comes_twice_reads_the_same_twice(self) -> None:
        assert self.read("delivered") == self.read("delivered")

    def test_receipts_read_the_same_in_any_order(self) -> None:
        reader = self.reader()
        late = reader.receipts(self.request("delivered"), NOW) + reader.receipts(self.request("accepted"), NOW)
        assert [r.state for r in late] == [NoticeState.DELIVERED, NoticeState.ACCEPTED]

    def test_an_event_that_tells_nothing_of_arrival_gives_no_receipt(self) -> None:
        assert self.read("other") == []

    def test_a_request_without_proof_is_forged(self) -> None:
        genuine = self.request("delivered")
        with pytest.raises(InvalidSignature):
            self.reader().receipts(ReceiptRequest(genuine.url, {}, re.sub(rb"sig(nature)?", b"x", genuine.body)), NOW)

    @pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"{", b"[]", b"null", b"a&b", b'{"signature": 1}', b"[1]"])
    def test_a_body_that_is_none_of_the_providers_raises_nothing_but_forged(self, body: bytes) -> None:
        genuine = self.request("delivered")
        with suppress(InvalidSignature):
            assert self.reader().receipts(ReceiptRequest(genuine.url, genuine.headers, body), NOW) == []
