"""Checks an operator's templates at start, so that a fault in them is not found by the first message."""

import itertools
import traceback
from datetime import UTC, datetime
from pathlib import Path

from shared.domain.brands import Brand
from shared.domain.kinds import KINDS
from shared.domain.model import ChannelName, Kind
from shared.text.pages import link_page
from shared.text.render import BUILT_IN, CAUSE_WORDS, Context, Group, Person, Rendered, Texts, render

FULL = Context(
    title="Title",
    link="https://example.com/l",
    signer_name="Ann",
    who="Eric",
    needed=2,
    reminder_day=3,
    sender="Bo",
    contact="bo@example.com",
    expires=datetime(2026, 3, 1, 12, tzinfo=UTC),
    opt_out=True,
    people=tuple(
        Person(name="Eric", number=n, channel=channel, cause=cause)
        for n, (channel, cause) in enumerate(itertools.product(ChannelName, sorted(set(CAUSE_WORDS.values()))), 1)
    ),
    more=1,
    day=datetime(2026, 3, 1, tzinfo=UTC),
    groups=tuple(Group(name=name, count=2, titles=("Title",), more=True) for name in ("complete", "expired", "open")),
)
BARE = Context(link=FULL.link)
WITHOUT_LINK = {kind for kind, facts in KINDS.items() if not facts.link}
LAYOUTS = ("sms.txt", "email.subject.txt", "email.txt", "email.html")
NAMES = {"words.txt", "page.html", *LAYOUTS, *(f"{kind}.{layout}" for kind in Kind for layout in LAYOUTS)}
CHANNELS = (ChannelName.SMS, ChannelName.EMAIL)


def check_templates(texts: Texts) -> None:
    """Renders every message in every language. Raises ValueError: one line with the file, its line, what is wrong."""
    if texts.templates_dir:
        _check_folder(texts.templates_dir)
    if not any((folder / texts.language).is_dir() for folder in texts.folders):
        raise ValueError(f"no texts in '{texts.language}', which TEMPLATES_LANGUAGE asks for")
    for language in sorted(texts.languages(), key=lambda name: (name != texts.language, name)):
        _check_language(texts, language)


def _check_folder(directory: Path) -> None:
    if not directory.is_dir():
        raise ValueError(f"{directory} is not a directory")
    for path in sorted(directory.rglob("*")):
        if path.name.endswith(LAYOUTS) and path.name not in NAMES:
            kinds = ", ".join(Kind)
            raise ValueError(f"{path}: replaces no template; a name begins with one of {kinds}")
        if path.suffix in (".txt", ".html"):
            _check_encoding(path)


def _check_encoding(path: Path) -> None:
    try:
        path.read_text("utf-8")
    except UnicodeDecodeError as fault:
        line = fault.object[: fault.start].count(b"\n") + 1
        raise ValueError(f"{path}:{line}: not UTF-8") from None


def _check_language(texts: Texts, language: str) -> None:
    for kind, channel, context in itertools.product(Kind, CHANNELS, (FULL, BARE)):
        _check_link(kind, channel, _try(kind, channel, context, texts, language), texts, language)
    try:
        link_page("unknown", Brand(name="Acme"), texts, language)
    except Exception as fault:  # as above
        raise ValueError(f"{_place(fault, 'page.html')}: {_one_line(fault)}") from fault


def _try(kind: Kind, channel: ChannelName, context: Context, texts: Texts, language: str) -> Rendered:
    try:
        return render(kind, channel, context, texts, language)
    except Exception as fault:  # a template can raise whatever the values it touches raise
        raise ValueError(f"{_place(fault, f'a template of {kind}, {channel}')}: {_one_line(fault)}") from fault


def _one_line(fault: Exception) -> str:
    return " ".join(str(fault).split())


def _place(fault: Exception, otherwise: str) -> str:
    """File and line. A syntax error carries both; for the others Jinja2 puts template lines into the traceback."""
    if filename := getattr(fault, "filename", None):
        return f"{filename}:{getattr(fault, 'lineno', '?')}"
    frames = [f for f in traceback.extract_tb(fault.__traceback__) if f.filename.endswith((".txt", ".html"))]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else otherwise


def _check_link(kind: Kind, channel: ChannelName, rendered: Rendered, texts: Texts, language: str) -> None:
    bodies = {"txt": rendered.text, "html": rendered.html}
    for form in ("txt", "html") if channel is ChannelName.EMAIL else ("txt",):
        if kind not in WITHOUT_LINK and FULL.link not in bodies[form]:
            folder = (texts.templates_dir or BUILT_IN) / ("" if language == texts.language else language)
            name = f"{folder}/{kind}.{channel}.{form}"
            raise ValueError(f"{name}: {{{{ link }}}} is missing: the signer could not get to the document")
