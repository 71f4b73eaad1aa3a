"""Proves an operator's templates at start, before a signer meets the fault."""

import itertools
import traceback
from pathlib import Path

from shared.domain.model import ChannelName, Kind
from shared.text.render import BUILT_IN, Context, Rendered, render

FULL = Context(
    title="Title", link="https://example.com/l", signer_name="Ann", who="Eric", needed=2, reminder_day=3, sender="Bo"
)
BARE = Context(link=FULL.link)
WITHOUT_LINK = {Kind.PROGRESS}
SUFFIXES = (".sms.txt", ".email.subject.txt", ".email.txt", ".email.html")


def check_templates(templates_dir: Path | None) -> None:
    """Renders every kind for every channel. Raises ValueError with the file, the line and what is wrong there."""
    if templates_dir:
        _check_names(templates_dir)
    for kind, channel, context in itertools.product(Kind, (ChannelName.SMS, ChannelName.EMAIL), (FULL, BARE)):
        _check_link(kind, channel, _try(kind, channel, context, templates_dir))


def _check_names(templates_dir: Path) -> None:
    if not templates_dir.is_dir():
        raise ValueError(f"{templates_dir} is not a directory")
    for path in sorted(templates_dir.iterdir()):
        if path.name.endswith(SUFFIXES) and not (BUILT_IN / path.name).exists():
            kinds = ", ".join(Kind)
            raise ValueError(f"{path}: replaces no template; a name begins with one of {kinds}")


def _try(kind: Kind, channel: ChannelName, context: Context, templates_dir: Path | None) -> Rendered:
    try:
        return render(kind, channel, context, templates_dir)
    except Exception as fault:  # a template can raise whatever the values it touches raise
        raise ValueError(f"{_place(fault, kind, channel)}: {fault}") from fault


def _place(fault: Exception, kind: Kind, channel: ChannelName) -> str:
    """File and line. A syntax error carries both; for the others Jinja2 puts template lines into the traceback."""
    if filename := getattr(fault, "filename", None):
        return f"{filename}:{getattr(fault, 'lineno', '?')}"
    frames = [f for f in traceback.extract_tb(fault.__traceback__) if f.filename.endswith((".txt", ".html"))]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else f"a template of {kind}, {channel}"


def _check_link(kind: Kind, channel: ChannelName, rendered: Rendered) -> None:
    bodies = {f"{kind}.{channel}.txt": rendered.text}
    if channel is ChannelName.EMAIL:
        bodies[f"{kind}.email.html"] = rendered.html
    for name, body in bodies.items():
        if kind not in WITHOUT_LINK and FULL.link not in body:
            raise ValueError(f"{name}: {{{{ link }}}} is missing: the signer could not get to the document")
