"""What the figures of a day count."""

from datetime import date, timedelta

from shared.domain.figures import DayFigures, by_day
from shared.domain.model import ChannelName, Kind, NoticeRecord, NoticeState, Transition
from tests.fakes import START

SMS, EMAIL, NONE = ChannelName
S = NoticeState


def record(*states: NoticeState, channel: ChannelName = SMS, day: int = 0, late: int = 4) -> NoticeRecord:
    """Begun on a day from START on, with `late` seconds between its states."""
    begun = START + timedelta(days=day)
    history = tuple(Transition(at=begun + n * timedelta(seconds=late), state=s) for n, s in enumerate(states))
    given = {"request_id": "r1", "signer": "k", "kind": Kind.INVITATION, "round": 1}
    return NoticeRecord(**given, channel=channel, state=states[-1], history=history)


def figures(*records: NoticeRecord, since: date = date(2026, 3, 1)) -> list[tuple[object, ...]]:
    return [(f.day.day, f.channel, f.sent, f.delivered, f.failed, f.usual) for f in by_day(records, since)]


def test_each_message_counts_on_the_day_it_began_by_how_it_ended():
    found = figures(
        record(S.SENDING, S.ACCEPTED, S.DELIVERED),
        record(S.SENDING, S.ACCEPTED, S.UNDELIVERED, late=8),
        record(S.SENDING, S.UNKNOWN, S.ACCEPTED, late=30),
        record(S.SENDING, S.FAILED),
        record(S.SUPPRESSED),
    )
    assert found == [(2, SMS, 3, 1, 2, 8.0)]


def test_the_first_answer_that_took_it_tells_how_long_it_took():
    assert figures(record(S.SENDING, S.ACCEPTED, S.UNKNOWN, S.ACCEPTED)) == [(2, SMS, 1, 0, 0, 4.0)]
    assert figures(record(S.SENDING)) == [(2, SMS, 0, 0, 0, 0.0)]


def test_days_and_channels_stand_apart_the_newest_first_and_what_went_by_none_is_left_out():
    one = S.ACCEPTED
    found = by_day(
        [record(one), record(one, day=1), record(one, channel=EMAIL, day=1), record(S.FAILED, channel=NONE, day=1)],
        date(2026, 3, 1),
    )
    assert [(f.day.day, f.channel, f.sent) for f in found] == [(3, SMS, 1), (3, EMAIL, 1), (2, SMS, 1)]


def test_only_days_after_the_one_given_are_counted():
    assert figures(record(S.FAILED), record(S.FAILED, day=1), since=date(2026, 3, 2)) == [(3, SMS, 0, 0, 1, 0.0)]


def test_a_day_without_figures_counts_nothing():
    none = DayFigures(day=date(2026, 3, 2), channel=SMS)
    assert (none.sent, none.delivered, none.failed, none.late, none.usual) == (0, 0, 0, [], 0.0)
