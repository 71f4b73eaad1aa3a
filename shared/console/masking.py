"""Masks personal data, so that people can be told apart but not identified until an operator asks."""

import re

from shared.domain.model import Request, Signer

EMAIL = re.compile(r"[\w.+%-]+@[\w.-]+\w")
# Seven to fifteen digits in groups, but no part of an id, and no date.
DATE = r"\d{1,4}([./-])\d{1,2}\1\d{2,4}(?![\d./-])"
NUMBER = re.compile(rf"(?<![\w-])(?!{DATE})\+?\(?\d(?:[ \u00a0()./-]{{0,2}}\d){{6,14}}(?![\w-])")
GROUP = re.compile(r"\d+")
WORD, QUOTED = re.compile(r"\w+"), re.compile(r"'([^']*)'")
LETTER = r"[^\W\d_]"
WHOLE = 7  # digits from which on a number may lead to a person


class Shown:
    """Shows the people of a request. personal: without masking."""

    def __init__(self, request: Request, *, personal: bool) -> None:
        self._request, self.personal = request, personal
        names = [request.sender, *(s.name for s in request.signers.values())]
        self._names: dict[str, list[str]] = {}  # by their first word: a request may have a thousand
        spelt = {form for name in names if name.strip() for form in (name, name.upper())}
        for name in sorted(spelt, key=len, reverse=True):
            self._names.setdefault((WORD.findall(name) or [name])[0], []).append(name)
        given = {text for s in request.signers.values() for text in s.unusable.values()}
        self._hidden = {text: _hidden(text) for text in given}

    def name(self, name: str) -> str:
        """A name, or its initials."""
        return name if self.personal else initials(name)

    def title(self) -> str:
        """The request's title."""
        return self.text(self._request.title)

    def label(self, key: str) -> str:
        """A signer by number and name; "" for none or for the sender, and the bare key of one who is not known."""
        signer = self._request.signers.get(key)
        return f"{signer.number}. {self.name(signer.name)}".rstrip() if signer else key

    def addresses(self, signer: Signer) -> list[str]:
        """A signer's mobile number and e-mail address, as far as known; what is no address as it was given."""
        told = [self.text(address) for address in (signer.mobile, signer.email) if address]
        return told + [f"'{self.text(given)}' (unusable)" for given in signer.unusable.values()]

    def text(self, text: str) -> str:
        """Free text: a message, a provider's reason."""
        if self.personal:
            return text
        for word in dict.fromkeys(WORD.findall(text)):
            for name in self._names.get(word, ()):
                text = _spelt(name).sub(lambda m: initials(m[0]), text)
        if text in self._hidden:
            return self._hidden[text]
        return masked(QUOTED.sub(lambda m: f"'{self._hidden.get(m[1], m[1])}'", text) if self._hidden else text)


def _spelt(name: str) -> re.Pattern[str]:
    """The name with whatever spaces between its words: messages hold it cleaned. No part of a word, but a genitive."""
    words = r"\s+".join(re.escape(word) for word in name.split())
    return re.compile(rf"(?<!{LETTER}){words}(?!{LETTER}{{2}})")


def masked(text: str) -> str:
    """The text with addresses and numbers masked."""
    text = EMAIL.sub(lambda m: f"{m[0][0]}•••@{m[0].split('@')[1]}", text)
    return NUMBER.sub(lambda m: f"{m[0][:2]}•••{m[0][-2:]}" if _leads_to_a_person(m[0]) else m[0], text)


def _leads_to_a_person(number: str) -> bool:
    """With its country, or in groups as people write one: codes and ids have neither."""
    later = GROUP.findall(number)[1:]
    return number[0] == "+" or ("(" not in number[1:] and min(map(len, later), default=0) > 1)


def _hidden(given: str) -> str:
    """What is no address; one that is long enough to lead to a person by its ends only."""
    return given if len(re.sub(r"\D", "", given)) < WHOLE and "@" not in given else f"{given[:2]}•••{given[-2:]}"


def initials(name: str) -> str:
    """The first letter of each word."""
    return " ".join(f"{word[0]}." for word in name.split())
