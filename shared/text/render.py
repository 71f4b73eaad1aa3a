"""The words of a message: templates (Jinja2, sandboxed) filled from the state of the request.

A layout (`sms.txt`, `email.html`, ...) gives a message its form, `<language>/words.txt` its words. An operator's own
file takes the place of a layout, of a language's words, or of one message (`invitation.sms.txt`).
"""

import bisect
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from shared.domain.causes import Cause
from shared.domain.kinds import KINDS
from shared.domain.model import ChannelName, Kind
from shared.text.segments import BASIC, GSM7, segments

if TYPE_CHECKING:
    from jinja2 import Template
    from jinja2.sandbox import SandboxedEnvironment

BUILT_IN = Path(__file__).parent / "templates"
ENGLISH = "en"
MAX_SEGMENTS = 2
MAX_SUBJECT = 150
MAX_TITLE = 300
MAX_NAME = MAX_LISTED = 60  # MAX_LISTED: of a title among others
SHORTEST_TITLE = 8  # a title is never cut below this, whatever the message costs
# Direction marks let a name reorder the text around it; the others are invisible and make an SMS UCS-2, twice the cost.
HIDDEN = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u2060\ufeff\u00ad")
# The dot of "example.com" and of "10.0.0.1", not of "J. R.", "v1.2" or "Lease.pdf". Browsers read the other dots alike.
FILES = "pdf|docx?|odt|rtf|txt|xlsx?|pptx?"
DOT = "[.\u3002\uff0e\uff61]"
DOT_OF_A_HOST = re.compile(
    rf"(?<=[^\W_]){DOT}(?=(?!(?:{FILES})(?![\w./:@-]))[^\W\d_]{{2}}|(?:\d+{DOT}){{2}}\d)", re.IGNORECASE
)
SCHEME = re.compile(r"(:)(//)")
ISOLATED = "\u2068{}\u2069"  # first strong isolate: text of the other direction does not reorder what surrounds it
ZERO_WIDTH_JOINER = "\u200d"
# Typographic characters of which one would turn an SMS into UCS-2, and what says the same in GSM-7.
PLAIN = str.maketrans({**dict.fromkeys("“”„«»", '"'), **dict.fromkeys("‘’‚′´`", "'"), **dict.fromkeys("–—‑−", "-")})
PLAIN |= str.maketrans({"\u00a0": " ", "\u202f": " ", "…": "...", "•": "-"})

# Of Spanish, Portuguese and French, whose readers know texts without them; elsewhere they may make another word.
ACCENTS = frozenset("\u0300\u0301\u0302\u0303\u0308\u0327")


class Texts(msgspec.Struct, frozen=True):
    """Which files there are. language: the default one; files directly in `templates_dir` are in it."""

    templates_dir: Path | None = None
    language: str = ENGLISH

    @property
    def folders(self) -> "Folders":
        """Where files are looked for, the operator's first."""
        return (self.templates_dir, BUILT_IN) if self.templates_dir else (BUILT_IN,)

    def languages(self) -> frozenset[str]:
        """Those that have a folder, and the default one."""
        return _languages(self)

    def choose(self, *wanted: str) -> str:
        """The first of the wanted languages ("de", "pt-BR", "fr_CA") that there are texts in, else the default."""
        tags = [tag.strip().lower().replace("_", "-") for tag in wanted]
        named = (name for tag in tags for name in (tag, tag.partition("-")[0]))
        return next((name for name in named if name in self.languages()), self.language)


BUILT_IN_TEXTS = Texts()


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """A signer whom a mail to the sender tells of. cause: a key of the words `unreached_because`."""

    name: str
    number: int
    channel: ChannelName
    cause: str
    title: str = ""  # of their request, where the mail is about several


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The requests of a mail of the day of which one thing is true. name: a key of the words `copy_daily_groups`."""

    name: str
    count: int
    titles: tuple[str, ...] = ()
    more: bool = False  # whether there are more titles than these


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What a template may use under these names, beside its language's words. Text is free: `render` cleans it."""

    title: str = ""  # of the document; "" when unknown
    brand: str = "Ironclad Clickwrap"
    contact: str = ""  # where a signer may ask
    link: str = ""
    signer_name: str = ""  # the reader
    who: str = ""  # who signed; "" when unknown
    needed: int = 1  # signatures still missing
    reminder_day: int = 0
    sender: str = ""
    expires: datetime | None = None  # in the reader's zone; in words: expires_at
    opt_out: bool = False  # whether an SMS has to say how to opt out
    people: tuple[Person, ...] = ()  # of a mail to the sender: who was not reached
    more: int = 0  # how many more
    day: datetime | None = None  # of a mail of the day: which; in words: date
    signatures: int = 0  # of that day
    groups: tuple[Group, ...] = ()
    metadata: Mapping[str, str] = {}  # of the request: CLICKWRAP_METADATA; "" for what is missing
    signer: Mapping[str, str] = {}  # of the reader: its names that begin with "signer."


