"""`make preview`: write a page that shows every message as its recipient sees it. It sends nothing."""

import os
import sys
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from msgspec.structs import replace

from shared.adapters.shorteners.links import BASE_URL, DOMAIN, base_url
from shared.domain.brands import Brand
from shared.domain.kinds import KINDS
from shared.domain.model import ChannelName, Kind
from shared.setting_types import SettingError
from shared.settings import Settings
from shared.settings.clickwrap import CLICKWRAP_FIELDS
from shared.settings.messages import TEMPLATES_DIR, TEMPLATES_LANGUAGE
from shared.text.check import WITHOUT_LINK, check_templates
from shared.text.render import MAX_SEGMENTS, Context, Group, Rendered, Texts, render
from shared.text.segments import Segments, segments

HERE = Path(__file__).parent
CODE = "Zk3vQ9xLr7TnWc2M"  # as long as a real code, so that the number of SMS segments is correct
SAMPLE = Context(
    title="Employment Agreement",
    signer_name="Jane Doe",
    who="Eric Smith",
    needed=1,
    reminder_day=3,
    sender="Ann Sender",
    expires=datetime(2026, 3, 31, 17, tzinfo=ZoneInfo("America/New_York")),
)
GROUPS = tuple(Group(name=name, count=1, titles=(SAMPLE.title,)) for name in ("complete", "open"))


class Text(msgspec.Struct, frozen=True):
    """An SMS. first: as the first text to a number in the US or Canada."""

    text: str
    size: Segments
    first: bool


class Shown(msgspec.Struct, frozen=True):
    """texts: none for a kind that is only mailed."""

    kind: Kind
    texts: list[Text]
    mail: Rendered


class Part(msgspec.Struct, frozen=True):
    """The messages of one language, or of one site in its language."""

    id: str
    heading: str
    language: str
    messages: list[Shown]


def page(settings: Settings) -> str:
    """The HTML page.

    Raises:
        ValueError: a template has an error; the text names its file and line.
        OSError: TEMPLATES_DIR does not exist.
    """
    directory = settings[TEMPLATES_DIR]
    texts = Texts(Path(directory) if directory else None, settings[TEMPLATES_LANGUAGE])
    check_templates(texts)
    context = sample(settings, settings.brands().own)
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined)
    values = {
        "style": (HERE / "sandbox" / "static" / "style.css").read_text(),
        "parts": [*by_language(context, texts), *by_site(settings, texts)],
        "directory": directory,
        "brand": context.brand,
        "most": MAX_SEGMENTS,
        "fields": [*(f"metadata.{name}" for name in context.metadata), *(f"signer.{name}" for name in context.signer)],
    }
    return environment.get_template("preview.html").render(values)


def by_language(context: Context, texts: Texts) -> list[Part]:
    languages = sorted(texts.languages(), key=lambda name: (name != texts.language, name))
    return [Part(name, f"Language: {name}", name, shown(context, texts, name)) for name in languages]


def by_site(settings: Settings, texts: Texts) -> list[Part]:
    """Those of BRANDS, each in its language."""
    parts = []
    for site in settings.brands().sites:
        brand = settings.brands().of(site)
        language = texts.choose(brand.language)
        messages = shown(sample(settings, brand), texts, language)
        parts.append(Part(f"site-{site}", f"Site {site}: {brand.name}", language, messages))
    return parts


def sample(settings: Settings, brand: Brand) -> Context:
    """What the messages are filled with. A field of metadata stands for itself."""
    base = base_url(settings) if settings[DOMAIN] or settings[BASE_URL] else "https://links.example.com"
    return replace(
        SAMPLE,
        link=f"{f'https://{brand.links_domain}' if brand.links_domain else base}/{CODE}",
        brand=brand.name,
        contact=brand.contact or "contact@example.com",
        metadata=offered(settings, "metadata."),
        signer={name: f"[{name}]" for name in ("name", "email", "mobile")} | offered(settings, "signer.metadata."),
    )


def offered(settings: Settings, prefix: str) -> dict[str, str]:
    """The fields of CLICKWRAP_FIELDS that templates may use; `make probe` shows which of them an account has."""
    names = [name.removeprefix(prefix) for name in settings[CLICKWRAP_FIELDS] if name.startswith(prefix)]
    return {name: f"[{name}]" for name in names}


def shown(context: Context, texts: Texts, language: str) -> list[Shown]:
    def one(kind: Kind) -> Shown:
        told = replace(context, link="" if kind in WITHOUT_LINK else context.link)
        if kind is Kind.COPY_DAILY:
            told = replace(told, day=SAMPLE.expires, signatures=2, groups=GROUPS)
        by_sms = [] if KINDS[kind].to_sender else [sms(kind, first, told) for first in (True, False)]
        return Shown(kind, by_sms, render(kind, ChannelName.EMAIL, told, texts, language))

    def sms(kind: Kind, first: bool, told: Context) -> Text:
        text = render(kind, ChannelName.SMS, replace(told, opt_out=first), texts, language).text
        return Text(text, segments(text), first)

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
