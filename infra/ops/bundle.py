"""`make bundle`: a folder and a zip for each function in dist/, named by the hash of what they hold.

dist/<function> is a link to the folder.

A bundle is flat, as functions-framework wants it: main.py beside shared/, and requirements.txt. It is the same for
every configuration: a change of provider is a change of settings, never of code.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import msgspec

from infra.ops import config, shell
from infra.ops.function_table import ROOT, Function, chosen
from infra.ops.lock import LOCKS, RUNTIME
from infra.ops.shell import Stop

DIST = ROOT / "dist"
SHIPPED = {".py", ".html", ".txt", ".css", ".js", ".svg", ".json"}
# Where the buildpack puts the source: compiled code names its files so in a traceback, wherever it was built.
WORKSPACE = "/workspace"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold


class Bundle(msgspec.Struct, frozen=True):
    function: str
    digest: str  # twelve hexadecimal digits over its files, compiled code left out
    folder: Path
    archive: Path


def build(function: Function, dist: Path) -> Bundle:
    """Replaces the function's earlier bundle. Raises Stop."""
    files = contents(function)
    digest = digest_of(files)
    folder = dist / f"{function.name}-{digest}"
    _drop_old(dist, function.name)
    for name, data in files.items():
        _write(folder / name, data)
    _compile(folder)
    _name(dist / function.name, folder)
    return Bundle(function.name, digest, folder, _zip(folder))


def _name(link: Path, folder: Path) -> None:
    """dist/<function>: a name that stays, for `gcloud functions deploy --source`."""
    link.unlink(missing_ok=True)
    link.symlink_to(folder.name, target_is_directory=True)


def contents(function: Function) -> dict[str, bytes]:
    """What a bundle holds, by path."""
    lock = LOCKS / f"{function.name}.txt"
    if not lock.exists():
        raise Stop(f"infra/requirements/{lock.name} is missing: run `make lock`")
    files = _under(ROOT / "functions" / function.name) | _under(ROOT / "shared", "shared/") | _texts()
    return dict(sorted((files | {"requirements.txt": lock.read_bytes()}).items()))


def _texts() -> dict[str, bytes]:
    """Texts of the operator's own: TEMPLATES_DIR of relay.env, taken along as templates/."""
    given = config.operator().get("TEMPLATES_DIR")
    if given and not (ROOT / given).is_dir():
        raise Stop(f"TEMPLATES_DIR: there is no folder {given}")
    return _under(ROOT / given, "templates/") if given else {}


def _under(folder: Path, prefix: str = "") -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.suffix in SHIPPED and path.is_file())
    return {prefix + path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def digest_of(files: dict[str, bytes]) -> str:
    total = hashlib.sha256()
    for name, data in files.items():
        total.update(f"{name}\0{len(data)}\0".encode() + data)
    return total.hexdigest()[:12]


def _drop_old(dist: Path, function: str) -> None:
    for old in dist.glob(f"{function}-*"):
        shutil.rmtree(old) if old.is_dir() else old.unlink()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _compile(folder: Path) -> None:
    """The buildpack compiles the packages but not our code, and each cold start would do it again.

    unchecked-hash: valid whatever the upload does to the times of files. In a process of its own, with nothing else
    in memory, because the bytes depend on what else refers to a constant.
    """
    if f"{sys.version_info.major}.{sys.version_info.minor}" != RUNTIME:
        return  # another Python's compiled code would be dead weight
    options = ("-q", "--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", WORKSPACE)
    environ = {**os.environ, "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-m", "compileall", *options, str(folder)]
    done = subprocess.run(command, check=False, env=environ, capture_output=True, text=True)
    if done.returncode:
        raise Stop(f"{folder.name} does not compile: {' '.join(done.stdout.split())}")


def _zip(folder: Path) -> Path:
    archive = folder.with_name(f"{folder.name}.zip")
    with zipfile.ZipFile(archive, "w") as zipped:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), EPOCH)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            zipped.writestr(entry, path.read_bytes())
    return archive


def bundle() -> None:
    for function in chosen():
        made = build(function, DIST)
        size = made.archive.stat().st_size / 1024
        shell.say(f"{function.name:10} {made.archive.relative_to(ROOT)}  {size:.0f} KiB")


if __name__ == "__main__":
    shell.main(bundle)
