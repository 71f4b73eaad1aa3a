"""Secret Manager through gcloud. Values are passed by standard input: other users can read a command's arguments."""

from infra.ops import config
from infra.ops.function_table import secret_id
from infra.ops.shell import ask, do


def has_version(variable: str) -> bool:
    """Whether functions can read the secret: they get the newest version, also where that one is disabled.

    Like all functions here, it raises Stop.
    """
    newest = ("--sort-by=~createTime", "--limit=1", "--format=value(state)")
    command = ("gcloud", "secrets", "versions", "list", secret_id(variable))
    return (
        ask(*command, f"--project={config.project()}", *newest).lower() == "enabled"
    )  # other versions of gcloud print ENABLED


def read(variable: str) -> str:
    command = ("gcloud", "secrets", "versions", "access", "latest")
    return ask(*command, f"--secret={secret_id(variable)}", f"--project={config.project()}")


def add(variable: str, value: str) -> None:
    where = (f"--project={config.project()}", "--quiet", "--format=none", "--data-file=-")
    do("gcloud", "secrets", "versions", "add", secret_id(variable), *where, text=value)


def how_to_read(variable: str) -> str:
    """The command that prints a secret on the operator's terminal."""
    return f"gcloud secrets versions access latest --secret={secret_id(variable)} --project={config.project()}"
