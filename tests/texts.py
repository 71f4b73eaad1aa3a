"""Every built-in text with the same facts: what the tests of carriers, inboxes and golden files look at.

`python -m tests.texts` writes tests/golden/texts/, one file a language, for a person who speaks it to read.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from msgspec.structs import asdict, replace

from shared.domain.kinds import KINDS
from shared.domain.model import ChannelName, Kind
from shared.text.check import WITHOUT_LINK
from shared.text.render import BUILT_IN_TEXTS, CAUSE_WORDS, Context, Group, Person, Rendered, render, template_values
from shared.text.segments import segments

GOLDEN = Path(__file__).parent / "golden" / "texts"
LANGUAGES = ("en", "de", "es", "fr", "pt")
DOMAIN = "go.acme-example.com"  # 19 characters; one more must still fit
LINK = f"https://{DOMAIN}/Zk3vQ9xLr7TnWc2M"
SEED = Context(
    title="PS Employment Agreement",
    link=LINK,
    contact="legal@acme-example.com",
    signer_name="Jane Doe",
    who="Eric Smith",
    sender="Ann Sender",
    expires=datetime(2026, 3, 31, 17, tzinfo=ZoneInfo("America/New_York")),
)

UNREACHED = tuple(
    Person(name="Eric Smith" if n % 2 else "", number=n, channel=list(ChannelName)[n % 3], cause=cause)
    for n, cause in enumerate(sorted(set(CAUSE_WORDS.values())), 1)
)
PEOPLE_OF_DAY = tuple(replace(person, title="Lease of Flat 4") for person in UNREACHED[:2])
GROUPS = (
    Group(name="complete", count=2, titles=("Lease of Flat 4", "PS Employment Agreement")),
    Group(name="expired", count=1),
    Group(name="open", count=22, titles=("Lease of Flat 4",), more=True),
)


def written(kind: Kind, channel: ChannelName, language: str, context: Context = SEED, first: bool = False) -> Rendered:
    """A message as a signer with a North American number gets it. first: of the texts to them."""
    link = "" if kind in WITHOUT_LINK else context.link
    told = replace(context, link=link, opt_out=first and channel is ChannelName.SMS)
    if KINDS[kind].to_sender:  # as `wording` fills it
        people = UNREACHED if kind is Kind.UNREACHED else ()
        told = replace(told, signer_name="", sender="", expires=None, people=people, more=len(people[:1]))
    if kind is Kind.COPY_DAILY:
        told = replace(
            told, title="", who="", people=PEOPLE_OF_DAY, day=datetime(2026, 3, 1), signatures=5, groups=GROUPS
        )
    return render(kind, channel, told, language=language)


def _sms(kind: Kind, language: str, first: bool, needed: int) -> str:
    return written(kind, ChannelName.SMS, language, replace(SEED, needed=needed), first).text


def golden(language: str) -> str:
    return "\n".join(f"== {name}\n{text}\n" for name, text in _parts(language))


def _parts(language: str) -> Iterator[tuple[str, str]]:
    for kind in Kind:
        if KINDS[kind].to_sender:  # never by SMS
            mail = written(kind, ChannelName.EMAIL, language)
            yield f"{kind}, subject", mail.subject
            yield f"{kind}, text", mail.text
            continue
        for first in (True, False):
            sms, several = (_sms(kind, language, first, needed) for needed in (1, 2))
            size, which = segments(sms), ", the first" if first else ""
            yield f"{kind}, SMS{which}: {size.count} segment, {size.encoding}, {size.units} units", sms
            if several != sms:
                yield f"{kind}, SMS{which}, two signatures missing", several
        mail = written(kind, ChannelName.EMAIL, language)
        yield f"{kind}, subject", mail.subject
        yield f"{kind}, text", mail.text


def phrases(language: str) -> set[str]:
    """Every text that the words of a language make, with all there is to tell and with the least."""
    full = replace(SEED, title="Lease", brand="Acme", who="Eric", needed=2, more=3, link="", day=SEED.expires)
    bare = replace(full, title="", signer_name="", who="", sender="", needed=1, opt_out=True)
    found: set[str] = set()
    for context in (full, bare):
        given = {*asdict(context), "language", "direction", "colon", "zone", "document"}
        for name, word in template_values(context, BUILT_IN_TEXTS, language).items():
            if name not in given:
                found |= (
                    set(word.values()) if isinstance(word, dict) else {word} if isinstance(word, str) else set(word)
                )
    return found - {""}


if __name__ == "__main__":
    for language in LANGUAGES:
        (GOLDEN / f"{language}.txt").write_text(golden(language), "utf-8")
