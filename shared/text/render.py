"""The words of a message: templates (Jinja2, sandboxed) filled from the state of the request.

An operator's own files replace single ones of `templates/`; the rest stays built in, which is English only.
"""

import bisect
import re
import unicodedata
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from shared.domain.model import ChannelName, Kind
from shared.text.segments import GSM7, segments

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

BUILT_IN = Path(__file__).parent / "templates"
ENGLISH = "en"
MAX_SEGMENTS = 2
MAX_SUBJECT = 150
MAX_TITLE = 300
MAX_NAME = 60
SHORTEST_TITLE = 12  # a title is never cut below this, whatever the message costs
# Direction marks let a name reorder the text around it; the others are invisible and make an SMS UCS-2, twice the cost.
HIDDEN = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u2060\ufeff\u00ad")
# The dot of "example.com" and of "10.0.0.1", not of "J. R.", "v1.2" or "Lease.pdf". Browsers read the other dots alike.
FILES = "pdf|docx?|odt|rtf|txt|xlsx?|pptx?"
DOT = "[.\u3002\uff0e\uff61]"
DOT_OF_A_HOST = re.compile(
    rf"(?<=[^\W_]){DOT}(?=(?!(?:{FILES})(?![\w./:@-]))[^\W\d_]{{2}}|(?:\d+{DOT}){{2}}\d)", re.IGNORECASE
)
SCHEME = re.compile(r"(:)(//)")
ZERO_WIDTH_JOINER = "\u200d"


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What a template may use, under these names. Text is free: `render` cleans it."""

    title: str = ""  # of the document; "" when unknown
    brand: str = "Ironclad Clickwrap"
    link: str = ""
    signer_name: str = ""  # the reader
    who: str = ""  # who signed; "" when unknown
    needed: int = 1  # signatures still missing
    reminder_day: int = 0
    sender: str = ""


class Rendered(msgspec.Struct, frozen=True):
    """`subject` and `html` are empty for SMS."""

    subject: str
    text: str
    html: str


Folders = tuple[Path, ...]


def folders(templates_dir: Path | None = None, language: str = ENGLISH) -> Folders:
    """Where each template is looked for; the first that has it wins. language: a folder within `templates_dir`."""
    own = (templates_dir / language, templates_dir) if templates_dir else ()
    return (*own, BUILT_IN)


def render(kind: Kind, channel: ChannelName, context: Context, where: Folders = (BUILT_IN,)) -> Rendered:
    """Raises jinja2.TemplateError when an operator's template is faulty (`check_templates` finds those at start)."""
    context = _cleaned(context)
    if channel is ChannelName.SMS:
        return Rendered("", _sms(f"{kind}.sms.txt", context, where), "")
    name = f"{kind}.email"
    return Rendered(
        _subject(f"{name}.subject.txt", context, where),
        _draw(f"{name}.txt", context, where),
        _draw(f"{name}.html", context, where),
    )


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


def _cleaned(context: Context) -> Context:
    def name(text: str) -> str:
        return _cut(untappable(clean(text)), MAX_NAME, "...")

    return msgspec.structs.replace(
        context,
        title=_cut(untappable(clean(context.title)), MAX_TITLE, "..."),
        brand=clean(context.brand),
        signer_name=name(context.signer_name),
        who=name(context.who),
        sender=name(context.sender),
    )


def _sms(template: str, context: Context, where: Folders) -> str:
    def draw(title: str) -> str:
        return _draw(template, msgspec.structs.replace(context, title=title), where)

    def shortened(length: int) -> str:
        """A lone ellipsis character would turn a GSM-7 text into UCS-2: only a text that is UCS-2 anyway gets it."""
        text = draw(_cut(context.title, length, "..."))
        return text if segments(text).encoding == GSM7 else draw(_cut(context.title, length, "…"))

    return _longest(len(context.title), shortened, lambda text: segments(text).count <= MAX_SEGMENTS)


def _subject(template: str, context: Context, where: Folders) -> str:
    def shortened(length: int) -> str:
        title = _cut(context.title, length, "...")
        return clean(_draw(template, msgspec.structs.replace(context, title=title), where))

    return _longest(len(context.title), shortened, lambda text: len(text) <= MAX_SUBJECT)


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


def _draw(template: str, context: Context, where: Folders) -> str:
    values = msgspec.structs.asdict(context)
    return environment(where).get_template(template).render(values).strip()


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
