import html as markup
import logging
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from shared import bootstrap
from shared.domain.brands import Brand, Brands
from shared.domain.causes import Cause
from shared.domain.daily import Summary
from shared.domain.model import ChannelName, Kind, Notice, Request, Signer
from shared.domain.policy import Policy
from shared.domain.unreached import Unreached
from shared.ports import Wording
from shared.setting_types import SettingError
from shared.text.check import check_templates
from shared.text.render import Context, Rendered, Texts, clean, render
from shared.text.segments import GSM7, UCS2, segments
from shared.text.wording import MAX_TITLES, Words

SMS, EMAIL = ChannelName.SMS, ChannelName.EMAIL
LINK = "https://short.example/l/0123456789abcdefghijkl"
BIDI = "\u202e\u2066\u200f"


def rendered(kind: Kind, channel: ChannelName, **values: object) -> Rendered:
    link = "" if kind is Kind.PROGRESS else LINK
    return render(kind, channel, Context(**{"link": link, **values}))  # type: ignore[arg-type]


def sms(kind: Kind, **values: object) -> str:
    return rendered(kind, SMS, **values).text


def email(kind: Kind, **values: object) -> Rendered:
    return rendered(kind, EMAIL, **values)


SENTENCES = [
    (
        Kind.INVITATION,
        {"title": "PS Employment Agreement"},
        f'You\'ve been sent "PS Employment Agreement" by Ironclad Clickwrap. Please review & sign: {LINK}',
    ),
    (Kind.INVITATION, {}, f"You've been sent a document by Ironclad Clickwrap. Please review & sign: {LINK}"),
    (
        Kind.REMINDER,
        {"title": "PS Employment Agreement", "reminder_day": 3},
        (
            'Reminder: "PS Employment Agreement" by Ironclad Clickwrap is waiting for your signature.'
            f" Please review & sign: {LINK}"
        ),
    ),
    (
        Kind.REMINDER,
        {"brand": "Acme"},
        f"Reminder: a document by Acme is waiting for your signature. Please review & sign: {LINK}",
    ),
    (
        Kind.PROGRESS,
        {"title": "Employment Agreement", "who": "Eric Smith", "needed": 1},
        'Eric Smith has signed "Employment Agreement". One more signature is needed to complete the document.',
    ),
    (
        Kind.PROGRESS,
        {"title": "Employment Agreement", "needed": 2},
        'Another signer has signed "Employment Agreement". 2 more signatures are needed to complete the document.',
    ),
    (
        Kind.PROGRESS,
        {"who": "Eric Smith", "needed": 12},
        "Eric Smith has signed a document. 12 more signatures are needed to complete the document.",
    ),
    (
        Kind.COMPLETION,
        {"title": "PS Employment Agreement"},
        f'"PS Employment Agreement" has been accepted by all parties. Download your document here: {LINK}',
    ),
    (Kind.COMPLETION, {}, f"A document has been accepted by all parties. Download your document here: {LINK}"),
]


@pytest.mark.parametrize(("kind", "values", "sentence"), SENTENCES)
def test_an_sms_says_the_vendors_sentence_and_who_writes(kind: Kind, values: dict[str, object], sentence: str) -> None:
    brand = values.get("brand", "Ironclad Clickwrap")
    text = sentence if str(brand) in sentence else f"{brand}: {sentence}"
    assert rendered(kind, SMS, **values) == Rendered("", text, "")


@pytest.mark.parametrize(("kind", "values", "sentence"), SENTENCES)
def test_an_email_says_the_same_sentence(kind: Kind, values: dict[str, object], sentence: str) -> None:
    message = email(kind, **values)
    assert sentence in message.text.splitlines()
    assert message.subject
    assert "\n" not in message.subject


@pytest.mark.parametrize("kind", Kind)
def test_an_email_greets_its_reader_and_names_the_sender(kind: Kind) -> None:
    message = email(kind, signer_name="Ann Lee", sender="Bo Ek")
    assert message.text.startswith("Hello Ann Lee,\n\n")
    assert "Hello Ann Lee," in message.html
    assert "Bo Ek" in message.text
    assert "Bo Ek" in message.html


