"""One signer: how they are known, what an answer and a new round change, and who counts."""

from datetime import timedelta

from msgspec.structs import replace

from shared.domain.model import (
    ApiSigner,
    ChannelName,
    Reminder,
    Role,
    Signer,
    SignerState,
)
from shared.domain.policy import Policy
from shared.domain.signers import address_of, counted, matched, reopened
from tests.fakes import START, seen
from tests.merge_steps import sent

LATER = {"3": Reminder(due_at=START + timedelta(days=3), task="t")}


def test_a_key_is_of_the_id_alone_so_that_a_request_met_anew_repeats_no_message():
    both, turned = sent(seen("a"), seen("b")), sent(seen("b"), seen("a"))
    twins = sent(seen("a"), seen("a", mobile="+13175550199"))
    assert {k: s.name for k, s in both.signers.items()} == {k: s.name for k, s in turned.signers.items()}
    assert len(both.signers.keys() & twins.signers.keys()) == 1
    assert len(sent(seen("a"), *[seen("a", mobile=f"+1317555019{n}") for n in range(3)]).signers) == 4
    assert {len(key) for key in [*both.signers, *twins.signers]} == {16}


def test_one_without_any_id_has_their_addresses_and_their_place_instead():
    rows = ApiSigner(ids=(), mobile="+1 317", email=" Ann@X.org "), ApiSigner(ids=())
    assert [s.aliases for s in sent(*rows).signers.values()] == [("+1 317", "ann@x.org", "#1"), ("#2",)]


def test_whoever_is_at_another_address_has_no_reminder_of_the_old_one():
    stored = sent(seen("a")).signers
    changed, _ = matched(stored, (seen("a", mobile="+13175550199"),), START + timedelta(days=1), Policy(), 300)
    ((key, signer),) = changed.items()
    assert signer == replace(stored[key], mobile="+13175550199", reminders={}, invited_at=START + timedelta(days=1))


def test_an_answer_adds_to_what_is_known_and_takes_away_only_what_it_denies():
    old = Signer(
        number=7,
        aliases=("1", "x"),
        name="Ann",
        email="ann@x.org",
        send_to={ChannelName.EMAIL: True},
        channels=(ChannelName.EMAIL,),
        role=Role.RECIPIENT,
        order=2,
        request_url="u",
        language="de",
        metadata={"a": "1", "b": "2"},
        missing_since=START,
    )
    bare = ApiSigner(ids=("2", "1"), email="ann@x.org", metadata={"b": "3", "c": "4"})
    told, seen_rows = matched({"k": old}, (bare,), START, Policy(), 300)
    kept = replace(old, aliases=("1", "x", "2"), role=Role.SIGNER, order=None, missing_since=None)
    assert told == {"k": replace(kept, metadata={"a": "1", "b": "3", "c": "4"})}
    assert seen_rows == {"k": bare}
    given = {"name": "Bea", "request_url": "v", "language": "fr", "send_to": {ChannelName.SMS: True}, "order": 3}
    fresh = matched({"k": old}, (replace(bare, **given, role=Role.RECIPIENT),), START, Policy(), 300)[0]["k"]
    assert {name: getattr(fresh, name) for name in given} == given
    assert (fresh.role, fresh.channels) == (Role.RECIPIENT, ())


def test_a_number_without_a_country_is_read_as_one_of_the_region():
    row = seen("a", mobile="020 7946 0958")
    (signer,) = matched({}, (row,), START, Policy(region="GB"), 300)[0].values()
    assert signer.mobile == "+442079460958"


def test_what_is_no_address_is_kept_as_given_and_shortened():
    row = seen("a", mobile=f" {'1' * 70} ", email="nobody")
    (signer,) = sent(row).signers.values()
    assert signer.unusable == {ChannelName.SMS: "1" * 64, ChannelName.EMAIL: "nobody"}
    assert (signer.mobile, signer.email, signer.channels) == ("", "", ())


def test_a_new_round_takes_back_what_the_last_one_had_but_for_signatures_that_stand():
    signed = Signer(number=1, state=SignerState.SIGNED, adopted=True, confirmed=True, invited_at=START, signed_at=START)
    invited = Signer(number=2, state=SignerState.INVITED, adopted=True, invited_at=START, reminders=LATER)
    gone = Signer(number=3, state=SignerState.REMOVED, signed_at=START)
    anew = {"a": Signer(number=1), "b": signed, "c": Signer(number=2), "d": Signer(number=3, state=SignerState.REMOVED)}
    assert reopened({"a": signed, "b": signed, "c": invited, "d": gone}, ["a"]) == anew


def test_recipients_and_whoever_has_left_are_not_counted():
    signers = {
        "a": Signer(number=1),
        "b": Signer(number=2, role=Role.RECIPIENT),
        "c": Signer(number=3, state=SignerState.REMOVED),
        "d": Signer(number=4, state=SignerState.SIGNED),
    }
    assert [s.number for s in counted(signers)] == [1, 4]


def test_each_channel_has_its_address_and_none_has_no_address():
    both = Signer(number=1, mobile="+13175550101", email="a@x.org")
    assert [address_of(both, c) for c in ChannelName] == ["+13175550101", "a@x.org", ""]
