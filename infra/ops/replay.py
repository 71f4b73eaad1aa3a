"""`make dead-letters` and `make replay`: list the dead letters, replay them, or drop them.

Without --replay and --drop this is a dry run: it prints what a replay would do now and changes nothing.
"""

import argparse
import os
import sys
from collections.abc import Collection, Sequence

from infra.ops import guard, shell
from infra.ops.relay import relay_ports
from infra.ops.shell import Stop
from shared import bootstrap
from shared.domain.errors import RetryLater
from shared.services.dead_letters import DeadLetterService, ReplayPreview
from shared.setting_types import SettingError

CHANGING = {"--replay", "--drop"}


def run(arguments: Sequence[str]) -> int:
    """Returns the exit status: 1 if --id names a dead letter that does not exist."""
    options = _parser().parse_args(arguments)
    service = bootstrap.dead_letters()
    if options.drop:
        return _drop(service, options.id)
    previews = _replayed(service, options.id) if options.replay else service.held()
    shown = [p for p in previews if not options.id or p.letter.key in options.id]
    for preview in shown:
        print(_described(preview))
    if unknown := [key for key in options.id if key not in {p.letter.key for p in shown}]:
        print(f"no dead letter has the id {', '.join(unknown)}: `make dead-letters` lists them", file=sys.stderr)
        return 1
    if not shown:
        print("no dead letters")
    elif not options.replay:
        again = "make replay CONFIRM=1" + (" BACKEND=gcp" if os.environ.get("BACKEND") == "gcp" else "")
        print(f"\n{len(shown)} listed, nothing changed. `{again}` replays them; add ID=... for one.")
    return 0


def _replayed(service: DeadLetterService, ids: Sequence[str]) -> Collection[ReplayPreview]:
    """In parts, until none is left but those that cannot be replayed."""
    found = dict[str, ReplayPreview]()
    while fresh := [p for p in service.replay(ids) if p.letter.key not in found]:
        found |= {p.letter.key: p for p in fresh}
    return found.values()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.ops.replay")
    parser.add_argument("--replay", action="store_true", help="replay the dead letters; the default is a dry run")
    parser.add_argument("--drop", action="store_true", help="delete the dead letters named by --id, without a replay")
    parser.add_argument("--id", action="append", default=[], help="only this dead letter (repeatable)")
    return parser


def _drop(service: DeadLetterService, ids: Sequence[str]) -> int:
    if not ids:
        print("set ID to the dead letter to drop: `make dead-letters` lists them", file=sys.stderr)
        return 1
    dropped = service.drop(ids)
    print(f"{dropped} dropped")
    if dropped < len(set(ids)):
        print("the other ids belong to no dead letter: `make dead-letters` lists them", file=sys.stderr)
        return 1
    return 0


def _described(preview: ReplayPreview) -> str:
    letter = preview.letter
    times = "once" if letter.attempts == 1 else f"{letter.attempts} times"
    return (
        f"{letter.key}  {preview.what}\n"
        f"    dead-lettered {letter.at:%Y-%m-%d %H:%M:%S} UTC on {letter.topic}, tried {times}: {letter.reason}\n"
        f"    replay {preview.would}"
    )


def main() -> int:
    arguments = [a for a in sys.argv[1:] if a and not (shell.dry() and a in CHANGING)]
    try:
        if os.environ.get("BACKEND") == "gcp" and CHANGING & set(arguments):
            guard.check()
        with relay_ports():
            return run(arguments)
    except (SettingError, RetryLater, Stop) as e:
        print(f"dead letters: {e}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
