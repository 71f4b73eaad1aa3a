"""`make preview`: write a page that shows every message as its recipient sees it. It sends nothing."""

import os
import sys
from pathlib import Path

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from shared.adapters.shorteners.links import BASE_URL
from shared.domain.model import ChannelName, Kind
from shared.setting_types import SettingError
from shared.settings import BRAND_NAME, TEMPLATES_DIR, Settings
from shared.text.check import check_templates
from shared.text.render import ENGLISH, MAX_SEGMENTS, Context, Rendered, folders, render
from shared.text.segments import Segments, segments

HERE = Path(__file__).parent
CODE = "Zk3vQ9xLr7TnWc2MbY5hGd"  # as long as a real code, so that the number of SMS segments is correct
SAMPLE = Context(
    title="Employment Agreement",
    signer_name="Jane Doe",
    who="Eric Smith",
    needed=1,
    reminder_day=3,
    sender="Ann Sender",
)


class Shown(msgspec.Struct, frozen=True):
    kind: Kind
    sms: str
    size: Segments
    mail: Rendered


def languages(templates_dir: Path | None) -> list[str]:
    """English, and each language that TEMPLATES_DIR has a folder for."""
    found = sorted(p.name for p in templates_dir.iterdir() if p.is_dir()) if templates_dir else []
    return [ENGLISH, *(name for name in found if name != ENGLISH and not name.startswith("."))]


def page(settings: Settings) -> str:
    """The HTML page.

    Raises:
        ValueError: a template has an error; the text names its file and line.
        OSError: TEMPLATES_DIR does not exist.
    """
    directory = settings[TEMPLATES_DIR]
    templates_dir = Path(directory) if directory else None
    link = f"{settings.given(BASE_URL, 'https://links.example.com/l')}/{CODE}"
    context = msgspec.structs.replace(SAMPLE, link=link, brand=settings.given(BRAND_NAME, SAMPLE.brand))
    sets = {language: shown(context, templates_dir, language) for language in languages(templates_dir)}
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined)
    style = (HERE / "sandbox" / "static" / "style.css").read_text()
    values = {"style": style, "sets": sets, "directory": directory, "brand": context.brand, "most": MAX_SEGMENTS}
    return environment.get_template("preview.html").render(values)


def shown(context: Context, templates_dir: Path | None, language: str) -> list[Shown]:
    check_templates(templates_dir, language)
    where = folders(templates_dir, language)

    def one(kind: Kind) -> Shown:
        sms = render(kind, ChannelName.SMS, context, where).text
        return Shown(kind, sms, segments(sms), render(kind, ChannelName.EMAIL, context, where))

    return [one(kind) for kind in Kind]


def main() -> int:
    path = Path(os.environ.get("LOCAL_DIR") or HERE.parent / ".local") / "preview.html"
    try:
        html = page(Settings(os.environ))
    except SettingError as e:
        print(f"preview: {e}", file=sys.stderr)
        return 1
    except (ValueError, OSError) as e:
        print(f"preview: TEMPLATES_DIR: {e}", file=sys.stderr)
        return 1
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html, "utf-8")
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
