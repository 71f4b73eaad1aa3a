"""`make bundle`: write a folder and a zip for each function to dist/, named by the hash of their contents.

dist/<function> and dist/<function>.zip are links to the newest. A folder is put in place whole and not changed
afterwards, and one of the last day stays, so that another deployment that runs from this checkout can still upload its
own.

A bundle is flat, as functions-framework expects: main.py, shared/ and requirements.txt side by side. It is the same
for every configuration: another provider needs other settings, not another bundle.
"""

import hashlib
import shutil
import tempfile
import time
import zipfile
from pathlib import Path

import msgspec

from infra.ops import config, shell
from infra.ops.function_table import ROOT, Function, chosen
from infra.ops.lock import LOCKS
from infra.ops.shell import Stop

DIST = ROOT / "dist"
SHIPPED = {".py", ".html", ".txt", ".css", ".js", ".svg", ".json"}
KEPT = 86_400  # seconds; no deployment takes longer
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can store; a fixed time keeps the zip reproducible


class Bundle(msgspec.Struct, frozen=True):
    function: str
    digest: str  # twelve hexadecimal digits of a hash of its files
    folder: Path
    archive: Path


def build(function: Function, dist: Path) -> Bundle:
    """Build a function's bundle, unless it is there already, and drop those of earlier days. Raises Stop."""
    files = contents(function)
    digest = digest_of(files)
    folder = dist / f"{function.name}-{digest}"
    made = Bundle(function.name, digest, folder, folder.with_name(f"{folder.name}.zip"))
    _drop_old(dist, made)
    dist.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=dist, prefix=".") as draft:
        _put_in_place(Path(draft), made, files)
    return made


def _put_in_place(draft: Path, made: Bundle, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        _write(draft / made.folder.name / name, data)
    _zip(draft / made.folder.name, draft / "zip").replace(made.archive)
    # Paths without a hash, for `gcloud functions deploy --source` and for a Terraform root of one's own.
    for newest, name in ((made.folder, made.function), (made.archive, f"{made.function}.zip")):
        (draft / "link").symlink_to(newest.name, target_is_directory=newest == made.folder)
        (draft / "link").replace(newest.with_name(name))
    try:
        (draft / made.folder.name).rename(made.folder)
    except OSError:  # it is there: another deployment made it, or an earlier one
        if _under(made.folder) != files:
            raise Stop(f"{made.folder} was changed by hand: delete it") from None


def contents(function: Function) -> dict[str, bytes]:
    """The files of a bundle, by path. Raises Stop."""
    lock = LOCKS / f"{function.name}.txt"
    if not lock.exists():
        raise Stop(f"infra/requirements/{lock.name} is missing: run `make lock`")
    files = _under(ROOT / "functions" / function.name) | _under(ROOT / "shared", "shared/") | _templates()
    files |= _compiled() if function.name == "console" else {}
    return dict(sorted((files | {"requirements.txt": lock.read_bytes()}).items()))


def _templates() -> dict[str, bytes]:
    """The operator's own templates: the folder TEMPLATES_DIR of relay.env, as templates/."""
    folder = config.operator().get("TEMPLATES_DIR")
    if folder and not (ROOT / folder).is_dir():
        raise Stop(f"TEMPLATES_DIR: there is no folder {folder}")
    return _under(ROOT / folder, "templates/") if folder else {}


def _compiled() -> dict[str, bytes]:
    """The console's templates as Python modules: to compile them took a tenth of its cold start."""
    from shared.console.app import COMPILED, with_templates

    with tempfile.TemporaryDirectory() as folder:
        with_templates().jinja_env.compile_templates(folder, zip=None, ignore_errors=False)
        return _under(Path(folder), f"{COMPILED.relative_to(ROOT)}/")


def _under(folder: Path, prefix: str = "") -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.suffix in SHIPPED and path.is_file())
    return {prefix + path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def digest_of(files: dict[str, bytes]) -> str:
    total = hashlib.sha256()
    for name, data in files.items():
        total.update(f"{name}\0{len(data)}\0".encode() + data)
    return total.hexdigest()[:12]


def _drop_old(dist: Path, made: Bundle) -> None:
    for old in dist.glob(f"{made.function}-*"):
        if old not in (made.folder, made.archive) and time.time() - old.stat().st_mtime > KEPT:
            shutil.rmtree(old) if old.is_dir() else old.unlink()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _zip(folder: Path, archive: Path) -> Path:
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
