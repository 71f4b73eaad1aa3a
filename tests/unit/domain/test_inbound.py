import pytest

from shared.domain.inbound import Keyword, keyword_of


@pytest.mark.parametrize(
    ("text", "keyword"),
    [
        ("STOP", Keyword.STOP),
        (" stop. ", Keyword.STOP),
        ("Stop all", Keyword.STOP),
        ("OPT-OUT!", Keyword.STOP),
        ("unsubscribe", Keyword.STOP),
        ("Arrêt", Keyword.STOP),
        ("start", Keyword.START),
        ("UNSTOP", Keyword.START),
        ("Help?", Keyword.HELP),
        ("info", Keyword.HELP),
        ("stop texting me", None),
        ("I cannot help it", None),
        ("", None),
        ("🛑", None),
    ],
)
def test_a_text_that_consists_of_a_keyword_is_one(text: str, keyword: Keyword | None) -> None:
    assert keyword_of(text) is keyword
