"""One mail a day to each sender about all their requests, where SENDER_COPIES asks for it."""

from datetime import UTC, datetime

import msgspec
import pytest
from msgspec.structs import replace

from shared.domain.errors import OutcomeUnknown, PermanentFailure, RetryLater
from shared.domain.model import Event, NoticeRecord, NoticeState, Request, Status
from shared.domain.policy import Policy
from shared.services.daily_summary import MAX_CHECKED, MAX_REQUESTS
from shared.services.erasure import Erasure
from shared.settings.messages import SENDER_COPIES
from tests.fakes import Crash, World, answer, seen
from tests.lifecycles import COMPLETE, DAY, EXPIRED, HOUR, MINUTE, SENT, SIGNED

ANN, BOB = "ann@acme.test", "bob@acme.test"
MORNING = datetime(2026, 3, 3, 13, 0, tzinfo=UTC)  # 8:00 in New York, on the day after START
ONE_SIGNED = "signatures 1; complete []; expired []; open ['lease']"


class Office(World):
    """Several requests, each with the signers a and b."""

    def __init__(self, copies: str = "daily", **fields) -> None:
        super().__init__(Policy(sender_copies=SENDER_COPIES.parse(copies), **fields))

    def happens(self, what, request: str, signed: str = "", **fields) -> None:
        """A webhook about a request, of which the API says the same."""
        told = {"status": Status.OPEN, "sender_email": ANN} | fields
        people = told.pop("people", [seen(name, signed=name in signed) for name in "ab"])
        self.api.truth[request] = replace(answer(*people, **told), id=request, title=request)
        key = f"{what}-{signed}-{self.now}"
        event = Event(event=key, type=what, request=request, signer=(signed or "a")[-1], received_at=self.now)
        self.bus.pending.append((self.names.events_topic, msgspec.json.encode(event)))
        self.pump()

    def mails(self, to: str = ANN) -> list[str]:
        return [m.text for m in self.email.sent if m.to == to and m.subject == "day"]

    def until(self, at: datetime) -> None:
        self.advance(at - self.now, reconcile=True)


def signed_once(office: Office, request: str = "lease", **fields) -> Office:
    office.happens(SENT, request, **fields)
    office.happens(SIGNED, request, "a", **fields)
    return office


def test_what_became_of_all_requests_is_one_mail_in_the_next_morning():
    office = signed_once(Office())
    for name in ("nda", "offer", "order"):
        office.happens(SENT, name)
    office.happens(SIGNED, "nda", "ab", status=Status.COMPLETE)
    office.happens(COMPLETE, "nda", "ab", status=Status.COMPLETE)
    office.happens(EXPIRED, "offer", status=Status.EXPIRED)
    office.until(MORNING)
    assert office.mails() == []
    office.until(MORNING + HOUR)
    assert office.mails() == ["signatures 3; complete ['nda']; expired ['offer']; open ['order', 'lease']"]
    office.until(MORNING + 4 * DAY)
    assert len(office.mails()) == 1, "of days on which nothing happened there is none"


def test_each_day_is_told_once_whatever_comes_again():
    office = signed_once(Office())
    office.until(MORNING + HOUR)
    office.happens(SIGNED, "lease", "ab", status=Status.COMPLETE)
    office.happens(COMPLETE, "lease", "ab", status=Status.COMPLETE)
    for message in office.bus.topics[office.names.notices_topic] * 2:
        office.bus.pending.append((office.names.notices_topic, message.data))
    office.until(MORNING + 3 * DAY)
    assert office.mails() == [ONE_SIGNED, "signatures 1; complete ['lease']; expired []; open []"]


@pytest.mark.parametrize(("copies", "mails"), [("", 0), ("signed,complete", 0), ("complete,daily", 1)])
def test_it_is_sent_where_it_is_wanted(copies, mails):
    office = signed_once(Office(copies))
    office.until(MORNING + DAY)
    assert len(office.mails()) == mails


def test_each_sender_and_each_site_has_its_own_and_the_team_gets_the_rest():
    office = Office(sender_fallback=BOB)
    signed_once(office, "lease")
    signed_once(office, "lease at b", site="b")
    signed_once(office, "nda", sender_email="")
    signed_once(office, "order", sender_email=BOB)
    office.until(MORNING + DAY)
    assert sorted(office.mails(), key=len) == [ONE_SIGNED, ONE_SIGNED.replace("lease", "lease at b")]
    assert office.mails(BOB) == ["signatures 2; complete []; expired []; open ['order', 'nda']"]


def test_without_an_address_the_record_says_so():
    office = signed_once(Office(), sender_email="")
    office.until(MORNING + DAY)
    (record,) = [r for r in office.records() if r.kind == "copy_daily"]
    assert (record.state, record.reason[:30]) == (NoticeState.SUPPRESSED, "no address of the sender is kn")


def test_signers_who_are_not_reached_yet_are_named_with_the_cause():
    office = Office(tell_sender=True)
    office.sms.outcomes = [PermanentFailure("a landline", suppress=True)]
    office.happens(SENT, "lease", people=[seen("a"), seen("b"), seen("c", mobile="", email="")])
    office.advance(HOUR)
    office.happens(SIGNED, "lease", "b", people=[seen("a"), seen("b", signed=True), seen("c", mobile="", email="")])
    office.until(MORNING + HOUR)
    named = "lease: A address unusable; lease: C no address"
    assert office.mails() == [f"signatures 1; complete []; expired []; open ['lease']; {named}"]


