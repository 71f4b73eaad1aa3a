"""`make rollback`: let the revisions of the last release that passed `make smoke` answer again. Nothing is built.

A revision has its code and its settings; secrets are read anew. Terraform's resources and the rights stay as they are.
"""

from infra.ops import revisions, shell
from infra.ops.function_table import chosen
from infra.ops.guard import changing
from infra.ops.revisions import Answering, Release
from infra.ops.shell import Stop


def rollback() -> int:
    now, kept = revisions.answering(chosen()), revisions.releases()
    target, *earlier = [release for release in kept if _differs(release, now)] or [{}]
    if not target and not shell.dry():
        raise Stop("no earlier release passed `make smoke`: `git checkout TAG && make deploy` builds one anew")
    if target:  # before any change: interrupted and run again, it goes to the same release
        revisions.keep([target, *earlier])  # and run a second time, further back
    back = {name: revision for name, revision in target.items() if not _alone(name, revision, now)}
    if wrong := revisions.shift_each(back):
        shell.say(f"{wrong}Not every function was rolled back: run `make rollback` again, it goes to the same release")
        return 1
    _tell(back, now)
    return 0


def _tell(back: Release, now: Answering) -> None:
    for name, revision in back.items():
        gone = " and ".join(other for other in now[name] if other != revision)
        shell.say(f"{name}: {revision} answers again, {gone} does not")
    shell.say("Now run `make smoke`. The next `make deploy` lets the new revisions answer again.")


def _differs(release: Release, now: Answering) -> bool:
    return any(not _alone(name, revision, now) for name, revision in release.items())


def _alone(name: str, revision: str, now: Answering) -> bool:
    """Whether a revision answers all calls of its function. A function that is not there has nothing to go back to."""
    return name not in now or now[name].keys() == {revision}


if __name__ == "__main__":
    shell.main(changing(rollback))
