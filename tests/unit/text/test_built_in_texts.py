"""Every built-in text in every language: what carriers and inboxes ask of it."""

import itertools
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from msgspec.structs import asdict, replace

from shared.domain.kinds import KINDS
from shared.domain.model import ChannelName, Kind
from shared.text.check import WITHOUT_LINK
from shared.text.render import BUILT_IN_TEXTS, Texts, _words
from shared.text.segments import GSM7, UCS2, segments
from tests.texts import DOMAIN, GOLDEN, LANGUAGES, LINK, SEED, golden, phrases, written

SMS, EMAIL = ChannelName.SMS, ChannelName.EMAIL
EVERY = list(itertools.product(Kind, LANGUAGES))
BY_SMS = [(kind, language) for kind, language in EVERY if not KINDS[kind].to_sender]
LONGEST_DOMAIN = replace(SEED, link=LINK.replace(DOMAIN, "go20.acme-example.co"))
TITLES = {  # title -> encoding, and the most segments: the link alone takes one of UCS-2
    "PS Employment Agreement": (GSM7, 1),
    "Zoë’s “PS” Employment": (GSM7, 1),
    "Convenio de colaboració": (GSM7, 1),
    "Termo de adesão à opção": (GSM7, 1),
    "Łódź Agreement": (UCS2, 3),
    "Договор": (UCS2, 3),
    "PS Employment Agreement " * 9: (GSM7, 2),
}
SHORTENERS = re.compile(r"bit\.ly|tinyurl|rebrand\.ly|goo\.gl|cloudfunctions\.net|run\.app")


def test_there_are_texts_in_these_languages_and_no_others() -> None:
    assert BUILT_IN_TEXTS.languages() == set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_has_every_word_that_english_has(language: str) -> None:
    english, *own = (set(vars(words.make_module({"zone": ""} | asdict(SEED)))) for words in _words(Texts(), language))
    assert language == "en" or own == [english - {"direction"}]


@pytest.mark.parametrize("title", TITLES)
@pytest.mark.parametrize(("first", "needed"), itertools.product((True, False), (1, 2)))
@pytest.mark.parametrize(("kind", "language"), BY_SMS)
def test_an_sms_costs_one_segment_names_the_company_and_keeps_to_the_carriers_rules(
    kind: Kind, language: str, first: bool, needed: int, title: str
) -> None:
    """One row serves all providers: none changes the text, its links or its alphabet (`test_provider_stubs`), and all
    count by the same standard. Their rules on senders do not change the text either.
    """
    encoding, most = TITLES[title]
    text = written(kind, SMS, language, replace(LONGEST_DOMAIN, title=title, needed=needed), first).text
    size = segments(text)
    assert size.encoding == encoding
    assert size.count <= most, f"{size.units} units: {text}"
    assert "Ironclad Clickwrap" in text
    assert ("STOP" in text.splitlines()[-1]) is first
    assert not SHORTENERS.search(text)
    assert (LONGEST_DOMAIN.link in text) is (kind not in WITHOUT_LINK)


@pytest.mark.parametrize(("kind", "language"), EVERY)
def test_without_title_and_names_the_sms_is_a_sentence_still(kind: Kind, language: str) -> None:
    text = written(kind, SMS, language, replace(SEED, title="", who="", signer_name="", sender="")).text
    assert segments(text).count == 1
    assert '""' not in text
    assert "  " not in text


class Shown(HTMLParser):
    """The words that a reader sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self._hidden = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden = tag in ("style", "title")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        self.words += [] if self._hidden else re.findall(r"[\w@/.:-]*\w", data)


@pytest.mark.parametrize(("kind", "language"), EVERY)
def test_both_parts_of_an_email_say_the_same(kind: Kind, language: str) -> None:
    """But for the words on the button."""
    mail = written(kind, EMAIL, language)
    text = set(re.findall(r"[\w@/.:-]*\w", mail.text))
    html = Shown(mail.html).words
    assert text - set(html) == set()
    assert len(set(html) - text) <= (0 if kind is Kind.PROGRESS else 4)


@pytest.mark.parametrize(("kind", "language"), EVERY)
def test_an_email_names_company_and_contact_in_its_footer(kind: Kind, language: str) -> None:
    mail = written(kind, EMAIL, language)
    *_, footer, questions = mail.text.splitlines()
    assert "Ironclad Clickwrap" in footer
    assert "legal@acme-example.com" in questions
    assert questions in mail.html
    assert f'<html lang="{language}" dir="ltr">' in mail.html


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_texts_are_the_golden_ones(language: str) -> None:
    """After a change of words: `python -m tests.texts`, and let somebody who speaks the language read it."""
    assert golden(language) == (GOLDEN / f"{language}.txt").read_text("utf-8")


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_every_text_is_translated_back_into_english(language: str) -> None:
    """After a change of words, translate the new text back, and compare it with what the English one says."""
    page = (Path(__file__).parents[3] / "docs" / "translations.md").read_text("utf-8")
    table = page.partition(f"`{language}`\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| (.+?) \| (.+) \|$", table, re.MULTILINE))
    assert {text for text in rows if text not in ("text", "---")} == phrases(language)
