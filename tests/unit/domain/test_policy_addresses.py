"""Addresses as people write them, and the channels that each policy chooses."""

import pytest

from shared.domain.model import ChannelName, digest
from shared.domain.policy import (
    Policy,
    address_key,
    beside,
    choose_channels,
    normal_email,
    normal_mobile,
    other_channel,
)

SMS, EMAIL = ChannelName.SMS, ChannelName.EMAIL


def test_the_key_of_an_address_is_found_by_nobody_without_the_secret():
    ours, theirs = Policy(address_secret="a"), Policy(address_secret="b")
    number = "+13175551234"
    assert address_key(SMS, number, ours) == address_key(SMS, number, ours)
    assert (
        len({address_key(SMS, number, ours), address_key(SMS, number, theirs), address_key(EMAIL, number, ours)}) == 3
    )
    assert digest(SMS, number) != address_key(SMS, number, Policy())


class TestAddresses:
    @pytest.mark.parametrize(
        ("written", "number"),
        [
            ("+13175551234", "+13175551234"),
            ("13175551234", "+13175551234"),
            ("317-123-1234", "+13171231234"),
            ("(317) 403-7298", "+13174037298"),
            ("+44 20 7946 0958", "+442079460958"),
            ("", ""),
            ("n/a", ""),
            ("12", ""),
            ("+1 317 555", ""),
            ("1" * 40, ""),
            ("\u0000", ""),
        ],
    )
    def test_numbers_in_every_written_form(self, written, number):
        assert normal_mobile(written, "US") == number

    @pytest.mark.parametrize(
        ("written", "email"),
        [
            (" Jo@X.org ", "jo@x.org"),
            ("josé@exämple.de", "josé@exämple.de"),
            ("", ""),
            ("jo", ""),
            ("@x.org", ""),
            ("jo@", ""),
            ("a@b@c", ""),
            ("a b@x.org", ""),
            ("a@x.org\nBcc: z@x.org", ""),
            ("<a@x.org>", ""),
            ("=?utf-8?q?a?=@x.org", ""),
            ("a@x.org,b@x.org", ""),
            ("a" * 250 + "@x.org", ""),
        ],
    )
    def test_email_addresses(self, written, email):
        assert normal_email(written) == email


@pytest.mark.parametrize(
    ("policy", "send_to", "addresses", "expected"),
    [
        ("send_to", {}, "both", (SMS, EMAIL)),
        ("send_to", {EMAIL: True, SMS: False}, "both", (EMAIL,)),
        ("send_to", {EMAIL: False, SMS: True}, "both", (SMS,)),
        ("send_to", {EMAIL: True}, "both", (EMAIL,)),
        ("send_to", {EMAIL: False, SMS: False}, "both", ()),
        ("send_to", {EMAIL: True}, "sms", ()),
        ("all", {EMAIL: False}, "both", (SMS, EMAIL)),
        ("sms-first", {}, "both", (SMS,)),
        ("sms-first", {}, "email", (EMAIL,)),
        ("email-first", {}, "both", (EMAIL,)),
        ("email-first", {}, "sms", (SMS,)),
        ("sms", {}, "both", (SMS,)),
        ("sms", {}, "email", ()),
        ("email", {}, "both", (EMAIL,)),
        ("all", {}, "", ()),
    ],
)
def test_the_channels_that_each_policy_chooses(policy, send_to, addresses, expected):
    mobile = "+13175551234" if addresses in ("both", "sms") else ""
    email = "jo@x.org" if addresses in ("both", "email") else ""
    chosen = choose_channels(Policy(channels=policy), send_to, email, mobile)
    assert chosen == expected


def test_a_channel_without_a_provider_is_never_chosen():
    policy = Policy(channels="all", available=frozenset({EMAIL}))
    assert choose_channels(policy, {}, "jo@x.org", "+13175551234") == (EMAIL,)


def test_a_number_with_its_country_code_needs_no_region() -> None:
    assert normal_mobile("13175551234", "") == "+13175551234"


def test_each_channel_has_another_beside_it() -> None:
    assert [beside(SMS), beside(EMAIL)] == [EMAIL, SMS]


@pytest.mark.parametrize(
    ("channels", "available", "of_sms", "of_email"),
    [
        ("sms-first", {SMS, EMAIL}, EMAIL, SMS),
        ("email-first", {SMS, EMAIL}, EMAIL, SMS),
        ("sms-first", {SMS}, None, SMS),
        ("all", {SMS, EMAIL}, None, None),
    ],
)
def test_only_where_one_channel_comes_first_the_other_takes_over(channels, available, of_sms, of_email) -> None:
    policy = Policy(channels=channels, available=frozenset(available))
    assert [other_channel(policy, SMS), other_channel(policy, EMAIL)] == [of_sms, of_email]


def test_a_number_that_only_its_own_town_can_dial_is_none() -> None:
    assert normal_mobile("5551234", "US") == ""
    assert normal_mobile("317-555-0101", "US") == "+13175550101"
    assert normal_mobile("4915112345678", "US") == "+4915112345678"  # lacks only its plus


def test_an_address_of_more_than_254_characters_is_none() -> None:
    assert [len(normal_email(f"{'j' * n}@x.org")) for n in (248, 249)] == [254, 0]
