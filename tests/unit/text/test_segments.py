import pytest

from shared.text.segments import GSM7, UCS2, Segments, segments


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Segments(GSM7, 0, 0)),
        ("a" * 160, Segments(GSM7, 160, 1)),
        ("a" * 161, Segments(GSM7, 161, 2)),
        ("a" * 306, Segments(GSM7, 306, 2)),
        ("a" * 307, Segments(GSM7, 307, 3)),
        ("ж" * 70, Segments(UCS2, 70, 1)),
        ("ж" * 71, Segments(UCS2, 71, 2)),
        ("ж" * 134, Segments(UCS2, 134, 2)),
        ("ж" * 135, Segments(UCS2, 135, 3)),
    ],
)
def test_a_segment_holds_160_or_70_units_and_a_part_of_several_153_or_67(text: str, expected: Segments) -> None:
    assert segments(text) == expected


@pytest.mark.parametrize("character", list("@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ¤¡ÄÖÑÜ§¿äöñüà\n\r'\""))
def test_the_basic_table_costs_one_septet(character: str) -> None:
    assert segments(character) == Segments(GSM7, 1, 1)


@pytest.mark.parametrize("character", list("^{}\\[~]|€\f"))
def test_the_extension_table_costs_two_septets(character: str) -> None:
    assert segments(character) == Segments(GSM7, 2, 1)


@pytest.mark.parametrize("character", list("`çÀ’“…–\u0301\t"))
def test_one_character_outside_both_tables_turns_the_whole_text_into_ucs2(character: str) -> None:
    assert segments("a" * 80 + character).encoding == UCS2


def test_an_emoji_costs_two_units() -> None:
    assert segments("😀" * 35) == Segments(UCS2, 70, 1)
    assert segments("😀" * 36) == Segments(UCS2, 72, 2)


def test_an_escape_sequence_is_not_torn_between_parts() -> None:
    # 152 + "€" does not fit into 153: the euro sign opens the next part, and the third takes what is left over.
    assert segments("a" * 152 + "€" + "a" * 152) == Segments(GSM7, 306, 3)


def test_a_surrogate_pair_is_not_torn_between_parts() -> None:
    assert segments("ж" * 66 + "😀" + "ж" * 66) == Segments(UCS2, 134, 3)
