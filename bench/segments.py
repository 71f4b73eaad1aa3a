"""SMS segments of the built-in texts. `python -m bench.segments` prints them alone.

A life: two signers by SMS; the first signs after the second reminder, the other after the third. Ten messages.
"""

from msgspec.structs import replace

from bench.harness import Harness
from bench.report import Row
from shared.domain.kinds import KINDS
from shared.domain.model import ChannelName, Kind
from shared.text.segments import segments
from tests.texts import LANGUAGES, LINK, SEED, written

LIFE = {Kind.INVITATION: 2, Kind.REMINDER: 5, Kind.PROGRESS: 1, Kind.COMPLETION: 2}
CLOUD = f"https://us-central1-clickwrap-relay.cloudfunctions.net/links/{LINK.rpartition('/')[2]}"
# The texts of before, with codes of 22 characters and a link of Google's.
BEFORE_LINK = f"{CLOUD}xxxxxx"
BEFORE = {
    Kind.INVITATION: f'You\'ve been sent "{SEED.title}" by {SEED.brand}. Please review & sign: {BEFORE_LINK}',
    Kind.REMINDER: f'Reminder: "{SEED.title}" by {SEED.brand} is waiting for your signature. '
    f"Please review & sign: {BEFORE_LINK}",
    Kind.PROGRESS: f'{SEED.who} has signed "{SEED.title}". One more signature is needed to complete the document.',
    Kind.COMPLETION: f'"{SEED.title}" has been accepted by all parties. Download your document here: {BEFORE_LINK}',
}


def run(harness: Harness | None = None) -> list[Row]:
    before = {kind: segments(text).count for kind, text in BEFORE.items()}
    return [_row(f"two signers, {language}", language, before) for language in LANGUAGES]


def _row(what: str, language: str, before: dict[Kind, int]) -> Row:
    own, cloud = (_counted(language, link) for link in (LINK, CLOUD))
    return Row(
        what=what,
        ours=f"{_life(own)} with a domain of one's own ({_told(own)}), {_life(cloud)} with cloudfunctions.net",
        against="the English texts of before",
        theirs=f"{_life(before)} ({_told(before)})",
        goal="10",
    )


def _counted(language: str, link: str) -> dict[Kind, int]:
    context = replace(SEED, link=link)
    """The invitation is the first text, and says how to opt out."""
    return {
        kind: segments(written(kind, ChannelName.SMS, language, context, kind is Kind.INVITATION).text).count
        for kind, facts in KINDS.items()
        if not facts.to_sender
    }


def _life(counts: dict[Kind, int]) -> int:
    return sum(times * counts[kind] for kind, times in LIFE.items())


def _told(counts: dict[Kind, int]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in counts.items())


if __name__ == "__main__":
    for row in run():
        print(f"{row.what:16} {row.ours}\n{'':16} {row.against}: {row.theirs}")
