"""`make dead-letters` and `make replay`: what nobody could handle, and sending it on its way again."""

import argparse
import sys
from collections.abc import Sequence

from local.stack.offline import opened
from shared import bootstrap
from shared.domain.errors import RetryLater
from shared.services.dead_letters import ReplayPreview
from shared.setting_types import SettingError


def described(judged: ReplayPreview) -> str:
    letter = judged.letter
    times = "once" if letter.attempts == 1 else f"{letter.attempts} times"
    return (
        f"{letter.key}  {judged.what}\n"
        f"    given up {letter.at:%Y-%m-%d %H:%M:%S} UTC on {letter.topic}, tried {times}: {letter.reason}\n"
        f"    replay {judged.would}"
    )


def run(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="dead_letters")
    parser.add_argument("--replay", action="store_true", help="do it, rather than tell what it would do")
    parser.add_argument("--drop", action="store_true", help="forget the letters named by --id")
    parser.add_argument("--id", action="append", default=[], help="only this one (repeatable)")
    options = parser.parse_args(arguments)
    desk = bootstrap.dead_letters()
    if options.drop:
        print(f"{desk.drop(options.id)} dropped")
        return 0
    judged = desk.replay(options.id) if options.replay else desk.held()
    shown = [j for j in judged if not options.id or j.letter.key in options.id]
    print("\n".join(described(j) for j in shown) or "no dead letters")
    if shown and not options.replay:
        print(f"\n{len(shown)} held. Nothing was done: `make replay CONFIRM=1` does it, with ID=... for one.")
    return 0


def main() -> int:
    try:
        with opened():
            return run([a for a in sys.argv[1:] if a])
    except (SettingError, RetryLater) as e:
        print(f"cannot: {e}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
