"""Names, titles and addresses are strangers' words: none may become a header, an address, a tag or a template."""

import email
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.policy import compat32
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.adapters.providers.common.mail import Letterhead
from shared.domain.brands import Brand, Brands
from shared.domain.causes import Cause
from shared.domain.daily import Summary
from shared.domain.errors import PermanentFailure
from shared.domain.kinds import KINDS
from shared.domain.model import ChannelName, Kind, Notice, Request, Signer, SignerState, Status
from shared.domain.policy import Policy, normal_email, normal_mobile
from shared.domain.unreached import Unreached
from shared.ports import Outgoing, Wording
from shared.setting_types import Values
from shared.text.wording import Words

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
LINK = "https://l.example/l/abcdefghijklmnop"
HEADERS = [
    *("Subject", "To", "From", "Date", "Message-ID", "Auto-Submitted", "X-Clickwrap-Notice"),
    *("MIME-Version", "Content-Type"),
]
EVIL = [
    "{{ 7*7 }}",
    "{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}",
    "{{ link.__class__ }}{# hidden #}",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</p><a href=https://evil.test>Sign</a>",
    "Lease\r\nBcc: evil@x.org\r\n\r\nBody",
    "Lease\nBcc: evil@x.org",
    "Lease\u2028Bcc: evil@x.org\x85Cc: evil@x.org\x0bX: y",
    "=?utf-8?q?Lease=0d=0aBcc:_evil=40x.org?=",
    "=?utf-8?b?TGVhc2UNCkJjYzogZXZpbEB4Lm9yZw0KDQpCb2R5?=",
    "x" * 90 + " =?utf-8?q?=0a=0aBody?= é",
    "Lease\x00\x1b[31m\x07",
    "\u202eesaeL\u202c\u200b",
    "%0d%0aBcc:%20evil@x.org",
    "${7*7} #{7*7} %(x)s {0} {title}",
]


def worded(kind: Kind, channel: ChannelName, text: str) -> Wording:
    """A notice in which every free text is `text`."""
    signers = {
        "a": Signer(number=1, name=text, state=SignerState.INVITED, invited_at=NOW, channels=(channel,)),
        "b": Signer(number=2, name=text, state=SignerState.SIGNED, signed_at=NOW),
    }
    status = Status.COMPLETE if kind is Kind.COMPLETION else Status.OPEN
    request = Request(id="r1", title=text, sender=text, status=status, signers=signers)
    subject = {Kind.REMINDER: {"reminder_day": 3}, Kind.PROGRESS: {"about": 2}}.get(kind, {})
    notice = Notice(notice="n" * 64, request="r1", signer="a", kind=kind, channel=channel, **subject, round=1)
    people = [Unreached(notice="n", signer=key, channel=channel, cause=Cause.UNUSABLE, at=NOW) for key in signers]
    if kind is Kind.COPY_DAILY:
        named = [text, f"{text} again"]
        missed = [(request, person) for person in people]
        day = Summary(day=NOW, signatures=1, complete=named, expired=named, open=named, unreached=missed)
        return Words(Brands(Brand(name="Brand")), Policy())(request, notice, "", summary=day)
    return Words(Brands(Brand(name="Brand")), Policy())(request, notice, LINK, people)


def mailed(subject: str = "s", to: str = "jo@example.com", text: str = "t", html: str = "<p>t</p>") -> bytes:
    message = Outgoing(notice="n" * 64, to=to, text=text, subject=subject, html=html)
    sender = Values({"EMAIL_FROM": '"Relay" <relay@example.com>'})
    return Letterhead(sender).compose(message, NOW).as_bytes()


def headers(mail: bytes) -> list[tuple[str, str]]:
    """As any reader of e-mail splits them: at each line end."""
    return [(k, str(v)) for k, v in email.message_from_bytes(mail, policy=compat32).items()]


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("evil", EVIL)
def test_no_name_or_title_becomes_a_header_or_a_body(evil: str, kind: Kind) -> None:
    wording = worded(kind, ChannelName.EMAIL, evil)
    assert wording.subject.isprintable()
    mail = mailed(wording.subject, text=wording.text, html=wording.html)
    assert [name for name, _ in headers(mail)] == HEADERS
    assert b"\r\n\r\n--==" in mail


