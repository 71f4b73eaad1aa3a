"""`make rollback`: let the revisions of the last release that passed `make smoke` answer again. Nothing is built.

A revision has its code and its settings; secrets are read anew. Terraform's resources and the rights stay as they are.
"""

from concurrent.futures import ThreadPoolExecutor

from infra.ops import revisions, shell
from infra.ops.function_table import chosen
from infra.ops.guard import changing
from infra.ops.revisions import Release
from infra.ops.shell import Stop


def rollback() -> None:
    now, kept = revisions.serving(chosen()), revisions.releases()
    target, *earlier = [release for release in kept if _differs(release, now)] or [{}]
    if not target and not shell.dry():
        raise Stop("no earlier release passed `make smoke`: `git checkout TAG && make deploy` builds one anew")
    if target:  # before any change: interrupted and run again, it goes to the same release
        revisions.keep([target, *earlier])  # and run a second time, further back
    back = {name: revision for name, revision in target.items() if now.get(name) not in (None, revision)}
    with ThreadPoolExecutor(max(1, len(back))) as pool:
        list(pool.map(lambda name: revisions.shift(name, {back[name]: 100}), back))
    for name, revision in back.items():
        shell.say(f"{name}: {revision} answers again, {now[name]} does not")
    shell.say("Now run `make smoke`. The next `make deploy` lets the new revisions answer again.")


def _differs(release: Release, now: Release) -> bool:
    return any(revision != now.get(name, revision) for name, revision in release.items())


if __name__ == "__main__":
    shell.main(changing(rollback))
