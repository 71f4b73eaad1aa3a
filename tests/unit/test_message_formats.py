"""Messages in topics and tasks compared with golden files, since other programs read them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.domain.model import (
    ChannelName,
    Event,
    EventType,
    Kind,
    Notice,
    NoticeState,
    Request,
    Signer,
    SignerState,
    Status,
)
from shared.domain.notice_event import notice_event
from shared.domain.notice_record import changed_to, first_record
from shared.domain.planner import fallback_of, notice_for
from shared.domain.policy import Policy
from shared.domain.status_event import status_event
from shared.handlers.remind import Firing
from shared.services.deferral import push_envelope
from shared.services.messages import notice_message

GOLDEN = Path(__file__).parents[1] / "golden" / "messages"
AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
SIGNERS = {
    "0123456789abcdef": Signer(number=1, name="Eric Smith", mobile="+13175551234", state=SignerState.SIGNED),
    "fedcba9876543210": Signer(number=2, name="Jane Doe", email="jane@example.com", state=SignerState.INVITED),
}
REQUEST = Request(
    id="123456abcdef",
    title="Employment Agreement",
    status=Status.OPEN,
    signers=SIGNERS,
    status_sequence=7,
    status_at=AT,
)
EVENT = Event(event="abcdef12345", type=EventType.SIGNED, request="123456abcdef", signer="a-signer-id", received_at=AT)
FIRST = notice_for(REQUEST, "fedcba9876543210", Kind.INVITATION, ChannelName.SMS)
RECORD = changed_to(
    first_record(FIRST, NoticeState.SENDING, AT, Policy()), NoticeState.FAILED, AT, "Twilio: a landline (30006)"
)
INSTEAD = fallback_of(REQUEST, FIRST, Policy(channels="sms-first"))
SHAPES: dict[str, Any] = {
    "clickwrap-events": EVENT,
    "signer-notices": msgspec.Raw(
        notice_message(notice_for(REQUEST, "fedcba9876543210", Kind.PROGRESS, ChannelName.EMAIL, about=1)).data
    ),
    "signer-notices-instead": msgspec.Raw(notice_message(INSTEAD).data),
    "request-status": status_event(REQUEST),
    "request-status-notice": notice_event("ab" * 32, RECORD, AT, Policy()),
    "reminder-task": Firing(request="123456abcdef", signer="fedcba9876543210", reminder_day=3, task="ab" * 32),
    "deferred-message": msgspec.Raw(
        push_envelope(b'{"v":1}', "defer-1", AT, {"channel": "sms", "failing_since": AT.isoformat()})
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_shape_on_the_wire_is_the_golden_one(name: str) -> None:
    assert json.loads(msgspec.json.encode(SHAPES[name])) == json.loads((GOLDEN / f"{name}.json").read_text())


@pytest.mark.parametrize("name", [name for name in SHAPES if "-task" not in name and "deferred" not in name])
def test_no_contact_and_no_link_rests_in_a_topic(name: str) -> None:
    text = msgspec.json.encode(SHAPES[name]).decode()
    assert not [word for word in ("+1317", "jane@", "Eric", "http") if word in text]


class OldNotice(msgspec.Struct, frozen=True, kw_only=True):
    """What `deliver` read before a notice could stand in for another."""

    v: int = 1
    notice: str
    request: str
    signer: str
    kind: Kind
    reminder_day: int
    about: int
    channel: ChannelName
    round: int


@pytest.mark.parametrize("name", ["signer-notices", "signer-notices-instead"])
def test_a_deliver_of_the_last_version_reads_what_resolve_publishes_now(name: str) -> None:
    assert msgspec.json.decode((GOLDEN / f"{name}.json").read_bytes(), type=OldNotice).request == REQUEST.id


@pytest.mark.parametrize(
    ("name", "kind"), [("clickwrap-events", Event), ("signer-notices", Notice), ("reminder-task", Firing)]
)
def test_readers_take_a_later_version_with_keys_they_do_not_know(name: str, kind: Any) -> None:
    golden = json.loads((GOLDEN / f"{name}.json").read_text())
    later = json.dumps({**golden, "v": 2, "more": {"new": True}})
    assert msgspec.json.decode(later, type=kind).request == REQUEST.id


def test_a_notice_without_the_new_key_is_one_that_stands_in_for_none() -> None:
    notice = msgspec.json.decode((GOLDEN / "signer-notices.json").read_bytes(), type=Notice)
    assert not notice.instead_of
    assert msgspec.json.decode((GOLDEN / "signer-notices-instead.json").read_bytes(), type=Notice).instead_of
