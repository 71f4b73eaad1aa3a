"""What an error says is its reason, for a log and for whoever handles it."""

import pytest

from shared.domain.errors import CannotSay, OutcomeUnknown, PermanentFailure, RetryLater
from shared.domain.receipts import InvalidSignature


@pytest.mark.parametrize("kind", [CannotSay, InvalidSignature, OutcomeUnknown, PermanentFailure, RetryLater])
def test_its_text_is_its_reason(kind):
    assert [str(kind("the number is a landline")), kind("busy").reason] == ["the number is a landline", "busy"]


def test_what_is_to_be_done_about_it_is_said_only_where_it_is_known():
    bare, told = RetryLater("busy"), RetryLater("busy", 60, of_message=True)
    assert [(e.after, e.of_message) for e in (bare, told)] == [(None, False), (60, True)]
    assert [e.suppress for e in (PermanentFailure("x"), PermanentFailure("x", suppress=True))] == [False, True]
