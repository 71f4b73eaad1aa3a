"""The limit on our own calls of the API."""

import logging

import pytest

from shared.adapters.clickwrap.client import MAX_TURN_WAIT, Bucket
from shared.domain.errors import RetryLater


class Hour:
    """A clock that sleeping moves on."""

    def __init__(self, rate: float) -> None:
        self.now, self.slept = 0.0, list[float]()
        self.bucket = Bucket(rate, lambda: self.now, self.sleep)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_a_second_s_worth_of_calls_goes_at_once_and_the_next_wait_their_turn():
    hour = Hour(120)
    for _ in range(4):
        hour.bucket.take()
    assert hour.slept == pytest.approx([0.5, 0.5])


def test_it_fills_again_but_not_beyond_its_size():
    hour = Hour(120)
    hour.now += 1_000
    for _ in range(3):
        hour.bucket.take()
    assert hour.slept == pytest.approx([0.5])


def test_it_keeps_the_rate_and_turns_away_who_would_wait_too_long():
    bucket = Bucket(60, lambda: 0.0, lambda seconds: None)
    for _ in range(1 + int(MAX_TURN_WAIT)):
        bucket.take()
    with pytest.raises(RetryLater) as refused:
        bucket.take()
    assert refused.value.after == pytest.approx(MAX_TURN_WAIT + 1)


def test_a_rate_below_one_a_second_still_lets_one_go():
    hour = Hour(1)
    hour.bucket.take()
    with pytest.raises(RetryLater):
        hour.bucket.take()


def test_a_short_hold_is_waited_for_and_a_long_one_is_refused():
    hour = Hour(120)
    hour.bucket.hold(3)
    hour.bucket.take()
    assert hour.slept == [3]
    hour.bucket.hold(30)
    with pytest.raises(RetryLater, match="429") as refused:
        hour.bucket.take()
    assert refused.value.after == 30


def test_the_calls_are_told_once_a_minute_for_the_metric_of_the_budget(caplog: pytest.LogCaptureFixture) -> None:
    hour = Hour(600)
    caplog.set_level("INFO", "shared.adapters.clickwrap.client")
    logging.getLogger("shared").propagate = True  # an entry point that was started in this process ends it
    for _ in range(700):
        hour.bucket.take()
    assert [record.json["api_calls"] for record in caplog.records] == [pytest.approx(600, abs=11)]
