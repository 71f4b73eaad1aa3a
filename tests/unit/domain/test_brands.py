"""In whose name a site's messages go out."""

import pytest

from shared.domain.brands import Brand, Brands, address_in

OWN = Brand(name="Ironclad", contact="help@own.test", email_from="sign@own.test", links_domain="l.own.test")


@pytest.mark.parametrize("field", Brand.__struct_fields__)
def test_what_a_site_does_not_give_is_the_relays_own(field):
    own = Brand(**{name: f"own {name}" for name in Brand.__struct_fields__})
    assert getattr(Brands(own, {"s": Brand()}).of("s"), field) == f"own {field}"
    assert getattr(Brands(own, {"s": Brand(**{field: "theirs"})}).of("s"), field) == "theirs"
    assert getattr(Brands(own, {"s": Brand(**{field: "theirs"})}).of("another"), field) == f"own {field}"


@pytest.mark.parametrize(
    ("given", "contact"),
    [
        ({}, "help@own.test"),
        ({"name": "Acme"}, "help@own.test"),
        ({"contact": "ask@acme.test", "email_reply_to": "legal@acme.test"}, "ask@acme.test"),
        ({"email_reply_to": "Legal <legal@acme.test>", "email_from": "sign@acme.test"}, "legal@acme.test"),
        ({"email_from": "Acme <sign@acme.test>"}, "sign@acme.test"),
    ],
)
def test_a_contact_is_the_sites_own_address_before_the_relays(given, contact):
    assert Brands(OWN, {"s": Brand(**given)}).of("s").contact == contact


@pytest.mark.parametrize(
    ("text", "address"),
    [("Acme <a@x.org>", "a@x.org"), ("a@x.org", "a@x.org"), ("", ""), ("A < B <a@x.org> ", "a@x.org")],
)
def test_the_bare_address_is_what_the_last_bracket_holds(text, address):
    assert address_in(text) == address