@pytest.mark.parametrize("kind", Kind)
def test_an_email_without_names_has_no_gap_where_they_would_be(kind: Kind) -> None:
    message = email(kind)
    assert "Hello" not in message.text + message.html
    assert message.text.endswith("Sent through Ironclad Clickwrap.")
    assert "\n\n\n" not in message.text


@pytest.mark.parametrize("kind", [Kind.INVITATION, Kind.REMINDER, Kind.COMPLETION])
def test_an_html_email_has_the_link_as_a_button_and_in_plain(kind: Kind) -> None:
    page = email(kind, title="T").html
    assert page.count(f'href="{LINK}"') == 2
    assert f">{LINK}</a>" in page


def test_a_progress_notice_carries_no_link() -> None:
    assert LINK not in sms(Kind.PROGRESS, who="Eric")
    assert LINK not in email(Kind.PROGRESS, who="Eric").html


def test_html_is_escaped_and_plain_text_is_not() -> None:
    message = email(Kind.INVITATION, title='<b onclick="x">&Co', signer_name="<script>")
    assert "<b onclick" not in message.html
    assert "<script>" not in message.html
    assert markup.escape('<b onclick="x">&Co', quote=False).replace('"', "&#34;") in message.html
    assert '"<b onclick="x">&Co"' in message.text


def test_a_url_in_a_title_is_text_and_the_link_stays_the_last_word() -> None:
    text = sms(Kind.INVITATION, title="https://evil.example/x")
    assert text.endswith(LINK)
    page = email(Kind.INVITATION, title="https://evil.example/x").html
    assert "evil. example" in page
    assert 'href="https://evil.example' not in page


@pytest.mark.parametrize("template", ["{{ 7*7 }}", "{% raw %}", "{{ link.__class__ }}"])
def test_a_title_that_looks_like_a_template_stays_text(template: str) -> None:
    assert template in sms(Kind.INVITATION, title=template)


def test_titles_and_names_stand_on_one_line_without_control_or_direction_marks() -> None:
    text = sms(Kind.PROGRESS, title=f"Em\r\nploy\tment\x00\x85 {BIDI}Deal", who=f" Eric\n{BIDI}Smith ")
    assert 'Eric Smith has signed "Em ploy ment Deal". ' in text


def test_joined_emoji_and_accents_survive_the_cleaning() -> None:
    assert clean("👩\u200d👧 e\u0301") == "👩\u200d👧 e\u0301"
    assert clean("\ud800x") == "x"


@settings(deadline=None)
@given(st.text(max_size=80))
def test_whatever_a_title_holds_the_message_is_one_clean_line(title: str) -> None:
    text = sms(Kind.INVITATION, title=title)
    assert len(text.splitlines()) == 1
    assert text.endswith(f" {LINK}")
    assert text.encode()
    assert clean(text) == text.translate(dict.fromkeys(map(ord, "\u2068\u2069")))  # the marks of an isolated title


@settings(deadline=None)
@given(st.text(min_size=1, max_size=2000), st.sampled_from([Kind.INVITATION, Kind.COMPLETION]))
def test_a_long_title_is_cut_so_that_an_sms_stays_within_two_segments(title: str, kind: Kind) -> None:
    link = "https://s.example/01234567"
    text = render(kind, SMS, Context(title=title, link=link)).text
    assert segments(text).count <= 2
    assert text.endswith(link)


def test_a_gsm7_title_is_cut_with_dots_that_keep_it_gsm7_and_uses_the_room_there_is() -> None:
    text = sms(Kind.INVITATION, title="A" * 400)
    assert 'A..." by' in text
    assert segments(text).encoding == GSM7
    assert segments(text).units == 306


def test_a_ucs2_title_is_cut_with_one_ellipsis_character() -> None:
    text = sms(Kind.INVITATION, title="ж" * 400)
    assert 'ж…" by' in text
    assert segments(text).encoding == UCS2
    assert segments(text).units == 134


