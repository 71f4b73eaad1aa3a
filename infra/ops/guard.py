"""The one check before anything in Google Cloud is changed.

relay.env, gcloud and Terraform's state must name the same project. Every command that changes something is started
through `changing`; a test runs them all against another project's state.
"""

import os
from collections.abc import Callable

from infra.ops import config, shell, terraform
from infra.ops.shell import Stop, captured

Command = Callable[[], int | None]


def changing(action: Command) -> Command:
    """The command with the check before it. A dry run changes nothing and is not checked."""

    def guarded() -> int | None:
        check()
        return action()

    return guarded


def check() -> None:
    """Raises Stop if something names another project."""
    if shell.dry():
        return
    same_project()
    terraform.init()
    for other in terraform.owners() - {config.project()}:
        raise Stop(f"Terraform's state is of {other}, not of {config.project()}: nothing was changed")


def same_project() -> None:
    """The part of the check that needs no state. Raises Stop."""
    project = config.project()
    said = {
        config.file().name: config.operator().get("PROJECT"),
        "GOOGLE_CLOUD_PROJECT": os.environ.get("GOOGLE_CLOUD_PROJECT"),
        "gcloud": captured(("gcloud", "config", "get-value", "core/project", "--quiet")),
    }
    for where, other in said.items():
        if other and other != project:
            raise Stop(f"{where} names the project {other}, not {project}: nothing was changed")
