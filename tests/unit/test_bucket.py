"""Our own budget of API calls."""

import pytest

from shared.adapters.clickwrap import Bucket
from shared.domain.outcomes import Retry


def test_the_bucket_fills_again_but_not_beyond_its_size():
    now = [0.0]
    bucket = Bucket(120, clock=lambda: now[0])
    for _ in range(2):
        bucket.take()
    with pytest.raises(Retry) as e:
        bucket.take()
    assert e.value.after == pytest.approx(0.5)
    now[0] += 0.5
    bucket.take()
    now[0] += 1_000
    for _ in range(2):
        bucket.take()
    with pytest.raises(Retry):
        bucket.take()