def test_a_link_too_long_for_two_segments_costs_the_title_but_not_all_of_it() -> None:
    long = "https://sign.example/" + "x" * 400
    text = render(Kind.INVITATION, SMS, Context(title="B" * 100, link=long)).text
    assert text.endswith(long)
    assert '"' + "B" * 8 + '..."' in text


def test_a_title_is_not_cut_between_a_letter_and_its_accent() -> None:
    text = sms(Kind.INVITATION, title="ж\u0301" * 300)
    assert 'ж\u0301…"' in text


def test_a_subject_stays_near_150_characters() -> None:
    subject = email(Kind.INVITATION, title="word " * 100).subject
    assert 140 <= len(subject) <= 150
    assert subject.endswith('..."')


def test_a_long_name_is_cut() -> None:
    assert ": " + "N" * 60 + "... has signed" in sms(Kind.PROGRESS, who="N" * 500, title="T")


def given(folder: Path, name: str, template: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(template)


def test_one_template_of_the_operators_replaces_the_built_in_one_and_no_other(tmp_path: Path) -> None:
    given(tmp_path, "invitation.sms.txt", "Sign here: {{ link }}\n")
    assert render(Kind.INVITATION, SMS, Context(link=LINK), Texts(tmp_path)).text == f"Sign here: {LINK}"
    assert render(Kind.COMPLETION, SMS, Context(link=LINK), Texts(tmp_path)).text == sms(Kind.COMPLETION)
    check_templates(Texts(tmp_path))


def test_files_in_the_folder_itself_are_in_the_default_language(tmp_path: Path) -> None:
    given(tmp_path, "de/invitation.sms.txt", "Bitte unterschreiben: {{ link }}")
    given(tmp_path, "invitation.sms.txt", "Sign here: {{ link }}")
    given(tmp_path, "reminder.sms.txt", "Still to sign: {{ link }}")

    def text(kind: Kind, default: str, language: str) -> str:
        return render(kind, SMS, Context(link=LINK), Texts(tmp_path, default), language).text

    assert text(Kind.INVITATION, "de", "de") == f"Bitte unterschreiben: {LINK}"
    assert text(Kind.REMINDER, "de", "de") == f"Still to sign: {LINK}"
    assert text(Kind.INVITATION, "en", "en") == f"Sign here: {LINK}"
    assert text(Kind.INVITATION, "en", "de") == f"Bitte unterschreiben: {LINK}"
    assert text(Kind.REMINDER, "en", "de").startswith("Erinnerung: ein Dokument von ")
    check_templates(Texts(tmp_path))
    check_templates(Texts(tmp_path, "de"))


def test_a_language_is_one_folder_and_what_it_lacks_is_english(tmp_path: Path) -> None:
    words = '{% set invitation_sentence %}{{ brand }} stuurde u {{ title or "een document" }}.{% endset %}'
    given(tmp_path, "nl/words.txt", words + '{% set invitation_action = "Graag tekenen" %}')
    texts = Texts(tmp_path)
    assert texts.choose("nl-BE") == "nl"
    message = render(Kind.INVITATION, SMS, Context(link=LINK, brand="Acme"), texts, "nl").text
    assert message == f"Acme stuurde u een document. Graag tekenen: {LINK}"
    assert "accepted by all parties" in render(Kind.COMPLETION, SMS, Context(link=LINK), texts, "nl").text
    assert '<html lang="nl" dir="ltr">' in render(Kind.INVITATION, EMAIL, Context(link=LINK), texts, "nl").html
    check_templates(texts)


def test_single_words_can_be_replaced(tmp_path: Path) -> None:
    given(tmp_path, "de/words.txt", '{% set invitation_action = "Jetzt bitte" %}')
    text = render(Kind.INVITATION, SMS, Context(link=LINK, brand="Acme", title="T"), Texts(tmp_path), "de").text
    assert text == f'Acme hat Ihnen "T" gesendet. Jetzt bitte: {LINK}'


def test_a_language_has_a_layout_of_its_own(tmp_path: Path) -> None:
    given(tmp_path, "de/email.html", "<p lang=de>{% block sentence %}{{ sentence }}{% endblock %}</p>{{ link }}")
    page = render(Kind.PROGRESS, EMAIL, Context(who="Eric"), Texts(tmp_path), "de").html
    assert page.startswith("<p lang=de>Eric hat ein Dokument unterschrieben.")


def test_the_layout_alone_can_be_replaced_or_extended(tmp_path: Path) -> None:
    given(tmp_path, "email.html", "<p>{% block sentence %}{{ sentence }}{% endblock %}</p>{{ link }}")
    given(
        tmp_path,
        "progress.email.html",
        '{% extends "email.html" %}{% block sentence %}Well: {{ super() }}{% endblock %}',
    )
    page = render(Kind.PROGRESS, EMAIL, Context(who="Eric", needed=2), Texts(tmp_path)).html
    assert page.startswith("<p>Well: Eric has signed a document.")


@pytest.mark.parametrize(
    ("wanted", "language"),
    [
        (("de",), "de"),
        (("de-AT",), "de"),
        (("PT_br",), "pt"),
        (("nl", "fr"), "fr"),
        (("", "es"), "es"),
        (("Estonian",), "en"),
        (("../../etc",), "en"),
        ((), "en"),
    ],
)
def test_the_first_language_there_are_texts_in_is_chosen(wanted: tuple[str, ...], language: str) -> None:
    assert Texts().choose(*wanted) == language


@pytest.mark.parametrize(
    ("language", "at"),
    [
        ("en", "March 1, 2026, 5:05 PM EST"),
        ("es", "1 de marzo de 2026, 17:05 EST"),
        ("fr", "1er mars 2026 à 17:05 EST"),
        ("de", "1. März 2026, 17:05 Uhr EST"),
        ("pt", "1 de março de 2026, 17:05 EST"),
    ],
)
def test_a_time_is_written_as_the_language_writes_it(language: str, at: str) -> None:
    expires = datetime(2026, 3, 1, 17, 5, tzinfo=ZoneInfo("America/New_York"))
    message = render(Kind.INVITATION, EMAIL, Context(link=LINK, expires=expires), language=language)
    assert at in message.text
    assert at in message.html
    assert at not in render(Kind.COMPLETION, EMAIL, Context(link=LINK, expires=expires), language=language).text


def test_a_zone_without_a_name_is_told_by_its_offset() -> None:
    expires = datetime(2026, 3, 1, 17, 5, tzinfo=ZoneInfo("America/Sao_Paulo"))
    assert "17:05 UTC-03" in render(Kind.REMINDER, EMAIL, Context(link=LINK, expires=expires), language="pt").text


@pytest.mark.parametrize(
    ("language", "needed", "said"),
    [
        ("en", 1, "One more signature is needed"),
        ("en", 2, "2 more signatures are needed"),
        ("es", 1, "Falta una firma para"),
        ("es", 2, "Faltan 2 firmas para"),
        ("fr", 1, "Il manque encore une signature pour"),
        ("fr", 2, "Il manque encore 2 signatures pour"),
        ("de", 1, "Es fehlt noch eine Unterschrift,"),
        ("de", 2, "Es fehlen noch 2 Unterschriften,"),
        ("pt", 1, "Falta uma assinatura para"),
        ("pt", 2, "Faltam 2 assinaturas para"),
    ],
)
def test_one_and_several_signatures_are_told_in_the_right_form(language: str, needed: int, said: str) -> None:
    for channel in (SMS, EMAIL):
        assert said in render(Kind.PROGRESS, channel, Context(who="Eric", needed=needed), language=language).text


def test_a_template_may_use_metadata_and_what_is_missing_is_empty(tmp_path: Path) -> None:
    given(
        tmp_path, "invitation.sms.txt", "[{{ metadata.deal }}|{{ metadata.nothing }}|{{ signer.company }}] {{ link }}"
    )
    given(tmp_path, "invitation.email.html", "<b>{{ metadata.deal }}</b> {{ link }}")
    context = Context(link=LINK, metadata={"deal": f"<b>\nNo. 7{BIDI}"}, signer={"company": "Acme"})
    check_templates(Texts(tmp_path))
    assert render(Kind.INVITATION, SMS, context, Texts(tmp_path)).text == f"[<b> No. 7||Acme] {LINK}"
    assert "<b>&lt;b&gt; No. 7</b>" in render(Kind.INVITATION, EMAIL, context, Texts(tmp_path)).html


def test_typographic_characters_of_a_title_do_not_double_the_price() -> None:
    text = sms(Kind.INVITATION, title="Ann’s “new” lease – 2026…")
    assert '"Ann\'s "new" lease - 2026..."' in text
    assert segments(text).encoding == GSM7
    assert "Ann’s “new” lease – 2026…" in email(Kind.INVITATION, title="Ann’s “new” lease – 2026…").text


@pytest.mark.parametrize(
    ("title", "written"),
    [
        ("Convenio de colaboración", "Convenio de colaboracion"),
        ("Cessão de créditos à Fundação", "Cessao de créditos à Fundacao"),  # é and à are in GSM-7
        ("Résiliation du prêt à Noël", "Résiliation du pret à Noel"),
        ("Contrato Sa\u0303o Paulo", "Contrato Sao Paulo"),  # an accent of its own
        ("Umowa z Łodzią ó", "Umowa z Łodzią ó"),  # of no use: it stays UCS-2
        ("Договор о ремонте кое-чего й", "Договор о ремонте кое-чего й"),
    ],
)
def test_accents_that_would_double_the_price_of_an_sms_are_left_out_and_the_title_is_not_cut(
    title: str, written: str
) -> None:
    assert f'"{written}"' in sms(Kind.PROGRESS, title=title, who="Ann")
    assert title in email(Kind.PROGRESS, title=title, who="Ann").text


def test_what_a_template_takes_from_the_request_does_not_double_the_price_either(tmp_path: Path) -> None:
    given(tmp_path, "invitation.sms.txt", "{{ metadata.deal }}, {{ signer.name }}, {{ contact }} {{ link }}")
    values = {"metadata": {"deal": "Ann’s “acción”"}, "signer": {"name": "Ramón"}, "contact": "Ann’s"}
    text = render(Kind.INVITATION, SMS, Context(link=LINK, **values), Texts(tmp_path)).text  # type: ignore[arg-type]
    assert text == f"Ann's \"accion\", Ramon, Ann's {LINK}"


@pytest.mark.parametrize(("title", "marks"), [("عقد عمل", True), ("Deal", False)])
def test_a_title_of_the_other_direction_leaves_what_surrounds_it_in_place(title: str, marks: bool) -> None:
    for text in (sms(Kind.INVITATION, title=title), email(Kind.INVITATION, title=title).html):
        assert (f"\u2068{title}\u2069" in text) is marks
        assert title in text


def test_a_language_from_right_to_left_is_said_to_be(tmp_path: Path) -> None:
    given(tmp_path, "ar/words.txt", "{% set direction = 'rtl' %}{% set invitation_sentence %}{{ title }}{% endset %}")
    page = render(Kind.INVITATION, EMAIL, Context(link=LINK, title="Deal"), Texts(tmp_path), "ar").html
    assert '<html lang="ar" dir="rtl">' in page
    assert "\u2068Deal\u2069" in page


def test_the_built_in_templates_pass_the_check() -> None:
    check_templates(Texts())


@pytest.mark.parametrize(
    ("name", "template", "complaint"),
    [
        ("invitation.sms.txt", "ok\n{% if %}{{ link }}", r"/invitation\.sms\.txt:2: "),
        ("reminder.email.txt", "{{ link }}\n\n{{ tilte }}", r"/reminder\.email\.txt:3: 'tilte' is undefined"),
        ("progress.email.html", "{{ who.__class__.__mro__ }}", r"/progress\.email\.html:1: .*unsafe"),
        ("completion.email.html", "no way to the document", r"/completion\.email\.html: .*link"),
        (
            "completion.email.subject.txt",
            "{% extends 'nowhere.txt' %}",
            r"/completion\.email\.subject\.txt:1: 'nowhere\.txt",
        ),
        ("progress.sms.txt", "{{ needed + who }}", r"/progress\.sms\.txt:1: "),
        ("invite.sms.txt", "typo", r"/invite\.sms\.txt: replaces no template"),
        ("de/invitation.sms.txt", "{{ link }}\n{{ nmae }}", r"/de/invitation\.sms\.txt:2: 'nmae' is undefined"),
        ("de/invitatio.sms.txt", "typo", r"/de/invitatio\.sms\.txt: replaces no template"),
    ],
)
def test_a_faulty_template_is_named_with_its_file_and_line_in_one_line(
    tmp_path: Path, name: str, template: str, complaint: str
) -> None:
    (tmp_path / "de").mkdir()
    given(tmp_path, name, template)
    with pytest.raises(ValueError, match=complaint) as raised:
        check_templates(Texts(tmp_path, "de"))
    assert len(str(raised.value).splitlines()) == 1


def test_a_template_that_is_not_utf8_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "invitation.sms.txt").write_bytes(b"ok\n\xff {{ link }}")
    with pytest.raises(ValueError, match=r"/invitation\.sms\.txt:2: not UTF-8"):
        check_templates(Texts(tmp_path))


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="absent is not a directory"):
        check_templates(Texts(tmp_path / "absent"))


