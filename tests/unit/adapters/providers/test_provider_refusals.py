"""What a provider's refusal means: try again, or give up, and for how long to wait."""

import pytest

from shared.adapters.providers.common.rules import by_status
from shared.adapters.providers.twilio import Twilio
from shared.domain.errors import PermanentFailure, RetryLater
from shared.ports import Outgoing
from tests.fakes import START
from tests.stand_in import Reply, StandIn


@pytest.mark.parametrize(
    ("status", "outcome"), [(408, RetryLater), (425, RetryLater), (402, RetryLater), (409, PermanentFailure)]
)
def test_what_is_not_the_messages_fault_is_not_held_against_it(status: int, outcome: type[Exception]) -> None:
    assert type(by_status(status, "KEY", "URL").error("Provider", status)) is outcome


@pytest.mark.parametrize(("code", "after", "of_message"), [(63038, 3600.0, False), (14107, 60.0, True)])
def test_twilios_429_waits_as_its_code_says(code: int, after: float, of_message: bool) -> None:
    with StandIn(Reply(429, {"code": code})) as stand_in:
        twilio = Twilio("AC", "token", "+13175550100", stand_in.url, "", lambda: START)
        with pytest.raises(RetryLater) as refused:
            twilio.send(Outgoing(notice="n", to="+13175550101", text="x"))
    assert (refused.value.after, refused.value.of_message) == (after, of_message)
