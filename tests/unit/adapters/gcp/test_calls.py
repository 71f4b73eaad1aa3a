"""A call that Google would refuse again is a permanent failure; any other is retried."""

import pytest
from google.api_core.exceptions import InvalidArgument, ServiceUnavailable

from shared.adapters.gcp.calls import reaching
from shared.domain.errors import PermanentFailure, RetryLater

TOO_LARGE, BUSY = InvalidArgument("1 MiB"), ServiceUnavailable("busy")


@pytest.mark.parametrize(("fault", "outcome"), [(TOO_LARGE, PermanentFailure), (BUSY, RetryLater)])
def test_a_refusal_for_good_is_told_from_one_that_may_pass(fault: Exception, outcome: type[Exception]) -> None:
    with pytest.raises(outcome) as raised, reaching("Firestore"):
        raise fault
    assert "Firestore" in str(raised.value)
    assert "1 MiB" not in str(raised.value)
