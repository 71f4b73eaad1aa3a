"""Checks an operator's templates at start, so that a fault in them is not found by the first message."""

import itertools
import traceback
from pathlib import Path

from shared.domain.model import ChannelName, Kind
from shared.text.render import BUILT_IN, ENGLISH, Context, Folders, Rendered, environment, folders, render

FULL = Context(
    title="Title", link="https://example.com/l", signer_name="Ann", who="Eric", needed=2, reminder_day=3, sender="Bo"
)
BARE = Context(link=FULL.link)
WITHOUT_LINK = {Kind.PROGRESS}
SUFFIXES = (".sms.txt", ".email.subject.txt", ".email.txt", ".email.html")
CHANNELS = (ChannelName.SMS, ChannelName.EMAIL)


def check_templates(templates_dir: Path | None, language: str = ENGLISH) -> None:
    """Renders every kind for every channel. Raises ValueError: one line with the file, its line and what is wrong."""
    where = folders(templates_dir, language)
    for folder in _own(templates_dir, language):
        _check_files(folder)
    for kind, channel, context in itertools.product(Kind, CHANNELS, (FULL, BARE)):
        _check_link(kind, channel, _try(kind, channel, context, where), where)


def _own(templates_dir: Path | None, language: str) -> list[Path]:
    """The operator's folders in use. English needs none: it is built in."""
    if templates_dir is None:
        if language != ENGLISH:
            raise ValueError(f"not set, and only English is built in; TEMPLATES_LANGUAGE asks for '{language}'")
        return []
    if not templates_dir.is_dir():
        raise ValueError(f"{templates_dir} is not a directory")
    translated = templates_dir / language
    if translated.is_dir():
        return [templates_dir, translated]
    if language != ENGLISH:
        raise ValueError(f"{translated} is not a directory; TEMPLATES_LANGUAGE asks for it")
    return [templates_dir]


def _check_files(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        if path.name.endswith(SUFFIXES) and not (BUILT_IN / path.name).exists():
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


def _try(kind: Kind, channel: ChannelName, context: Context, where: Folders) -> Rendered:
    try:
        return render(kind, channel, context, where)
    except Exception as fault:  # a template can raise whatever the values it touches raise
        raise ValueError(f"{_place(fault, kind, channel)}: {' '.join(str(fault).split())}") from fault


def _place(fault: Exception, kind: Kind, channel: ChannelName) -> str:
    """File and line. A syntax error carries both; for the others Jinja2 puts template lines into the traceback."""
    if filename := getattr(fault, "filename", None):
        return f"{filename}:{getattr(fault, 'lineno', '?')}"
    frames = [f for f in traceback.extract_tb(fault.__traceback__) if f.filename.endswith((".txt", ".html"))]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else f"a template of {kind}, {channel}"


def _check_link(kind: Kind, channel: ChannelName, rendered: Rendered, where: Folders) -> None:
    bodies = {f"{kind}.{channel}.txt": rendered.text}
    if channel is ChannelName.EMAIL:
        bodies[f"{kind}.email.html"] = rendered.html
    for name, body in bodies.items():
        if kind not in WITHOUT_LINK and FULL.link not in body:
            path = environment(where).get_template(name).filename
            raise ValueError(f"{path}: {{{{ link }}}} is missing: the signer could not get to the document")
