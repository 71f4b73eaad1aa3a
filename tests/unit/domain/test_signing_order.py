"""Whose turn it is, and when and under which names their reminders fall due."""

import hashlib
from datetime import timedelta

import pytest
from msgspec.structs import replace

from shared.domain.model import Request, Signer, SignerState, digest
from shared.domain.policy import Policy
from shared.domain.signing_order import ahead, is_due, reminder, steps
from tests.fakes import START, answer, seen
from tests.merge_steps import SENT, SIGNED, later, sent, who

NIGHT, DAY = START - timedelta(hours=5), timedelta(days=1)
SPREAD = Policy(spread=timedelta(hours=2))


def test_whoever_is_invited_after_an_operator_has_stopped_the_reminders_has_none():
    ordered = answer(seen("a", order=1), seen("b", order=2), ordered=True)
    stopped = replace(later(None, ordered, SENT).request, reminders_stopped=True)
    signed = answer(seen("a", order=1, signed=True), seen("b", order=2), ordered=True)
    second = who(later(stopped, signed, SIGNED, "a").request, "b")
    assert (second.state, second.reminders) == (SignerState.INVITED, {})


def test_whoever_this_service_invites_is_invited_now_however_old_the_request_is():
    old = sent(seen("a"), seen("b"), created_at=START - 5 * DAY)
    assert {s.invited_at for s in old.signers.values()} == {START}


def test_all_signers_of_a_request_have_its_share_of_the_spread():
    share = int(hashlib.sha256(b'["r1"]').hexdigest()[:8], 16) / 2**32
    opens = START - timedelta(hours=2)  # 8:00 in Indianapolis
    signers = [replace(s, invited_at=NIGHT) for s in sent(seen("a"), seen("b")).signers.values()]
    assert [steps("r1", s, SPREAD)[3] for s in signers] == [opens + 3 * DAY + timedelta(hours=2) * share] * 2


def test_before_the_invitation_there_are_no_steps():
    assert steps("r1", Signer(number=1), SPREAD) == {}


def test_ahead_are_the_steps_that_are_not_due_yet():
    (signer,) = sent(seen("a")).signers.values()
    request, planned = Request(id="r1", round=2), steps("r1", replace(signer, invited_at=NIGHT), SPREAD)
    found = ahead("k", replace(signer, invited_at=NIGHT), request, planned[3], SPREAD, 5)
    assert found == {str(day): reminder("r1", "k", 2, day, planned[day], 5) for day in (7, 14)}


@pytest.mark.parametrize("place", range(6))
def test_the_name_of_a_task_depends_on_all_that_tells_it_from_another(place):
    one, other = ["r1", "k", 1, 3, START, 0], ["r2", "j", 2, 7, START + DAY, 5]
    changed = reminder(*one[:place], other[place], *one[place + 1 :])
    assert reminder(*one).task == digest(*one)
    assert changed.task != reminder(*one).task
    assert (changed.due_at, changed.hop) == (other[4] if place == 4 else START, 5 if place == 5 else 0)


@pytest.mark.parametrize(
    ("ordered", "place", "first", "due"),
    [
        (True, 2, {}, False),
        (True, 1, {}, True),  # at the same place they sign together
        (True, None, {}, True),
        (False, 2, {}, True),
        (True, 2, {"state": SignerState.SIGNED}, True),
        (True, 2, {"state": SignerState.SIGNED, "doubted_since": START}, False),
        (True, 2, {"state": SignerState.REMOVED}, True),
        (True, 2, {"order": None}, True),
        (True, 2, {"order": 3}, True),
    ],
)
def test_in_an_order_a_signer_waits_for_all_before_them(ordered, place, first, due):
    before = Signer(**{"number": 1, "order": 1, "state": SignerState.INVITED, **first})
    signer = Signer(number=2, order=place, request_url="u")
    assert is_due(signer, {"a": before, "b": signer}, ordered=ordered) is due