@pytest.mark.parametrize("has_folder", [True, False])
def test_a_language_nobody_wrote_is_named(tmp_path: Path, has_folder: bool) -> None:
    with pytest.raises(ValueError, match="TEMPLATES_LANGUAGE"):
        check_templates(Texts(tmp_path if has_folder else None, "nl"))


# -- the port


NOTICE = Notice(notice="0123456789abcdef", request="r", signer="s", kind=Kind.INVITATION, channel=SMS, round=1)
MAIL = replace(NOTICE, channel=EMAIL)


REQUEST = Request(id="r", title="Deal", signers={"s": Signer(number=1, name="Ann")})
BRANDS = Brands(
    Brand(name="Acme", contact="legal@acme.example"),
    {
        "7": Brand(name="Other", email_from="Other <hi@other.example>", email_reply_to="R <re@other.example>"),
        "8": Brand(language="fr", sms_from="+13175550100"),
    },
)


def words(link: str) -> Wording:
    return Words(BRANDS, Policy())(REQUEST, NOTICE, link)


@pytest.mark.parametrize(
    ("site", "request_language", "language", "said"),
    [
        ("", "", "", "You've been sent"),
        ("", "", "de-CH", "Acme hat Ihnen"),
        ("", "es", "", "Acme le ha enviado"),
        ("", "es", "pt", "Acme enviou"),
        ("8", "", "", "Acme vous a envoyé"),
        ("8", "", "nl", "Acme vous a envoyé"),
        ("7", "", "", "by Other. Please review"),
    ],
)
def test_language_and_brand_are_the_signers_and_the_sites(
    site: str, request_language: str, language: str, said: str
) -> None:
    signers = {"s": Signer(number=1, name="Ann", language=language)}
    request = replace(REQUEST, site=site, language=request_language, signers=signers)
    assert said in Words(BRANDS, Policy())(request, NOTICE, LINK).text


