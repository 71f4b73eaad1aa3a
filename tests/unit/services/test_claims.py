"""A claim is the right to send, for as long as its lease holds; whoever loses the race for one comes again."""

from datetime import timedelta

import msgspec
import pytest
from msgspec.structs import replace

from shared.domain.errors import OutcomeUnknown, RetryLater
from shared.domain.model import ChannelName, EventType, Kind, Notice, NoticeRecord, NoticeState, Request, Status
from shared.domain.notice_record import SIGNER_GONE, first_record, settled
from shared.domain.planner import notice_for
from shared.domain.receipts import Receipt
from shared.services.claims import TOO_SLOW, Claims
from tests.fakes import START, World, seen

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
SENT = EventType.SENT


def world_of(*signers: str) -> World:
    world = World()
    world.says(*(seen(name) for name in signers))
    return world


class Frozen:
    """A port call after which, or before which, its thread stands still for some time."""

    def __init__(self, world: World, port: object, name: str, span: timedelta, wanted=lambda *given: True) -> None:
        self._world, self._port, self._name, self._span, self._wanted = world, port, name, span, wanted
        self._call = getattr(port, name)
        setattr(port, name, self)

    def __call__(self, *given):
        done = self._call(*given)
        if self._wanted(*given):
            setattr(self._port, self._name, self._call)
            self._world.now += self._span
        return done


def claims(key, item, version) -> bool:
    return isinstance(item, NoticeRecord) and item.state is NoticeState.SENDING


@pytest.mark.parametrize("span", [41 * SECOND, 2 * MINUTE, 60 * MINUTE])
@pytest.mark.parametrize(
    ("port", "call", "wanted"),
    [("ledger", "put", claims), ("fallback", "suppressed", lambda *_: True), ("ledger", "get", lambda *_: True)],
)
def test_a_delivery_that_stood_still_before_its_send_sends_nothing_and_comes_again(port, call, wanted, span) -> None:
    """Whether before its claim or in it: what it has read may be long outdated."""
    world = world_of("a")
    world.resolve.event(world.event(SENT))
    [notice] = [msgspec.json.decode(data, type=Notice) for topic, data in world.bus.pending if "notices" in topic]
    world.bus.pending.clear()
    Frozen(world, getattr(world, port), call, span, wanted)
    with pytest.raises(RetryLater, match="held up") as e:
        world.deliver.notice(notice)
    assert e.value.after == 1
    assert world.sent() == []
    assert world.states("invitation") in ([], [NoticeState.PLANNED])
    world.deliver.notice(notice)
    assert world.told() == [("invitation", "a", 0)]


def test_a_second_try_that_stood_still_in_its_claim_leaves_the_outcome_of_the_first_unknown() -> None:
    world = world_of("a")
    world.sms.outcomes = [OutcomeUnknown("504")]
    world.hear(SENT)
    (notice,) = [world.notice(key) for key in world.ledger.all(NoticeRecord)]
    before = world.records()
    world.now += 20 * MINUTE
    Frozen(world, world.ledger, "put", 25 * MINUTE, claims)
    with pytest.raises(RetryLater) as e:
        world.deliver.notice(notice)
    assert e.value.after == 1
    assert world.records() == before
    world.deliver.notice(notice)
    assert world.told() == [("invitation", "a", 0)]


def test_an_accepted_message_is_not_lost_to_the_unknown_of_a_lease_that_ran_out_meanwhile() -> None:
    world = world_of("a")
    send = world.sms.send

    def slow(message):
        accepted = send(message)
        world.now += 2 * MINUTE
        with pytest.raises(RetryLater):
            world.deliver.notice(world.notice(message.notice))
        return accepted

    world.sms.send = slow
    world.hear(SENT)
    assert world.states("invitation") == [NoticeState.ACCEPTED]
    world.sms.send = send
    world.advance(60 * MINUTE, reconcile=True)
    assert world.told() == [("invitation", "a", 0)]


def unreachable(*_: object) -> None:
    raise RetryLater("unavailable")


@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize("kind", [Kind.INVITATION, Kind.UNREACHED])
def test_such_an_acceptance_is_left_to_a_recheck_too_unless_it_is_a_mail_to_the_sender(kind, refused) -> None:
    world = world_of("a")
    world.resolve.event(world.event(SENT))
    before, key = world.request().next_at, world.signer("a") if kind is Kind.INVITATION else ""
    notice = Notice(notice="n", request="r1", signer=key, kind=kind, channel=ChannelName.SMS, round=1)
    claims = Claims(world.ledger, world.policy, world.clock)
    claim = claims.claim(notice, world.now)
    world.now += 2 * MINUTE
    with pytest.raises(RetryLater):
        claims.is_open(notice)
    if refused:
        world.ledger.postpone = unreachable
    record = claims.accepted(claim, "id")
    assert (record.state, record.provider_id, record.untold) == (NoticeState.ACCEPTED, "id", bool(key))
    assert world.request().next_at == (world.now + 5 * MINUTE if key and not refused else before)


