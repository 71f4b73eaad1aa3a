"""What a dead letter says of itself, by the attributes that Pub/Sub gives it."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from shared.domain.dead_letters import DeadLetter, kept_by, letter
from tests.fakes import START

COUNT = "CloudPubSubDeadLetterSourceDeliveryCount"


@pytest.mark.parametrize(
    ("attributes", "attempts", "reason"),
    [
        ({COUNT: "100"}, 100, "not handled in 100 deliveries; the function's log says why"),
        ({COUNT: "100", "reason": "no such request"}, 100, "no such request"),
        ({"reason": "no such request"}, 1, "no such request"),
        ({COUNT: "many"}, 1, "not handled in many deliveries; the function's log says why"),
        ({}, 1, "not handled in 1 deliveries; the function's log says why"),
    ],
)
def test_it_tells_how_often_it_was_tried_and_why_it_was_given_up(attributes, attempts, reason):
    found = letter("signer-notices", "k", b"{}", attributes, START, "handle")
    expected = DeadLetter(
        key="k", topic="signer-notices", data=b"{}", at=START, attempts=attempts, reason=reason, handle="handle"
    )
    assert found == expected


def test_its_time_is_in_utc():
    found = letter("t", "k", b"", {}, datetime(2026, 3, 2, 16, tzinfo=timezone(timedelta(hours=1))), None)
    assert (found.at, found.at.tzinfo) == (START, UTC)


def test_its_topic_is_kept_by_a_subscription_of_its_own():
    assert kept_by("signer-notices") == "signer-notices-dead-kept"