def test_a_sites_mail_comes_from_its_own_addresses() -> None:
    mail = Words(BRANDS, Policy())(replace(REQUEST, site="7"), MAIL, LINK)
    assert (mail.sender, mail.reply_to) == ("Other <hi@other.example>", "R <re@other.example>")
    assert "Questions: re@other.example" in mail.text
    own = Words(BRANDS, Policy())(REQUEST, MAIL, LINK)
    assert (own.sender, own.reply_to) == ("", "")
    assert "Questions: legal@acme.example" in own.text
    assert Words(BRANDS, Policy())(replace(REQUEST, site="8"), NOTICE, LINK).sender == "+13175550100"


def test_the_mail_of_the_day_names_each_signer_once_with_their_document_and_not_all_of_many_titles() -> None:
    titles = [f"Lease {n:02}" for n in reversed(range(MAX_TITLES + 1))]
    one = Unreached(notice="n", signer="s", channel=ChannelName.SMS, cause=Cause.UNUSABLE, at=datetime.now(UTC))
    missed = [(replace(REQUEST, title=title), one) for title in ("NDA http://evil.example", "Lease 01", "Lease 01")]
    day = Summary(day=datetime(2026, 3, 1), signatures=3, complete=["", "NDA"], open=titles, unreached=missed)
    mail = Words(BRANDS, Policy())(
        replace(REQUEST, site="7"), replace(MAIL, signer="", kind=Kind.COPY_DAILY), "", (), day
    )
    assert (mail.subject, mail.sender) == ("Your requests on March 1, 2026", "Other <hi@other.example>")
    assert '- Signatures: 3\n- Complete: 2 ("NDA")\n- Still open: 21 ("Lease 00", "Lease 01", ' in mail.text
    assert '"Lease 19", ...)\n\nNot reached so far:\n\n- "Lease 01": ' in mail.text
    assert mail.text.count('- "') == 2
    assert "Expired" not in mail.text
    assert "evil.example" not in mail.text + mail.html


