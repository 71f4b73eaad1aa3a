"""What a change sends to Firestore: the fields that differ, and no more."""

from datetime import UTC, datetime

from google.cloud.firestore import DELETE_FIELD
from msgspec.structs import replace

from shared.adapters.gcp.firestore import changes, dump
from shared.domain.model import ChannelName, Kind, Link, NoticeRecord, NoticeState, Transition

NOW = datetime(2026, 11, 3, 12, tzinfo=UTC)
SENDING = NoticeRecord(
    request_id="r1",
    signer="s1",
    kind=Kind.PROGRESS,
    about=1,
    channel=ChannelName.SMS,
    round=1,
    state=NoticeState.SENDING,
    attempts=1,
    lease_until=NOW,
    text="Eric has signed",
)


def test_the_outcome_of_a_notice_is_a_few_of_its_fields() -> None:
    history = (Transition(at=NOW, state=NoticeState.ACCEPTED),)
    accepted = replace(SENDING, state=NoticeState.ACCEPTED, provider_id="SM1", lease_until=None, history=history)
    assert changes(SENDING, accepted) == {
        "state": "accepted",
        "provider_id": "SM1",
        "lease_until": DELETE_FIELD,
        "history": [{"at": NOW, "state": "accepted"}],
    }


def test_a_field_that_lists_look_for_is_always_named() -> None:
    assert changes(SENDING, replace(SENDING, attempts=2)) == {"state": "sending", "attempts": 2}


def test_where_nothing_differs_all_is_written() -> None:
    link = Link(request_id="r1", signer="s1", round=1)
    assert changes(link, link) == dump(link)