@pytest.mark.parametrize("evil", [e for e in EVIL if len(e.splitlines()) == 1 and "\x00" not in e])
def test_even_a_subject_that_nobody_cleaned_stays_one_header(evil: str) -> None:
    mail = mailed(subject=evil)
    assert [name for name, _ in headers(mail)] == HEADERS
    assert "evil@x.org" not in dict(headers(mail))["To"]


@pytest.mark.parametrize("subject", ["a\r\nBcc: evil@x.org", "a\nb", "a\rb", "a\u2028b", "a\x85b", "a\x00b", "a\x0bb"])
def test_a_subject_with_a_line_break_never_leaves(subject: str) -> None:
    with pytest.raises(PermanentFailure, match="subject"):
        mailed(subject=subject)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(["=?", "utf-8", "?q?", "?b?", "=0d=0a", "=0a", "?=", " ", "é", "Bcc:", "x" * 40, "_"])))
def test_no_subject_whatever_its_pieces_adds_a_header(pieces: list[str]) -> None:
    assert [name for name, _ in headers(mailed(subject="".join(pieces)))] == HEADERS


def test_a_subject_reads_as_it_was_written() -> None:
    for subject in ('"Lease" – é 合同 🎉', "50% = half? yes", "a=b?c=d"):
        shown = make_header(decode_header(dict(headers(mailed(subject=subject)))["Subject"]))
        assert str(shown) == subject


EVIL_ADDRESSES = [
    "jo@example.com\r\nBcc: evil@x.org",
    "jo@example.com\nRCPT TO:<evil@x.org>",
    "jo@example.com,evil@x.org",
    "jo@example.com;evil@x.org",
    "jo@example.com evil@x.org",
    "evil@x.org <jo@example.com>",
    "jo@example.com>\r\nDATA",
    '"jo\r\nBcc: evil@x.org"@example.com',
    "jo@evil@example.com",
    "jo@example.com\u2028Bcc:evil",
    "jo@exam\x00ple.com",
    "=?utf-8?q?a=0d=0abcc=3a_evil=40y.org?=@x.org",
    "=?utf-8?b?yqojqmnjoiblmlsqhgub3jn?=@x.org",
    "(comment)jo@example.com",
    "@example.com",
    "jo@",
    "",
]


@pytest.mark.parametrize("address", EVIL_ADDRESSES)
def test_no_address_becomes_two_or_a_header(address: str) -> None:
    """Refused where the API's answer is read, or at the latest where the e-mail is written."""
    with pytest.raises(PermanentFailure, match="address"):
        mailed(to=normal_email(address) or address)


@pytest.mark.parametrize(
    "number", ["+13175551234\r\nTo: +19005550000", "+1317555123\x004", "tel:+13175551234;ext=1,+44"]
)
def test_what_is_kept_of_a_mobile_number_is_digits(number: str) -> None:
    assert normal_mobile(number, "US").removeprefix("+").isdigit() or normal_mobile(number, "US") == ""


class Tags(HTMLParser):
    """Every tag with its attributes' names, and every address a link leads to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.links: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action")]


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("evil", EVIL)
def test_no_name_or_title_adds_a_tag_an_attribute_or_a_link(evil: str, kind: Kind) -> None:
    harmless, attacked = (Tags(worded(kind, ChannelName.EMAIL, text).html) for text in ("Lease", evil))
    assert attacked.tags == harmless.tags
    assert attacked.links == harmless.links


@pytest.mark.parametrize("channel", [ChannelName.SMS, ChannelName.EMAIL])
@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("evil", EVIL)
def test_no_name_or_title_is_taken_for_a_template(evil: str, kind: Kind, channel: ChannelName) -> None:
    """`{{ 7*7 }}` is shown as it is, and so is the rest of it."""
    wording = worded(kind, channel, evil)
    for text in filter(None, (wording.text, wording.subject, wording.html)):
        assert "49" not in text
        assert "<class" not in text
    if evil == "{{ 7*7 }}" and kind is not Kind.PROGRESS:
        assert evil in wording.text


@pytest.mark.parametrize("kind", [kind for kind in Kind if not KINDS[kind].to_sender])
@pytest.mark.parametrize("evil", EVIL)
def test_a_text_message_holds_no_control_characters_and_nothing_that_turns_it_around(evil: str, kind: Kind) -> None:
    text = worded(kind, ChannelName.SMS, evil).text
    assert all(c.isprintable() for c in text)
    assert not set(text) & set("\u202e\u202c\u200b")
