"""Masks personal data, so that people can be told apart but not identified until an operator asks."""

import re

from shared.domain.model import Request, Signer

EMAIL = re.compile(r"[\w.+%-]+@[\w.-]+\w")
MOBILE = re.compile(r"\+\d{7,15}")


class Shown:
    """Shows the people of a request. personal: without masking."""

    def __init__(self, request: Request, *, personal: bool) -> None:
        self._request, self.personal = request, personal
        names = [request.sender, *(s.name for s in request.signers.values())]
        self._names = [_spelt(name) for name in sorted({n for n in names if n.strip()}, key=len, reverse=True)]

    def name(self, name: str) -> str:
        """A name, or its initials."""
        return name if self.personal else initials(name)

    def label(self, key: str) -> str:
        """A signer by number and name; "" for none, and the bare key of one who is not known."""
        signer = self._request.signers.get(key)
        return f"{signer.number}. {self.name(signer.name)}".rstrip() if signer else key

    def addresses(self, signer: Signer) -> list[str]:
        """A signer's mobile number and e-mail address, as far as known."""
        return [self.text(address) for address in (signer.mobile, signer.email) if address]

    def text(self, text: str) -> str:
        """Free text: a message, a provider's reason."""
        if self.personal:
            return text
        for name in self._names:
            text = name.sub(lambda m: initials(m[0]), text)
        return masked(text)


def _spelt(name: str) -> re.Pattern[str]:
    """The name with whatever spaces between its words: messages hold it cleaned."""
    return re.compile(r"\s+".join(re.escape(word) for word in name.split()))


def masked(text: str) -> str:
    """The text with addresses and numbers masked."""
    text = EMAIL.sub(lambda m: f"{m[0][0]}•••@{m[0].split('@')[1]}", text)
    return MOBILE.sub(lambda m: f"{m[0][:2]}•••{m[0][-2:]}", text)


def initials(name: str) -> str:
    """The first letter of each word."""
    return " ".join(f"{word[0]}." for word in name.split())