def test_a_night_without_a_send_window_does_not_wait():
    office = signed_once(Office(window=None))
    office.until(datetime(2026, 3, 3, 5, 6, tzinfo=UTC))  # midnight in New York, and the five minutes of SPREAD
    assert office.mails() == [ONE_SIGNED]


def test_a_lost_answer_is_not_tried_again_by_another_request():
    office = signed_once(signed_once(Office()), "nda")
    office.email.outcomes = [OutcomeUnknown("time-out")]
    office.until(MORNING + 2 * DAY)
    assert (office.mails(), office.states("copy_daily")) == ([], [NoticeState.UNKNOWN])


def test_after_an_outage_of_days_it_is_too_late():
    office = signed_once(Office())
    office.email.always = RetryLater("down")
    office.until(MORNING + 3 * DAY)
    office.email.always = None
    office.until(MORNING + 5 * DAY)
    assert (office.mails(), office.states("copy_daily")) == ([], [NoticeState.SUPPRESSED])


@pytest.mark.parametrize("refusals", [[], [RetryLater("busy", after=600)]])
def test_a_request_whose_news_was_undone_leaves_the_mail_to_the_others(refusals):
    office = signed_once(signed_once(Office()), "nda")
    office.email.outcomes = list(refusals)
    stored = office.ledger.get(Request, "lease")
    people = {key: replace(s, signed_at=None) for key, s in stored.item.signers.items()}
    office.ledger.put("lease", replace(stored.item, signers=people), stored.version)
    office.advance(MORNING + 6 * MINUTE - office.now)
    sent = (m.data for m in office.bus.topics[office.names.notices_topic])
    office.bus.pending += [(office.names.notices_topic, data) for data in sent if b'"request":"lease"' in data]
    office.pump()
    assert office.states("copy_daily") == ["planned" if refusals else "accepted"]
    office.advance(HOUR)
    assert [mail[:12] for mail in office.mails()] == ["signatures 1"]


class Nothing:
    def forget(self, request: str) -> tuple[int, bool]:
        return 0, True


def forget(office: Office, request: str) -> None:
    Erasure(office.ledger, Nothing(), office.clock).forget(request, "me")


def test_it_keeps_nothing_of_a_forgotten_request_and_is_not_sent_again_for_it():
    office = signed_once(signed_once(Office()), "nda")
    office.until(MORNING + HOUR)
    (record,) = [r for r in office.records() if r.kind == "copy_daily"]
    assert (record.text, record.told) == ("", ())
    forget(office, "lease")
    forget(office, "nda")
    assert [r.kind for r in office.records()] == ["copy_daily"]
    signed_once(office, "order")
    office.until(MORNING + 12 * HOUR)
    assert len(office.mails()) == 1


def test_a_request_forgotten_before_is_not_in_it():
    office = signed_once(signed_once(Office()), "nda")
    forget(office, "nda")
    office.until(MORNING + HOUR)
    assert office.mails() == [ONE_SIGNED]


def test_not_more_is_read_than_the_time_allows():
    office = Office(tell_sender=True)
    office.happens(SENT, "lease", people=[seen("a"), seen("b", mobile="", email="")])
    office.advance(HOUR)
    office.happens(SIGNED, "lease", "a", people=[seen("a", signed=True), seen("b", mobile="", email="")])
    pattern = office.ledger.get(Request, "lease").item
    for n in range(MAX_CHECKED):
        office.ledger.put(f"more-{n}", replace(pattern, id=f"more-{n}", next_at=None), None)
    read, records = [], office.ledger.records
    office.advance(MORNING - office.now)
    office.ledger.records = lambda request, signer="": read.append(request) or records(request, signer)
    office.advance(HOUR)
    assert (len(office.mails()), len(read)) == (1, MAX_CHECKED)


def test_of_very_many_requests_the_last_ones_count():
    office = signed_once(Office())
    pattern = office.ledger.get(Request, "lease").item
    for n in range(MAX_REQUESTS + 10):
        office.ledger.put(f"more-{n}", replace(pattern, id=f"more-{n}", next_at=None), None)
    office.until(MORNING + HOUR)
    assert [mail[:15] for mail in office.mails()] == ["signatures 1000"]


def life(at: int | None) -> tuple[Office, bool]:
    """Dies at this point of the morning; what was under way comes again."""
    office, died = signed_once(signed_once(Office()), "nda"), False
    office.advance(MORNING - office.now)
    office.faults.count, office.faults.at = 0, at
    try:
        office.advance(HOUR)
    except Crash:
        died = True
        office.pump()
    office.points, office.faults.at = office.faults.count, None
    office.advance(6 * HOUR, reconcile=True)
    return office, died


def test_wherever_the_process_dies_the_day_is_told_once():
    for at in range(life(None)[0].points):
        office, died = life(at)
        assert died, f"point {at} was not reached"
        doubtful = office.states("copy_daily") == [NoticeState.UNKNOWN]
        assert doubtful or len(office.mails()) == 1, f"point {at}"
        assert len([r for r in office.ledger.all(NoticeRecord).values() if r.kind == "copy_daily"]) == 1