def test_an_acceptance_after_a_faster_receipt_costs_neither_a_write_nor_a_recheck() -> None:
    world = world_of("a")
    world.resolve.event(world.event(SENT))
    notice = notice_for(world.request(), world.signer("a"), Kind.INVITATION, ChannelName.SMS)
    claims = Claims(world.ledger, world.policy, world.clock)
    claim = claims.claim(notice, world.now)
    receipt = Receipt(notice=notice.notice, provider_id="id", state=NoticeState.DELIVERED, at=world.now)
    world.ledger.update(NoticeRecord, notice.notice, lambda old: settled(old, receipt, world.now))
    before = dict(world.ledger.documents)
    assert claims.accepted(claim, "id") is None
    assert world.ledger.documents == before


def test_the_loser_of_a_second_claim_comes_again_instead_of_acknowledging() -> None:
    world = world_of("a")
    world.sms.outcomes = [RetryLater("busy")]
    world.hear(SENT)
    (notice,) = [world.notice(key) for key in world.ledger.all(NoticeRecord)]
    put = world.ledger.put
    world.ledger.put = lambda key, item, version: None  # another delivery is always faster
    with pytest.raises(RetryLater, match="another delivery") as e:
        world.deliver.notice(notice)
    assert e.value.after == 1
    world.ledger.put = put
    world.deliver.notice(notice)
    assert world.told() == [("invitation", "a", 0)]


@pytest.mark.parametrize("kind", [NoticeState.SENDING, NoticeState.PLANNED])
def test_a_claim_whose_answer_was_lost_ends_as_unknown_though_the_request_is_paused(kind) -> None:
    world = world_of("a")
    world.resolve.event(world.event(SENT))
    [notice] = [msgspec.json.decode(data, type=Notice) for topic, data in world.bus.pending if "notices" in topic]
    put = world.ledger.put

    def lost(key, item, version):
        put(key, replace(item, state=kind) if isinstance(item, NoticeRecord) else item, version)
        raise RetryLater("the answer was lost")

    world.ledger.put = lost
    with pytest.raises(RetryLater, match="lost"):
        world.deliver.notice(notice)
    world.ledger.put = put
    world.says(seen("a"), status=Status.PAUSED)
    world.resolve.recheck("r1")
    with pytest.raises(RetryLater):
        world.deliver.notice(notice)
    assert world.states("invitation") == [kind]
    world.now += 2 * MINUTE
    with pytest.raises(RetryLater):
        world.deliver.notice(notice)
    assert world.states("invitation") == [NoticeState.UNKNOWN if kind is NoticeState.SENDING else kind]


def test_answers_that_are_lost_open_the_circuit_too() -> None:
    world = world_of("a")
    world.hear(SENT)
    for n in range(5):
        world.sms.outcomes = [OutcomeUnknown("504")]
        world.says(seen("a"), seen(f"b{n}", mobile=f"+1317555020{n}"))
        world.hear(SENT, key=f"again-{n}")
        world.now += MINUTE
    world.says(seen("a"), seen("late", mobile="+13175550299"))
    world.hear(SENT, key="last")
    begun = {r.signer for r in world.records()}
    assert world.signer("late") not in begun


def in_state(name: str) -> NoticeState:
    return NoticeState.SUPPRESSED if name == "gone" else NoticeState(name)


def why(name: str) -> dict[str, str]:
    return {"reason": SIGNER_GONE} if name == "gone" else {}


def claimed(claims: Claims, notice: Notice, read_at) -> bool:
    """Whether it may be sent now; and then, what is on record."""
    earlier = claims._ledger.get(NoticeRecord, notice.notice)
    claim = claims.claim(notice, read_at, provider="p")
    if claim is not None:
        record = claims._ledger.get(NoticeRecord, notice.notice).item
        assert (record, claim.before, claim.notice) == (claim.record, earlier and earlier.item, notice)
        assert (record.state, record.lease_until, record.provider) == (NoticeState.SENDING, read_at + 90 * SECOND, "p")
        assert record.attempts == (earlier.item.attempts + 1 if earlier else 1)
        assert record.history[-1].at == START
    return claim is not None


