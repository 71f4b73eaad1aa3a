"""The twelve cases of support, put into the ledger of a running stack, and the first sentence that each must show."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from local.emulation.embedded import Embedded
from local.emulation.http_push import Pace
from shared.domain.dead_letters import dead_topic
from shared.domain.model import (
    ChannelName,
    Kind,
    NoticeRecord,
    NoticeState,
    Outage,
    RelayStatus,
    Reminder,
    Request,
    Signer,
    SignerState,
    Status,
    Suppression,
    Transition,
)
from shared.domain.planner import notice_for
from shared.domain.policy import Policy, address_key
from shared.domain.search import words_of
from shared.ports import Message
from shared.services.relay_status import RELAY
from tests.e2e.stack import Running

POLICY = Policy(address_secret="local-address-secret")
SMS, EMAIL = ChannelName.SMS, ChannelName.EMAIL
FILTERED = "Twilio: filtered by the carrier (30007)"
STOP = "Twilio: the recipient has opted out (STOP) (21610)"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# The relay's window of a stack with these cases: it opens in some hours, in UTC, on whatever day that is.
WINDOW_IN = 3


class Case(msgspec.Struct, frozen=True):
    """sentence: the first on the page; `{...}` are times."""

    id: str
    title: str
    sentence: str


CASES = (
    Case("case-01", "Invalid number", "Not reached: the number '12345' is not a phone number."),
    Case("case-02", "Opted out", f"Not reached: {STOP}."),
    Case(
        "case-03",
        "Signed by another channel",
        "Nothing to do: has signed, though no message of ours had arrived: Twilio: the number is a landline (21635).",
    ),
    Case(
        "case-04",
        "Provider down",
        "Will be tried at {retry} UTC: smtp has failed since {down} UTC; the invitation by e-mail waits for it.",
    ),
    Case(
        "case-05",
        "Unknown",
        "Perhaps reached: the invitation by SMS may have left: the answer of twilio was lost.",
    ),
    Case(
        "case-06",
        "Waiting for the window",
        "Will be tried at {opens} UTC: the reminder of day 7 by e-mail waits for the send window.",
    ),
    Case("case-07", "Not their turn", "Waiting: it is not their turn: one signer before them has not signed."),
    Case(
        "case-08",
        "Expired",
        f"Ended: the request has expired, though no message of ours had arrived: {FILTERED}.",
    ),
    Case("case-09", "Disputed", "Waiting: a webhook says that all have signed, and the API denies it."),
    Case("case-10", "Removed", "Nothing to do: no longer on the request."),
    Case("case-11", "Duplicate person", "Reached: the invitation by SMS arrived; signer 2 has the same address."),
    Case("case-12", "Dead letter", "Not reached: the invitation by SMS was given up and is a dead letter."),
)


def window(now: datetime) -> str:
    """A send window that is closed now."""
    opens = now.replace(minute=0) + WINDOW_IN * HOUR
    opens = opens if opens.hour < 23 else opens + HOUR * 2
    return f"{opens:%H:%M}-{opens + HOUR:%H:%M}"


def settings(now: datetime) -> dict[str, str]:
    return {"SEND_WINDOW": window(now), "DEFAULT_TIMEZONE": "UTC"}


def prepare(stack: Running, now: datetime) -> dict[str, str]:
    """Puts all of them into the ledger. Returns the sentences by id, with their times."""
    embedded = Embedded(stack.directory / "relay.db", lambda: datetime.now(UTC), Pace(1, 1))
    outage = Outage(since=now - HOUR, last=now, until=now + HOUR, failures=9)
    embedded.ledger.update(
        RelayStatus, RELAY, lambda old: replace(old or RelayStatus(), circuits={"email smtp": outage})
    )
    blocked = Suppression(channel=SMS, reason=STOP, since=now)
    embedded.ledger.put(address_key(SMS, "+13175550102", POLICY), blocked, None)
    for case in CASES:
        request, records = MAKERS[case.id](now)
        request = replace(request, id=case.id, title=f"Lease: {case.title}", sender="Ann Sender", changed_at=now)
        embedded.ledger.put(case.id, replace(request, search=words_of(request)), None)
        for n, record in enumerate(records):
            key = notice_for(request, record.signer, record.kind, record.channel).notice if n == 0 else f"{case.id}-{n}"
            embedded.ledger.put(key, replace(record, request_id=case.id), None)
        if case.id == "case-12":
            notice = notice_for(request, "k", Kind.INVITATION, SMS)
            letter = Message(msgspec.json.encode(notice), {"reason": "not handled in 100 deliveries"})
            embedded.bus.publish(dead_topic("signer-notices"), [letter])
    embedded.stop()
    return {case.id: case.sentence.format(**_times(now)) for case in CASES}


def _times(now: datetime) -> dict[str, str]:
    retry, opens = now + HOUR, window(now).partition("-")[0]
    hour, minute = map(int, opens.split(":"))
    opening = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    opening = opening if opening > now else opening + DAY
    return {
        "retry": f"{retry.day} {retry:%b %Y, %H:%M:%S}",
        "down": f"{now - HOUR:%d %b %H:%M}",
        "opens": f"{opening.day} {opening:%b %Y, %H:%M:%S}",
    }


# -- each of them

Made = tuple[Request, list[NoticeRecord]]


def _signer(line: int, now: datetime, **changes: Any) -> Signer:
    given = {
        "name": "Eric Smith",
        "mobile": f"+131755501{line:02}",
        "channels": (SMS,),
        "request_url": "https://sign.test/a",
        "state": SignerState.INVITED,
        "invited_at": now - HOUR,
        "reminders": {str(day): Reminder(due_at=now + day * DAY, task="t") for day in (3, 7, 14)},
    }
    return Signer(**{"number": 1, **given, **changes})


def _record(now: datetime, state: NoticeState, reason: str = "", **changes: Any) -> NoticeRecord:
    given = {"request_id": "", "signer": "k", "kind": Kind.INVITATION, "channel": SMS, "round": 1, "provider": "twilio"}
    history = (Transition(at=now - HOUR / 2, state=state, why=reason),)
    fields = {"state": state, "reason": reason, "history": history, "changed_at": now - HOUR / 2, "attempts": 1}
    return NoticeRecord(**{**given, **fields, **changes})


def _alone(signer: Signer, *records: NoticeRecord, **request: Any) -> Made:
    return Request(id="", **{"signers": {"k": signer}, **request}), list(records)


def _invalid(now: datetime) -> Made:
    return _alone(_signer(1, now, mobile="", channels=(), unusable={SMS: "12345"}))


def _opted_out(now: datetime) -> Made:
    key = address_key(SMS, "+13175550102", POLICY)
    return _alone(_signer(2, now), _record(now, NoticeState.FAILED, STOP, address=key))


def _signed(now: datetime) -> Made:
    signed = _signer(3, now, state=SignerState.SIGNED, signed_at=now, confirmed=True)
    return _alone(signed, _record(now, NoticeState.FAILED, "Twilio: the number is a landline (21635)"))


def _down(now: datetime) -> Made:
    return _alone(_signer(4, now, mobile="", email="eric@example.com", channels=(EMAIL,)))


def _unknown(now: datetime) -> Made:
    history = tuple(Transition(at=now - HOUR / n, state=NoticeState.UNKNOWN) for n in (1, 2))
    return _alone(_signer(5, now), _record(now, NoticeState.UNKNOWN, "no answer", history=history))


def _outside_window(now: datetime) -> Made:
    due = {"7": Reminder(due_at=now - 3 * DAY, task="t")}
    email = {"mobile": "", "email": "eric.smith@example.com", "channels": (EMAIL,)}
    return _alone(_signer(6, now, **email, invited_at=now - 10 * DAY, reminders=due))


def _not_their_turn(now: datetime) -> Made:
    first = _signer(7, now, number=2, name="Jane Doe", order=1, mobile="+13175550177")
    waiting = _signer(7, now, state=SignerState.WAITING, order=2, request_url="", invited_at=None, reminders={})
    sent = _record(now, NoticeState.DELIVERED, signer="j")
    return Request(id="", ordered=True, signers={"k": waiting, "j": first}), [sent]


def _expired(now: datetime) -> Made:
    filtered = _record(now, NoticeState.UNDELIVERED, FILTERED)
    return _alone(_signer(8, now, reminders={}), filtered, status=Status.EXPIRED)


def _disputed(now: datetime) -> Made:
    return _alone(_signer(9, now), _record(now, NoticeState.DELIVERED), status=Status.DISPUTED)


def _removed(now: datetime) -> Made:
    left = _signer(10, now, state=SignerState.REMOVED, reminders={})
    return _alone(left, _record(now, NoticeState.DELIVERED))


def _duplicate(now: datetime) -> Made:
    twin = _signer(11, now, number=2, name="Eric J. Smith")
    both = {"k": _signer(11, now), "j": twin}
    arrived = [_record(now, NoticeState.DELIVERED), _record(now, NoticeState.DELIVERED, signer="j")]
    return Request(id="", signers=both), arrived


def _dead(now: datetime) -> Made:
    return _alone(_signer(12, now))


def put_many(embedded: Embedded, now: datetime) -> None:
    """A request of more signers than one page has, with different verdicts, and a title without a space to break at."""
    unusable = {"mobile": "", "channels": (), "unusable": {SMS: "12345"}}
    signers = {f"k{n}": _signer(n, now, number=n, **(unusable if n > 20 else {})) for n in range(1, 81)}
    title, changed_at = f"Term{200 * 's'}", now - DAY  # so it is listed behind the cases
    request = Request(id="many", title=title, signers=signers, changed_at=changed_at)
    embedded.ledger.put("many", request, None)


MAKERS: dict[str, Callable[[datetime], Made]] = dict(
    zip(
        (case.id for case in CASES),
        (
            _invalid,
            _opted_out,
            _signed,
            _down,
            _unknown,
            _outside_window,
            _not_their_turn,
            _expired,
            _disputed,
            _removed,
            _duplicate,
            _dead,
        ),
        strict=True,
    )
)
