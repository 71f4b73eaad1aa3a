"""Words that the code and documents no longer use, since plainer ones replaced them.

To use one of them in another sense, add the exact phrase to ALLOWED.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("shared", "functions", "local", "infra", "bench", "docs")
SUFFIXES = {".py", ".md", ".html", ".tf", ".json"}
# Modules that have another name now.
MODULES = {"wiring", "entry", "vault", "proof", "parking", "gates", "twins", "legs", "dress", "circuit", "ground"}

ALLOWED = (
    *("look for", "looks for", "look up", "looks up", "looked up", "looked for", "look at", "looks at", "looked at"),
    *(
        "look like",
        "looks like",
        "looks the same",
        "look alike",
        "look-alike",
        "test_a_token_under_a_name_that_only_looks_alike_is_refused",
        "than it looks",
        "looks back no further",
    ),
    *("urllib3.util.Retry", "import Retry", "Retry()"),  # the class of urllib3
    *("turned off", "turned on", "turned into"),
    *("the gate", "is a gate"),  # of CI
    "Nothing is echoed",  # by a terminal
    "Retry-After",
    "import Retry as",  # Google's
    "exceptions.Unknown",  # Google's
    *('"Unknown":', "Etc/Unknown"),  # words of a vendor and of time zones
    "Cache-Control",
)


class Word(NamedTuple):
    name: str
    pattern: str
    folder: str = ""  # "" for all


# `(?! [a-z])`: the name of a class, and not the first word of a sentence.
WORDS = (
    Word("echo", r"[Ee]cho(es|ed|ing)?"),
    Word("heal", r"[Hh]eal(s|ed|ing)?"),
    Word("look", r"[Ll]ook(s|ed)?"),
    Word("turned", r"[Tt]urned"),
    Word("judge", r"[Jj]udge[sd]?"),
    Word("park", r"[Pp]ark(s|ed|ing)?"),
    Word("bury", r"[Bb]ur(y|ies|ied)"),
    Word("gate", r"[Gg]ates?"),
    Word("fate", r"[Ff]ates?"),
    Word("hindrance", r"[Hh]indrances?"),
    Word("ailment", r"[Aa]ilments?"),
    Word("dress", r"[Dd]ress(es|ed)?"),
    Word("twin", r"[Tt]wins?"),
    Word("leg", r"[Ll]egs?"),
    Word("vault", r"[Vv]ault"),
    Word("wiring", r"[Ww]iring"),
    Word("Merged", r"Merged(?! [a-z])"),
    Word("Seen", r"Seen(?! [a-z])"),
    Word("Control", r"Control(?! [a-z])", "shared"),
    Word("GiveUp", r"GiveUp"),
    Word("Unknown", r"Unknown(?! [a-z])"),
    Word("Retry", r"Retry(?! [a-z])"),
    Word("Retry", r"\bRetry`|`Retry\b|a Retry\b"),
    Word("Forged", r"Forged(?! [a-z])"),
    Word("Refused", r"Refused(?! [a-z])", "shared"),
    Word("DeadLetterDesk", r"DeadLetterDesk"),
    Word("..._at", r"(absent|doubt|missing)_at"),
    Word("constant", r"\b(PATIENCE|LONGEST|RACES|ENOUGH)\b"),
    Word("picture", r"[Pp]ictures?", "shared"),
    Word("ground", r"[Gg]round", "bench"),
    Word("module", r"\b(shared|infra\.ops)[./](entry|proof)\b|\b(entry|proof)\.py\b|import (entry|proof)\b"),
    Word("he", r"\b([Hh]e|[Hh]is|[Hh]im|[Hh]imself)\b"),
)


class Hit(NamedTuple):
    path: str
    line: int
    word: str
    text: str

    def __str__(self) -> str:
        return f"  {self.path}:{self.line}: {self.word}: {self.text.strip()[:110]}"


def words_in(line: str, folder: str) -> list[str]:
    """An underscore ends a word: `turned_away` holds `turned`."""
    for phrase in ALLOWED:
        line = re.sub(rf"(?<!\w){re.escape(phrase)}(?!\w)", "", line, flags=re.IGNORECASE)
    found = (word for word in WORDS if word.folder in ("", folder))
    return list(
        dict.fromkeys(w.name for w in found if re.search(rf"(?<![A-Za-z0-9])({w.pattern})(?![A-Za-z0-9])", line))
    )


def files() -> Iterator[Path]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(ROOT).parts)
            if path.suffix in SUFFIXES and not hidden and "results" not in path.parts:
                yield path
    yield ROOT / "Makefile"


def hits() -> list[Hit]:
    found = []
    for path in files():
        name = path.relative_to(ROOT).as_posix()
        if MODULES & set(re.split(r"[/.-]", name)):
            found.append(Hit(name, 0, "file name", name))
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if path.name == "Makefile":
                line = re.sub(r"\becho [\"'$]", "", line)  # the command of the shell
            found += [Hit(name, number, word, line) for word in words_in(line, name.partition("/")[0])]
    return found


def test_no_old_word_is_left() -> None:
    found = hits()
    listed = [
        line
        for folder in (*FOLDERS, "Makefile")
        if (mine := [hit for hit in found if hit.path.partition("/")[0] == folder])
        for line in (f"{folder}: {len(mine)}", *map(str, mine))
    ]
    if listed:
        pytest.fail("\n".join(["words that have been replaced:", *listed]), pytrace=False)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("each look costs one read", ["look"]),
        ("the next_look is at noon", ["look"]),
        ("Look up a request, then look for its signers", []),
        ("turned_away = 0", ["turned"]),
        ("this check is part of the gate", []),
        ("after both gates", ["gate"]),
        ("raise Retry(after=3)", ["Retry"]),
        ("raise RetryLater(after=3)", []),
        ("honours Retry-After", []),
        ("Unknown keys are ignored", []),
        ("the gateway and the/their thing", []),
        ("this is history", []),
        ("he has signed", ["he"]),
        ("LONGEST_WAIT = 3", []),
        ("LONGEST = 3", ["constant"]),
        ("from shared.entry import x", ["module"]),
        ("from shared.entrypoint import x", []),
        ("health and wealth", []),
    ],
)
def test_the_search_finds_words_and_leaves_other_senses(line: str, words: list[str]) -> None:
    assert words_in(line, "shared") == words
