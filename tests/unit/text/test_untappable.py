"""No web address in a name or title can be tapped: a space stands in it."""

import pytest

from shared.domain.model import ChannelName, Kind
from shared.text.render import Context, render, untappable

ADDRESSES = {
    "verify at http://evil.example/login now": "verify at http: //evil. example/login now",
    "www.evil.com": "www. evil. com",
    "HTTPS://EVIL.EXAMPLE": "HTTPS: //EVIL. EXAMPLE",
    "a@evil.com": "a@evil. com",
    "bücher.de": "bücher. de",
    "evil\u3002com": "evil\u3002 com",
    "https://xn--bcher-kva.example": "https: //xn--bcher-kva. example",
    "10.0.0.1/x": "10. 0.0.1/x",
    "evil.pdf/x": "evil. pdf/x",
}
WORDS = ["J.R. Smith", "Acme Inc.", "Lease v1.2", "Lease.pdf", "NDA.docx, final", "U.S. Lease", "of 1.2.2026", "No.5"]


@pytest.mark.parametrize(("given", "shown"), ADDRESSES.items())
def test_an_address_is_broken(given: str, shown: str) -> None:
    assert untappable(given) == shown


# A number that is tapped is shown first and called only if confirmed; a name without a dot leads out of no network.
LEFT = ["tel:+19005550100", "call 317-555-0100", "user@localhost"]


@pytest.mark.parametrize("text", [*WORDS, *LEFT])
def test_other_words_stay_as_they_are(text: str) -> None:
    assert untappable(text) == text


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("channel", [ChannelName.SMS, ChannelName.EMAIL])
def test_no_message_has_one_but_its_own_link(kind: Kind, channel: ChannelName) -> None:
    evil = "http://evil.example/login"
    context = Context(
        title=evil,
        brand="Acme",
        link="https://l.test/x",
        signer_name=evil,
        who=evil,
        needed=1,
        reminder_day=3,
        sender=evil,
    )
    rendered = render(kind, channel, context)
    for text in (rendered.subject, rendered.text, rendered.html):
        assert "evil.example" not in text
