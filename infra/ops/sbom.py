"""`make sbom`: what each bundle consists of, as CycloneDX in dist/sbom/. `make audit`: known faults in those packages.

Both read the locks, not an installation: what is listed is what the buildpack installs.
"""

import sys

from infra.ops import bundle, shell
from infra.ops.function_table import chosen
from infra.ops.lock import LOCKS
from infra.ops.shell import do

TOOL = (sys.executable, "-m", "uv", "tool", "run", "--quiet", "--from")  # in an environment of its own
CYCLONEDX = ("cyclonedx-bom==7.5.0", "cyclonedx-py", "requirements", "--output-reproducible", "--of", "JSON")
PIP_AUDIT = ("pip-audit==2.10.1", "pip-audit", "--disable-pip", "--require-hashes", "--progress-spinner=off")


def sbom() -> None:
    folder = bundle.DIST / "sbom"
    folder.mkdir(parents=True, exist_ok=True)
    for function in chosen():
        do(*TOOL, *CYCLONEDX, "--output-file", str(folder / f"{function.name}.json"), _lock(function.name))


def audit() -> None:
    """Needs the network. Raises Stop at the first function with a known fault."""
    for function in chosen():
        do(*TOOL, *PIP_AUDIT, "--requirement", _lock(function.name))
    shell.say("no known fault")


def _lock(function: str) -> str:
    return str(LOCKS / f"{function}.txt")


if __name__ == "__main__":
    shell.main(audit if sys.argv[1:] == ["audit"] else sbom)
