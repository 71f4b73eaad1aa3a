"""The page of a link that leads nowhere: in whose name, in which language."""

import json
import re
from typing import Any

import pytest

from shared import bootstrap
from shared.domain.brands import Brand
from shared.handlers.links import DEAD, EXPIRED, SIGNED, UNKNOWN, Followed
from shared.text.pages import link_page
from shared.text.render import Texts
from tests.texts import LANGUAGES

OTHER = {
    "name": "Other",
    "email_reply_to": "O <hi@other.example>",
    "links_domain": "Go.Other.example",
    "language": "fr",
}
ACME = Brand(name="Acme <Legal>", contact="legal@acme.example")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("followed", [UNKNOWN, SIGNED, DEAD, EXPIRED, Followed(503, reason="busy")])
def test_the_page_gives_its_reason_and_names_company_and_contact(followed: Followed, language: str) -> None:
    page = link_page(followed.reason, ACME, Texts(), language)
    title, reason = re.findall(r"<h1>(.+)</h1><p>(.+)</p></main>", page)[0]
    assert f'<html lang="{language}" dir="ltr">' in page
    assert "Acme &lt;Legal&gt;" in page
    assert "legal@acme.example" in page
    assert page.endswith(f"<!-- link {followed.reason} -->\n"), "what does not depend on the language"
    assert title in page.partition("</title>")[0]
    english = link_page(followed.reason, ACME, Texts(), "en")
    assert (reason in english) is (title in english) is (language == "en")


@pytest.mark.parametrize(
    ("followed", "host", "words"),
    [
        (Followed(404, reason="unknown"), "GO.other.example:443", ("Ce lien", "Other", "hi@other.example")),
        (Followed(503, reason="busy"), "go.other.example", ("Other", "hi@other.example")),
        (Followed(410, reason="signed", site="8"), "go.other.example", ("Third",)),
        (Followed(404, reason="unknown"), "go.acme.example", ("Dieser Link", "Acme")),
        (Followed(404, reason="unknown"), "go.other.example.evil.example", ("Acme", "ask@acme.example")),
        (Followed(404, reason="unknown"), "", ("Dieser Link ist nicht bekannt", "Acme", "ask@acme.example")),
        (Followed(410, reason="signed", site="7"), "", ("Vous avez signé", "Other", "hi@other.example")),
        (Followed(410, reason="signed", site="7", languages=("", "es-MX")), "", ("Ya ha firmado", "Other")),
        (Followed(410, reason="signed", languages=("pt", "es")), "", ("Você já assinou", "Acme")),
    ],
)
def test_site_or_domain_choose_its_name_and_the_signer_its_language(
    compose: Any, followed: Followed, host: str, words: tuple[str, ...]
) -> None:
    environ = {
        "BRAND_NAME": "Acme",
        "EMAIL_FROM": "ask@acme.example",
        "TEMPLATES_LANGUAGE": "de",
        "LINKS_DOMAIN": "go.acme.example",
        "BRANDS": json.dumps({"7": OTHER, "8": {"name": "Third"}}),
    }
    compose(environ)
    page = bootstrap.link_page()(followed, host)
    assert [word for word in words if word not in page] == []
