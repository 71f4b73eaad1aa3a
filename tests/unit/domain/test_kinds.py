"""The kinds of notice: how long each is worth sending, and how it is named."""

from datetime import timedelta

import pytest

from shared.domain.kinds import described, useful_for
from shared.domain.model import ChannelName, Kind, Notice
from shared.domain.policy import Policy


def notice(kind: Kind, **fields: int) -> Notice:
    return Notice(notice="n", request="r1", signer="k", kind=kind, channel=ChannelName.SMS, round=1, **fields)


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        (Kind.INVITATION, {}, "Invitation"),
        (Kind.REMINDER, {"reminder_day": 7}, "Reminder of day 7"),
        (Kind.PROGRESS, {"about": 2}, "Progress about signer 2"),
        (Kind.COMPLETION, {}, "Completion"),
        (Kind.UNREACHED, {}, "Mail to the sender about signers not reached"),
        (Kind.COPY_SIGNED, {"about": 2}, "Copy to the sender: signed, about signer 2"),
        (Kind.COPY_COMPLETE, {}, "Copy to the sender: complete"),
        (Kind.COPY_EXPIRED, {}, "Copy to the sender: expired"),
    ],
)
def test_each_kind_is_named_with_its_day_or_the_signer_it_is_about(kind, fields, words):
    assert described(notice(kind, **fields)) == words


@pytest.mark.parametrize(
    ("kind", "day", "days"),
    [
        (Kind.REMINDER, 3, 4),
        (Kind.REMINDER, 7, 7),
        (Kind.REMINDER, 14, 7),
        (Kind.REMINDER, 0, 3),
        (Kind.INVITATION, 0, 7),
        (Kind.PROGRESS, 0, 1),
        (Kind.COMPLETION, 0, 7),
        (Kind.UNREACHED, 0, 7),
        (Kind.COPY_SIGNED, 0, 1),
        (Kind.COPY_COMPLETE, 0, 7),
        (Kind.COPY_EXPIRED, 0, 7),
    ],
)
def test_each_is_worth_sending_for_its_days_and_a_reminder_until_the_next_at_most(kind, day, days):
    policy = Policy(reminder_days=(3, 7, 14))
    assert useful_for(kind, policy, day) == timedelta(days=days)
    assert useful_for(kind, policy) == useful_for(kind, policy, 0)
