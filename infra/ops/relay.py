"""Which relay a command reads: the local stack's files, or with BACKEND=gcp the deployed one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from infra.ops import config, terraform
from local.stack.offline import offline_ports


@contextmanager
def relay_ports() -> Iterator[None]:
    """The ports of that relay, for `shared.bootstrap`. Raises SettingError, Stop."""
    if os.environ.get("BACKEND") == "gcp" and config.decided("PROJECT"):
        terraform.init(terraform.read)
        place = {"GOOGLE_CLOUD_PROJECT": config.project()}  # a shell may name another
        os.environ.update(terraform.settings() | os.environ | place)
    with offline_ports():
        yield