class Rendered(msgspec.Struct, frozen=True):
    """`subject` and `html` are empty for SMS."""

    subject: str
    text: str
    html: str


# Causes that need the same of the sender are told in the same words.
CAUSE_WORDS: Mapping[Cause, str] = defaultdict(
    lambda: "not_delivered",
    {
        Cause.NO_ADDRESS: "no_address",
        Cause.INVALID_ADDRESS: "unusable",
        Cause.UNUSABLE: "unusable",
        Cause.CHANNEL_OFF: "channel_off",
        Cause.OPTED_OUT: "opted_out",
        Cause.NOT_DELIVERED: "not_delivered",
        Cause.TOO_LATE: "too_late",
        Cause.ANSWER_LOST: "answer_lost",
    },
)
Folders = tuple[Path, ...]


def render(
    kind: Kind, channel: ChannelName, context: Context, texts: Texts = BUILT_IN_TEXTS, language: str = ""
) -> Rendered:
    """Raises jinja2.TemplateError when an operator's template is faulty (`check_templates` finds those at start).

    language: one of the languages of `texts`; "" for its default.
    """
    language = language or texts.language
    if channel is ChannelName.SMS:
        context = _plain(context)
    message = _Message(kind, _cleaned(context, direction(texts, language)), texts, language)
    if channel is ChannelName.SMS:
        return Rendered("", message.sms(), "")
    return Rendered(message.subject(), message.draw("email.txt"), message.draw("email.html"))


def clean(text: str) -> str:
    """On one line, without control characters and the marks that hide or reverse text."""
    visible = "".join(
        " " if unicodedata.category(c) == "Cc" else c
        for c in text
        if c not in HIDDEN and unicodedata.category(c) != "Cs"
    )
    return " ".join(visible.split())


def untappable(text: str) -> str:
    """The text with a space in each web address, so that no phone or mail program makes a link of it.

    Others typed it, perhaps whoever forged a webhook, and it stands beside a genuine link.
    """
    return SCHEME.sub(r"\1 \2", DOT_OF_A_HOST.sub(r"\g<0> ", text))


def _cleaned(context: Context, direction: str) -> Context:
    def free(text: str, most: int) -> str:
        return isolated(_cut(untappable(clean(text)), most, "..."), direction)

    def all_of(values: Mapping[str, str]) -> Mapping[str, str]:
        return {name: free(value, MAX_TITLE) for name, value in values.items()}

    return msgspec.structs.replace(
        context,
        title=_cut(untappable(clean(context.title)), MAX_TITLE, "..."),
        brand=clean(context.brand),
        contact=clean(context.contact),
        signer_name=free(context.signer_name, MAX_NAME),
        who=free(context.who, MAX_NAME),
        sender=free(context.sender, MAX_NAME),
        people=tuple(
            msgspec.structs.replace(p, name=free(p.name, MAX_NAME), title=free(p.title, MAX_LISTED))
            for p in context.people
        ),
        groups=tuple(
            msgspec.structs.replace(g, titles=tuple(free(title, MAX_LISTED) for title in g.titles))
            for g in context.groups
        ),
        metadata=all_of(context.metadata),
        signer=all_of(context.signer),
    )


def _plain(context: Context) -> Context:
    """For an SMS. The brand keeps its accents: its name is the operator's choice, and so is what it costs."""
    texts = {name: _in_gsm7(getattr(context, name)) for name in ("title", "who", "signer_name", "sender", "contact")}
    return msgspec.structs.replace(
        context,
        brand=context.brand.translate(PLAIN),
        metadata={name: _in_gsm7(value) for name, value in context.metadata.items()},
        signer={name: _in_gsm7(value) for name, value in context.signer.items()},
        **texts,
    )


def _in_gsm7(text: str) -> str:
    """With its accents, unless the whole text is in GSM-7 without those that are not."""
    plain = unicodedata.normalize("NFC", clean(text).translate(PLAIN))
    bare = "".join(map(_without_accent, plain))
    return bare if segments(bare).encoding == GSM7 else plain


def _without_accent(letter: str) -> str:
    parts = unicodedata.normalize("NFD", letter)
    return parts[0] if letter not in BASIC and ACCENTS.issuperset(parts[1:]) else letter


def isolated(text: str, direction: str) -> str:
    """The text between marks that keep its direction to itself, where it is not that of the language."""
    foreign = {"L"} if direction == "rtl" else {"R", "AL"}
    return ISOLATED.format(text) if any(unicodedata.bidirectional(c) in foreign for c in text) else text


