"""How many SMS segments a text costs (3GPP TS 23.038 §6.2.1 for the alphabet, TS 23.040 §9.2.3.24 for the parts)."""

import msgspec

GSM7 = "GSM-7"
UCS2 = "UCS-2"
BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENDED = frozenset("\f^{}\\[~]|€")  # an escape and a septet each
SINGLE = {GSM7: 160, UCS2: 70}
PART = {GSM7: 153, UCS2: 67}  # 6 octets of each part hold its number


class Segments(msgspec.Struct, frozen=True):
    """units: septets in GSM-7, UTF-16 code units in UCS-2. count: 0 for an empty text."""

    encoding: str
    units: int
    count: int


def segments(text: str) -> Segments:
    """Counts the segments of a text in the smallest encoding that holds it."""
    encoding = GSM7 if all(c in BASIC or c in EXTENDED for c in text) else UCS2
    wide = EXTENDED if encoding == GSM7 else None
    widths = [1 + (c in wide if wide else c > "\uffff") for c in text]
    units = sum(widths)
    count = min(units, 1) if units <= SINGLE[encoding] else _parts(widths, PART[encoding])
    return Segments(encoding, units, count)


def _parts(widths: list[int], size: int) -> int:
    """Counts the parts. An escape sequence or surrogate pair is never split, so a part may end one unit early."""
    count, used = 1, 0
    for width in widths:
        if used + width > size:
            count, used = count + 1, 0
        used += width
    return count
