"""Which relay a command reads: the local stack's files, or with BACKEND=gcp the deployed one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from infra.ops import config, terraform
from infra.ops.shell import Stop
from local.stack.offline import offline_ports
from shared.domain.errors import RetryLater

LOGIN = "run `gcloud auth application-default login`"
RIGHTS = "your login lacks a right: see docs/permissions.md"
# Exception of Google's clients -> what to do.
ADVICE = {"DefaultCredentialsError": LOGIN, "RefreshError": LOGIN, "PermissionDenied": RIGHTS, "Forbidden": RIGHTS}


@contextmanager
def relay_ports() -> Iterator[None]:
    """The ports of that relay, for `shared.bootstrap`. Raises SettingError, Stop."""
    if os.environ.get("BACKEND") == "gcp" and config.decided("PROJECT"):
        terraform.init(terraform.read)
        place = {"GOOGLE_CLOUD_PROJECT": config.project()}  # a shell may name another
        os.environ.update(terraform.settings() | os.environ | place)
    with offline_ports(), _told():
        yield


@contextmanager
def _told() -> Iterator[None]:
    """An error of Google's that the operator can do something about becomes what to do. Raises Stop."""
    try:
        yield
    except RetryLater as e:
        if advice := ADVICE.get(type(e.__cause__).__name__):
            raise Stop(f"{e.reason}: {advice}") from e
        raise