class _Message:
    """One message of one kind in one language."""

    def __init__(self, kind: Kind, context: Context, texts: Texts, language: str) -> None:
        self._kind, self._context, self._texts, self._language = kind, context, texts, language

    def sms(self) -> str:
        """With as much of its title as fits."""

        def shortened(length: int) -> str:
            """A lone ellipsis would turn a GSM-7 text into UCS-2: only a text that is UCS-2 anyway gets it."""
            text = self.draw("sms.txt", self._title(length, "..."))
            return text if segments(text).encoding == GSM7 else self.draw("sms.txt", self._title(length, "…"))

        return _longest(len(self._context.title), shortened, lambda text: segments(text).count <= MAX_SEGMENTS)

    def subject(self) -> str:
        """On one line, with as much of its title as fits."""

        def shortened(length: int) -> str:
            return " ".join(self.draw("email.subject.txt", self._title(length, "...")).split())

        return _longest(len(self._context.title), shortened, lambda text: len(text) <= MAX_SUBJECT)

    def _title(self, length: int, ellipsis: str) -> str:
        return _cut(self._context.title, length, ellipsis)

    def draw(self, layout: str, title: str | None = None) -> str:
        """The operator's file for this message, else the layout. title: a shortened one."""
        whole = self._context.title if title is None else title
        context = msgspec.structs.replace(self._context, title=isolated(whole, direction(self._texts, self._language)))
        values = template_values(context, self._texts, self._language)
        words = KINDS[self._kind].words or self._kind
        values |= {"kind": str(self._kind)} | {name: values.get(f"{words}_{name}", "") for name in OF_KIND}
        return _template(self._texts, self._language, self._kind, layout).render(values).strip()


@cache
def _template(texts: Texts, language: str, kind: Kind, layout: str) -> "Template":
    """Kept, since Jinja2 keeps those that it found, but looks for the others on the disk each time."""
    named = f"{kind}.{layout}"
    plain = [named] if language == texts.language else []
    names = [f"{language}/{named}", *plain, f"{language}/{layout}", layout]
    return environment(texts.folders).select_template(names)


OF_KIND = ("sentence", "action", "button", "subject")  # words that each kind has its own of


def template_values(context: Context, texts: Texts, language: str) -> dict[str, Any]:
    """What every template of a language may use."""
    values = msgspec.structs.asdict(context) | {
        "language": language,
        "zone": zone_name(context.expires),
        "metadata": Lookup(context.metadata),
        "signer": Lookup(context.signer),
    }
    for words in _words(texts, language):
        values |= {name: word for name, word in vars(words.make_module(values)).items() if not name.startswith("_")}
    return values


@cache
def direction(texts: Texts, language: str) -> str:
    """Of a language, as its words say: "ltr" or "rtl"."""
    return str(template_values(Context(), texts, language)["direction"])


class Lookup:
    """Metadata in a template: what is missing is empty, never an error."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> str:
        return self._values.get(name, "")

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)


def zone_name(at: datetime | None) -> str:
    """Its zone, as "EST"; where the zone has no such name, as "UTC-03"."""
    name = (at.tzname() if at else "") or ""
    return f"UTC{name}" if name[:1] in ("+", "-") else name


@cache
def _languages(texts: Texts) -> frozenset[str]:
    found = (path.name for folder in texts.folders for path in folder.iterdir() if path.is_dir())
    return frozenset({texts.language, *(name for name in found if not name.startswith("."))})


@cache
def _words(texts: Texts, language: str) -> "tuple[Template, ...]":
    """English, then the built-in words of the language, then the operator's: each replaces what it holds."""
    own = f"{language}/words.txt"
    wanted = [(BUILT_IN, f"{ENGLISH}/words.txt"), (BUILT_IN, own)]
    if texts.templates_dir:
        wanted += [(texts.templates_dir, "words.txt")] if language == texts.language else []
        wanted += [(texts.templates_dir, own)]
    there = dict.fromkeys((folder, name) for folder, name in wanted if (folder / name).is_file())
    return tuple(environment((folder,)).get_template(name) for folder, name in there)


def _longest(length: int, shortened: Callable[[int], str], fits: Callable[[str], bool]) -> str:
    """The text with as much of its title as fits, at least SHORTEST_TITLE characters."""
    whole = shortened(length)
    if length <= SHORTEST_TITLE or fits(whole):
        return whole
    lengths = range(SHORTEST_TITLE, length)
    fitting = bisect.bisect_left(lengths, True, key=lambda n: not fits(shortened(n)))
    return shortened(lengths[max(fitting - 1, 0)])


def _cut(text: str, length: int, ellipsis: str) -> str:
    """Not between a letter and its accents, nor within a joined emoji."""
    if len(text) <= length:
        return text
    while length and (unicodedata.combining(text[length]) or ZERO_WIDTH_JOINER in text[length - 1 : length + 1]):
        length -= 1
    return text[:length].rstrip() + ellipsis


@cache
def environment(where: Folders) -> "SandboxedEnvironment":
    """The Jinja2 environment of these folders. Imports Jinja2 on first use: most functions render no message."""
    from jinja2 import FileSystemLoader, StrictUndefined, select_autoescape
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(where),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
