"""The page of all messages: complete, with the operator's texts, and without scripts."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from local import preview
from shared.domain.kinds import KINDS
from shared.domain.model import Kind
from shared.settings import Settings


class Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.articles: list[str] = []
        self.frames: list[dict[str, str | None]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "article":
            self.articles.append(found["id"] or "")
        if tag == "iframe":
            self.frames.append(found)


def page(**environ: str) -> str:
    return preview.page(Settings(environ))


def test_every_kind_is_shown_as_sms_and_as_mail_in_light_and_dark() -> None:
    html = page()
    shown = Page(html)
    assert shown.articles == [f"{language}-{kind}" for language in ("en", "de", "es", "fr", "pt") for kind in Kind]
    assert [f["class"] for f in shown.frames] == ["light", "dark"] * 5 * len(Kind)
    by_sms = [kind for kind, facts in KINDS.items() if not facts.to_sender]
    assert html.count('class="bubble"') == html.count(">1 segment<") == 2 * 5 * len(by_sms)
    assert html.count("\nReply STOP to end") == html.count("the first, to the US or Canada") / 5 == len(by_sms)
    assert "<strong>Reminder: please review &amp; sign &#34;Employment Agreement&#34;</strong>" in html
    assert "Hello Jane Doe,\n\nEric Smith has signed" in html


def test_a_mail_runs_no_script_of_its_template(tmp_path: Path) -> None:
    (tmp_path / "invitation.email.html").write_text('<script>alert(1)</script>"><b>{{ link }}')
    html = page(TEMPLATES_DIR=str(tmp_path))
    assert "<script" not in html
    frames = Page(html).frames
    assert {f["sandbox"] for f in frames} == {""}
    assert (frames[0]["srcdoc"] or "").startswith('<script>alert(1)</script>"><b>https://')


def test_each_language_has_its_messages_and_english_for_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "nl").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "nl" / "invitation.sms.txt").write_text("Graag ondertekenen: {{ link }}")
    html = page(TEMPLATES_DIR=str(tmp_path), BRAND_NAME="Acme")
    languages = ("en", "de", "es", "fr", "nl", "pt")
    assert Page(html).articles == [f"{language}-{kind}" for language in languages for kind in Kind]
    assert html.count("Graag ondertekenen") == 2  # as the first text, and later
    assert html.count("by Acme is waiting for your signature. Please review &amp; sign: https://") == 4  # SMS, text


def test_the_fields_that_a_template_may_use_are_named() -> None:
    html = page(CLICKWRAP_FIELDS='{"metadata.deal": ["custom_data.deal"]}')
    named = ("metadata.message", "metadata.company", "metadata.deal", "signer.name", "signer.email", "signer.company")
    assert [name for name in named if f"<code>{name}</code>" not in html] == []


def test_each_site_is_shown_in_its_own_name_language_and_domain() -> None:
    brands = {"7": {"name": "Other", "language": "fr", "links_domain": "go.other.example"}, "8": {"contact": "C 8"}}
    html = page(BRANDS=json.dumps(brands), BRAND_NAME="Acme")
    assert Page(html).articles[-2 * len(Kind) :] == [f"site-{site}-{kind}" for site in "78" for kind in Kind]
    _, seventh, eighth = re.split("<h2>Site [78]: ", html)
    assert "Other vous a envoyé" in seventh
    assert "https://go.other.example/" in seventh
    assert "Acme" not in seventh
    assert "by Acme" in eighth
    assert "Questions: C 8" in eighth


def test_an_sms_shows_what_it_costs_and_one_over_two_segments_stands_out(tmp_path: Path) -> None:
    assert "badge double" not in page().partition("</style>")[2]
    (tmp_path / "progress.sms.txt").write_text("ж" * 140)
    html = page(TEMPLATES_DIR=str(tmp_path))
    assert '<span class="badge double">3 segments</span>' in html
    assert "UCS-2, 140 code units" in html


@pytest.mark.parametrize("absent", [False, True])
def test_a_faulty_template_is_named_and_no_page_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], absent: bool
) -> None:
    (tmp_path / "de").mkdir()
    (tmp_path / "de" / "invitation.sms.txt").write_text("{{ link }}\n{{ nmae }}")
    monkeypatch.setenv("TEMPLATES_DIR", str(tmp_path / "absent" if absent else tmp_path))
    monkeypatch.setenv("LOCAL_DIR", str(tmp_path / "out"))
    assert preview.main() == 1
    told = capsys.readouterr().err
    assert told.startswith("preview: TEMPLATES_DIR: ")
    assert ("absent" if absent else "de/invitation.sms.txt:2: 'nmae' is undefined") in told
    assert not (tmp_path / "out").exists()


def test_the_page_is_written_where_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCAL_DIR", str(tmp_path / "out"))
    monkeypatch.delenv("TEMPLATES_DIR", raising=False)
    assert preview.main() == 0
    assert Path(capsys.readouterr().out.strip()).read_text("utf-8").startswith("<!doctype html>")
