import html as markup
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import bootstrap
from shared.domain.model import ChannelName, Kind, Notice, Request, Signer
from shared.ports import Wording
from shared.setting_types import SettingError
from shared.settings import Settings
from shared.text.check import check_templates
from shared.text.render import Context, Rendered, clean, folders, render
from shared.text.segments import GSM7, UCS2, segments
from shared.text.wording import Words

SMS, EMAIL = ChannelName.SMS, ChannelName.EMAIL
LINK = "https://short.example/l/0123456789abcdefghijkl"
BIDI = "\u202e\u2066\u200f"


def sms(kind: Kind, **values: object) -> str:
    return render(kind, SMS, Context(link=LINK, **values)).text  # type: ignore[arg-type]


def email(kind: Kind, **values: object) -> Rendered:
    return render(kind, EMAIL, Context(link=LINK, **values))  # type: ignore[arg-type]


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
def test_an_sms_says_exactly_the_vendors_sentence(kind: Kind, values: dict[str, object], sentence: str) -> None:
    assert render(kind, SMS, Context(link=LINK, **values)) == Rendered("", sentence, "")  # type: ignore[arg-type]


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
    assert text.startswith('Eric Smith has signed "Em ploy ment Deal". ')


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
    assert clean(text) == text


@settings(deadline=None)
@given(st.text(min_size=1, max_size=2000), st.sampled_from([Kind.INVITATION, Kind.COMPLETION]))
def test_a_long_title_is_cut_so_that_an_sms_stays_within_two_segments(title: str, kind: Kind) -> None:
    link = "https://s.example/l/0123456789"
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
    assert '"' + "B" * 12 + '..."' in text


def test_a_title_is_not_cut_between_a_letter_and_its_accent() -> None:
    text = sms(Kind.INVITATION, title="e\u0301" * 300)
    assert 'e\u0301…"' in text


def test_a_subject_stays_near_150_characters() -> None:
    subject = email(Kind.INVITATION, title="word " * 100).subject
    assert 140 <= len(subject) <= 150
    assert subject.endswith('..."')


def test_a_long_name_is_cut() -> None:
    assert sms(Kind.PROGRESS, who="N" * 500, title="T").startswith("N" * 60 + "... has signed")


def given(folder: Path, name: str, template: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(template)


def test_one_template_of_the_operators_replaces_the_built_in_one_and_no_other(tmp_path: Path) -> None:
    given(tmp_path, "invitation.sms.txt", "Sign here: {{ link }}\n")
    assert render(Kind.INVITATION, SMS, Context(link=LINK), folders(tmp_path)).text == f"Sign here: {LINK}"
    assert render(Kind.COMPLETION, SMS, Context(link=LINK), folders(tmp_path)).text == sms(Kind.COMPLETION)
    check_templates(tmp_path)


def test_a_template_of_the_language_goes_before_one_without_and_that_before_the_built_in(tmp_path: Path) -> None:
    given(tmp_path, "de/invitation.sms.txt", "Bitte unterschreiben: {{ link }}")
    given(tmp_path, "invitation.sms.txt", "Sign here: {{ link }}")
    given(tmp_path, "reminder.sms.txt", "Still to sign: {{ link }}")
    german = folders(tmp_path, "de")
    texts = [render(kind, SMS, Context(link=LINK), german).text for kind in Kind]
    assert texts[list(Kind).index(Kind.INVITATION)] == f"Bitte unterschreiben: {LINK}"
    assert texts[list(Kind).index(Kind.REMINDER)] == f"Still to sign: {LINK}"
    assert texts[list(Kind).index(Kind.COMPLETION)] == sms(Kind.COMPLETION)
    assert render(Kind.INVITATION, SMS, Context(link=LINK), folders(tmp_path)).text == f"Sign here: {LINK}"
    check_templates(tmp_path, "de")


def test_a_language_has_a_layout_of_its_own(tmp_path: Path) -> None:
    given(tmp_path, "de/base.html", "<p lang=de>{% block sentence %}{% endblock %}</p>{{ link }}")
    page = render(Kind.PROGRESS, EMAIL, Context(who="Eric"), folders(tmp_path, "de")).html
    assert page.startswith("<p lang=de>Eric has signed")


def test_the_layout_alone_can_be_replaced(tmp_path: Path) -> None:
    given(tmp_path, "base.html", "<p>{% block sentence %}{% endblock %}</p>{{ link }}")
    page = render(Kind.PROGRESS, EMAIL, Context(who="Eric", needed=2), folders(tmp_path)).html
    assert page.startswith("<p>Eric has signed a document.")


def test_the_built_in_templates_pass_the_check() -> None:
    check_templates(None)


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
        check_templates(tmp_path, "de")
    assert len(str(raised.value).splitlines()) == 1


def test_a_template_that_is_not_utf8_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "invitation.sms.txt").write_bytes(b"ok\n\xff {{ link }}")
    with pytest.raises(ValueError, match=r"/invitation\.sms\.txt:2: not UTF-8"):
        check_templates(tmp_path)


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="absent is not a directory"):
        check_templates(tmp_path / "absent")


@pytest.mark.parametrize("has_folder", [True, False])
def test_a_language_nobody_wrote_is_named(tmp_path: Path, has_folder: bool) -> None:
    with pytest.raises(ValueError, match="TEMPLATES_LANGUAGE"):
        check_templates(tmp_path if has_folder else None, "de")


# -- the port


NOTICE = Notice(notice="0123456789abcdef", request="r", signer="s", kind=Kind.INVITATION, channel=SMS, round=1)


REQUEST = Request(id="r", title="Deal", signers={"s": Signer(number=1, name="Ann")})


def words(link: str) -> Wording:
    return Words("Acme")(REQUEST, NOTICE, link)


def test_an_sms_over_two_segments_is_sent_and_warned_of_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="shared"):
        assert words(LINK).segments == 1
        assert not caplog.records
        assert words("https://sign.example/" + "x" * 400).segments == 4
    [record] = caplog.records
    assert record.json == {"notice": "0123456789ab", "kind": "invitation", "segments": 4}  # type: ignore[attr-defined]
    assert "sign.example" not in record.getMessage()


@pytest.fixture
def settings_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    return lambda **environ: monkeypatch.setattr(bootstrap, "settings", lambda: Settings(environ))


def test_a_faulty_template_stops_the_start_with_one_line(settings_of: Any, tmp_path: Path) -> None:
    given(tmp_path, "invitation.sms.txt", "{{ link }}\n{{ tilte }}")
    settings_of(TEMPLATES_DIR=str(tmp_path))
    with pytest.raises(SettingError, match=r"^TEMPLATES_DIR: \S+/invitation\.sms\.txt:2: 'tilte' is undefined$"):
        bootstrap.renderer()


def test_the_settings_choose_folder_and_language(settings_of: Any, tmp_path: Path) -> None:
    given(tmp_path, "de/invitation.sms.txt", "Bitte: {{ link }}")
    settings_of(TEMPLATES_DIR=str(tmp_path), TEMPLATES_LANGUAGE="de")
    assert bootstrap.renderer()(REQUEST, NOTICE, LINK).text == f"Bitte: {LINK}"


def test_a_start_without_texts_of_ones_own_does_not_import_jinja2() -> None:
    code = "import sys; from shared import bootstrap; bootstrap.renderer(); sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={}, cwd=Path(__file__).parents[3]).returncode == 0
