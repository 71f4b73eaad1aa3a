"""What other systems hear of one notice: whether it reached its signer. docs/status-events.md is the contract."""

from datetime import datetime, timedelta
from typing import Any

import msgspec

from shared.domain.causes import Cause, cause_of
from shared.domain.model import ChannelName, Kind, NoticeRecord, NoticeState
from shared.domain.notice_record import wait_after_lost_answer
from shared.domain.policy import Policy
from shared.domain.status_event import CloudEvent
from shared.domain.unreached import ended

TAKEN = (NoticeState.ACCEPTED, NoticeState.DELIVERED)


class NoticeStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One notice. signer: their key in the request's events. cause, reason: absent unless it did not arrive.

    begun_at: when it was first tried; the latest notice of a signer and channel has the highest.
    at: when this state began, by the provider's clock where it says. sequence: rises with every change of the notice.
    """

    request: str
    signer: str
    notice: str
    kind: Kind
    channel: ChannelName
    round: int
    state: NoticeState
    cause: Cause | msgspec.UnsetType = msgspec.UNSET
    reason: str = ""
    begun_at: datetime
    at: datetime
    sequence: int


class NoticeEvent(CloudEvent[NoticeStatus], frozen=True, kw_only=True):
    """A change of what is known of one notice: CloudEvents 1.0, JSON format."""


def notice_event(key: str, record: NoticeRecord, now: datetime, policy: Policy) -> NoticeEvent | None:
    """None while more is tried, for what was not due any more, and for a mail to the sender."""
    lost = _given_up(record, now, policy)
    if not record.signer or not (lost or record.state in TAKEN):
        return None
    return NoticeEvent(
        id=f"{key}.{record.changes}",
        type=f"clickwrap.notice.{record.state.value}",
        subject=record.request_id,
        time=record.changed_at or now,
        data=_status(key, record, {"cause": cause_of(record), "reason": record.reason} if lost else {}),
    )


def _given_up(record: NoticeRecord, now: datetime, policy: Policy) -> bool:
    """Also a lost answer whose second try was not made when its time had come: the notice was not due any more."""
    if record.state is not NoticeState.UNKNOWN:
        return ended(record, now, policy)
    wait = wait_after_lost_answer(record, now, policy)
    return wait is None or wait <= timedelta(0)


def _status(key: str, record: NoticeRecord, why: dict[str, Any]) -> NoticeStatus:
    return NoticeStatus(
        request=record.request_id,
        signer=record.signer,
        notice=key,
        kind=record.kind,
        channel=record.channel,
        round=record.round,
        state=record.state,
        **why,
        begun_at=record.history[0].at,
        at=record.history[-1].at,
        sequence=record.changes,
    )