@pytest.mark.parametrize(
    ("state", "kind", "ago", "lease", "claim", "claimable", "is_open", "is_over"),
    [  # gone: dropped while its signer was.
        # ago: seconds since its last transition. lease: seconds left. A number: it comes again after so many seconds.
        (None, "invitation", 0, 0, True, True, True, False),
        ("planned", "invitation", 0, 9, True, True, True, False),
        ("gone", "invitation", 0, 9, True, True, True, False),
        ("gone", "reminder", 0, 9, True, True, True, False),
        ("sending", "invitation", 0, 30, 30, 30, 30, False),
        ("sending", "invitation", 0, 0.5, 0.5, 0.5, 0.5, False),
        ("sending", "invitation", 0, 500, 60, 60, 60, False),
        ("sending", "invitation", 90, 0, 900, 900, 900, False),
        ("sending", "reminder", 90, 0, False, False, False, False),
        ("unknown", "invitation", 0, -90, 900, False, False, False),
        ("unknown", "invitation", 899, -90, 1, False, False, False),
        ("unknown", "invitation", 900, -90, True, True, False, False),
        ("unknown", "reminder", 900, -90, False, False, False, False),
        *((state, "invitation", 0, -90, False, False, False, True) for state in ("accepted", "delivered", "failed")),
    ],
)
def test_what_a_record_allows(state, kind, ago, lease, claim, claimable, is_open, is_over) -> None:
    world = world_of("a")
    world.resolve.event(world.event(SENT))
    request = world.ledger.get(Request, "r1").item
    notice = notice_for(request, next(iter(request.signers)), Kind(kind), ChannelName.SMS)
    ways = [
        (claim, lambda c: claimed(c, notice, START)),
        (claimable, lambda c: c.claimable(notice)),
        (is_open, lambda c: c.is_open(notice)),
        (is_over, lambda c: c.is_over(notice)),
        (state is not None, lambda c: c.has_begun(notice)),
    ]
    for expected, way in ways:
        world.ledger.delete(NoticeRecord, [notice.notice])
        if state:
            told = {"lease_until": START + lease * SECOND, "attempts": 1, **why(state)}
            record = first_record(notice, in_state(state), START - ago * SECOND, world.policy, **told)
            world.ledger.put(notice.notice, record, None)
        try:
            found = way(Claims(world.ledger, world.policy, lambda: START))
        except RetryLater as e:
            found = e.after
        assert (type(found) is bool, found) == (type(expected) is bool, expected)


@pytest.mark.parametrize(("age", "in_time"), [(0, True), (40, True), (40.1, False)])
def test_a_claim_is_made_and_used_within_forty_seconds_of_the_reading(age, in_time) -> None:
    world = world_of("a")
    world.resolve.event(world.event(SENT))
    request = world.ledger.get(Request, "r1").item
    notice = notice_for(request, next(iter(request.signers)), Kind.INVITATION, ChannelName.SMS)
    claims = Claims(world.ledger, world.policy, world.clock)
    read_at = world.now
    claim = claims.claim(notice, read_at)
    world.now += age * SECOND
    assert claims.holds(claim) is in_time
    assert not claims.holds(replace(claim, read_at=None))
    world.ledger.delete(NoticeRecord, [notice.notice])
    if in_time:
        assert claims.claim(notice, read_at)
        return
    with pytest.raises(RetryLater) as e:
        claims.claim(notice, read_at)
    assert e.value.after == 1
    with pytest.raises(RetryLater) as e:
        claims.release(claim)
    assert e.value.after == 1


def test_a_released_claim_says_why() -> None:
    world = world_of("a")
    world.resolve.event(world.event(SENT))
    request = world.ledger.get(Request, "r1").item
    claims = Claims(world.ledger, world.policy, world.clock)
    notice = notice_for(request, next(iter(request.signers)), Kind.INVITATION, ChannelName.SMS)
    with pytest.raises(RetryLater, match="held up"):
        claims.release(claims.claim(notice, world.now))
    found = world.ledger.get(NoticeRecord, notice.notice).item
    assert (found.state, found.reason, found.changed_at) == (NoticeState.PLANNED, TOO_SLOW, world.now)


@pytest.mark.parametrize("earlier", [None, "planned", "gone", "accepted"])
def test_what_is_closed_is_on_record_with_its_reason_unless_another_delivery_has_finished_it(earlier) -> None:
    world = world_of("a")
    world.resolve.event(world.event(SENT))
    request = world.ledger.get(Request, "r1").item
    notice = notice_for(request, next(iter(request.signers)), Kind.INVITATION, ChannelName.SMS)
    if earlier:
        record = first_record(notice, in_state(earlier), START - MINUTE, world.policy, **why(earlier))
        world.ledger.put(notice.notice, record, None)
    Claims(world.ledger, world.policy, lambda: START).close(notice, NoticeState.SUPPRESSED, "why", address="k")
    found = world.ledger.get(NoticeRecord, notice.notice).item
    if earlier == "accepted":
        assert found == record
    else:
        assert (found.state, found.reason, found.address) == (NoticeState.SUPPRESSED, "why", "k")
        assert (found.history[-1].at, found.changed_at, found.changes) == (START, START, 2 if earlier else 1)