@pytest.mark.parametrize("kind", [Kind.INVITATION, Kind.REMINDER, Kind.COMPLETION])
@pytest.mark.parametrize("told", [True, False])
def test_a_text_says_how_to_opt_out_where_it_should(kind: Kind, told: bool) -> None:
    text = Words(BRANDS, Policy())(REQUEST, replace(NOTICE, kind=kind), LINK, opt_out=told).text
    assert text.endswith("\nReply STOP to end") is told


def test_a_time_is_told_in_the_zone_of_the_signers_number() -> None:
    signers = {"s": Signer(number=1, mobile="+4915112345678", language="de")}
    request = replace(REQUEST, expires_at=datetime(2026, 3, 1, 12, tzinfo=UTC), signers=signers)
    assert "bis zum 1. März 2026, 13:00 Uhr CET." in Words(BRANDS, Policy())(request, MAIL, LINK).text


def test_an_sms_over_two_segments_is_sent_and_warned_of_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="shared"):
        assert words(LINK).segments == 1
        assert not caplog.records
        assert words("https://sign.example/" + "x" * 400).segments == 4
    [record] = caplog.records
    assert record.json == {"notice": "0123456789ab", "kind": "invitation", "segments": 4}  # type: ignore[attr-defined]
    assert "sign.example" not in record.getMessage()


def test_a_faulty_template_stops_the_start_with_one_line(compose: Any, tmp_path: Path) -> None:
    given(tmp_path, "invitation.sms.txt", "{{ link }}\n{{ tilte }}")
    compose({"TEMPLATES_DIR": str(tmp_path)})
    with pytest.raises(SettingError, match=r"^TEMPLATES_DIR: \S+/invitation\.sms\.txt:2: 'tilte' is undefined$"):
        bootstrap.renderer()


def test_the_settings_choose_folder_and_language(compose: Any, tmp_path: Path) -> None:
    given(tmp_path, "de/invitation.sms.txt", "Bitte: {{ link }}")
    compose({"TEMPLATES_DIR": str(tmp_path), "TEMPLATES_LANGUAGE": "de"})
    assert bootstrap.renderer()(REQUEST, NOTICE, LINK).text == f"Bitte: {LINK}"


def test_a_start_without_texts_of_ones_own_does_not_import_jinja2() -> None:
    code = "import sys; from shared import bootstrap; bootstrap.renderer(); sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={}, cwd=Path(__file__).parents[3]).returncode == 0
