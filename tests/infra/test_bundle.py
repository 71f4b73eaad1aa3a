"""What is shipped: flat, whole, and the same bytes whenever and wherever it is built."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.ops import bundle, bundle_check, lock, sbom, shell
from infra.ops.bundle_check import CALLS
from infra.ops.function_table import ROOT, functions, written
from infra.ops.lock import LOCKS, pins
from infra.ops.shell import Stop

WRITTEN = {f.name: f for f in written()}


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    (none := tmp_path_factory.mktemp("settings") / "none.env").touch()
    monkeypatch.setenv("RELAY_ENV", str(none))


def sources(archive: Path) -> set[str]:
    return set(zipfile.ZipFile(archive).namelist())


@pytest.mark.parametrize("name", WRITTEN)
def test_a_zip_holds_the_entry_point_what_all_share_and_the_lock_and_nothing_else(name: str, tmp_path: Path) -> None:
    made = bundle.build(WRITTEN[name], tmp_path)
    own = {p.relative_to(ROOT / "functions" / name).as_posix() for p in files(ROOT / "functions" / name)}
    shared = {p.relative_to(ROOT).as_posix() for p in files(ROOT / "shared")}
    compiled = {name for name in sources(made.archive) if name.startswith("shared/console/compiled/")}
    assert sources(made.archive) - compiled == own | shared | {"requirements.txt"}
    templates = [name for name in shared if name.startswith("shared/console/templates/")]
    assert len(compiled) == (len(templates) if name == "console" else 0)


def test_the_console_uses_its_compiled_templates(tmp_path: Path) -> None:
    made = bundle.build(WRITTEN["console"], tmp_path).folder
    names = [path.name for path in files(made / "shared" / "console" / "templates")]
    shutil.rmtree(made / "shared" / "console" / "templates")
    code = "import sys; from shared.console.app import with_templates\n"
    code += "for name in sys.argv[1:]: with_templates().jinja_env.get_template(name)"
    subprocess.run(
        [sys.executable, "-c", code, *names], cwd=made, env={**os.environ, "PYTHONPATH": str(made)}, check=True
    )


def files(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts]


def test_nothing_of_the_local_stack_the_tests_or_the_tools_is_shipped(tmp_path: Path) -> None:
    names = sources(bundle.build(WRITTEN["receive"], tmp_path).archive)
    assert {name.split("/")[0] for name in names} == {"main.py", "shared", "requirements.txt"}


def test_two_builds_are_the_same_to_the_last_byte(tmp_path: Path) -> None:
    first = bundle.build(WRITTEN["resolve"], tmp_path / "a")
    second = bundle.build(WRITTEN["resolve"], tmp_path / "elsewhere" / "b")
    assert first.archive.name == second.archive.name
    assert first.archive.read_bytes() == second.archive.read_bytes()


def test_the_name_is_a_hash_of_what_is_inside(tmp_path: Path) -> None:
    files = bundle.contents(WRITTEN["links"])
    changed = {**files, "main.py": files["main.py"] + b"\n"}
    assert bundle.digest_of(files) in bundle.build(WRITTEN["links"], tmp_path).archive.name
    assert len({bundle.digest_of(files), bundle.digest_of(changed), bundle.digest_of({**files, "x": b""})}) == 3


def newest_of(dist: Path) -> list[Path]:
    return [dist / "links", dist / "links.zip"]


def test_bundles_of_earlier_days_are_dropped(tmp_path: Path) -> None:
    (tmp_path / "links-000000000000").mkdir()
    (tmp_path / "links-000000000000.zip").touch()
    for old in tmp_path.iterdir():
        os.utime(old, (0, 0))
    made = bundle.build(WRITTEN["links"], tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([made.folder, made.archive, *newest_of(tmp_path)])


def test_another_deployment_from_this_checkout_keeps_the_bundle_that_it_is_about_to_upload(tmp_path: Path) -> None:
    (tmp_path / "links-000000000000").mkdir()
    made = [bundle.build(WRITTEN["links"], tmp_path) for _ in range(2)]
    assert (tmp_path / "links-000000000000").is_dir()
    assert made[0] == made[1]


def test_the_newest_zip_has_a_name_without_a_hash_also_while_earlier_ones_stay(tmp_path: Path) -> None:
    (tmp_path / "links-000000000000.zip").write_bytes(b"earlier")
    (tmp_path / "links.zip").symlink_to("links-000000000000.zip")
    made = bundle.build(WRITTEN["links"], tmp_path)
    assert (tmp_path / "links.zip").resolve() == made.archive.resolve()
    assert (tmp_path / "links-000000000000.zip").exists()


def test_eight_builds_at_once_never_take_a_file_from_each_other(tmp_path: Path) -> None:
    kept = bundle.build(WRITTEN["links"], tmp_path)
    before = kept.folder.stat().st_ino
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: bundle.build(WRITTEN["links"], tmp_path), range(16)))
    assert set(made) == {kept}
    assert kept.folder.stat().st_ino == before
    assert sorted(tmp_path.iterdir()) == sorted([kept.folder, kept.archive, *newest_of(tmp_path)])


def test_a_bundle_changed_by_hand_is_refused(tmp_path: Path) -> None:
    made = bundle.build(WRITTEN["links"], tmp_path)
    (made.folder / "main.py").write_text("")
    with pytest.raises(Stop, match="was changed by hand: delete it"):
        bundle.build(WRITTEN["links"], tmp_path)


def test_the_functions_plain_name_is_a_source_that_gcloud_can_upload(tmp_path: Path) -> None:
    """The newest bundle, under a name that does not change."""
    (tmp_path / "receive").symlink_to("receive-000000000000")
    made = bundle.build(WRITTEN["receive"], tmp_path)
    source = tmp_path / "receive"
    assert source.resolve() == made.folder.resolve()
    assert {path.name for path in source.iterdir()} >= {"main.py", "requirements.txt", "shared"}
    assert not [path for path in source.rglob("*") if path.is_symlink()]
    if gcloud := shutil.which("gcloud"):
        listed = subprocess.run([gcloud, "meta", "list-files-for-upload", source], capture_output=True, text=True)
        assert set(listed.stdout.splitlines()) >= {"main.py", "requirements.txt", "shared/bootstrap/__init__.py"}


def test_a_bundle_starts_from_its_own_folder(tmp_path: Path) -> None:
    made = bundle.build(WRITTEN["receive"], tmp_path)
    environ = {
        "GOOGLE_CLOUD_PROJECT": "p",
        "CLICKWRAP_WEBHOOK_TOKENS": "a-secret-of-thirty-two-characters",
        "PATH": os.environ["PATH"],
    }
    command = [sys.executable, "-W", "ignore", "-c", "import main, shared; print(shared.__file__)"]
    done = subprocess.run(command, cwd=made.folder, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).parent == made.folder / "shared"


def test_texts_of_the_operators_own_are_taken_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "invitation.sms.txt").write_text("Hello")
    (tmp_path / "relay.env").write_text(f"TEMPLATES_DIR={tmp_path / 'texts'}\n")
    monkeypatch.setenv("RELAY_ENV", str(tmp_path / "relay.env"))
    assert bundle.contents(WRITTEN["deliver"])["templates/invitation.sms.txt"] == b"Hello"


# -- what it installs


@pytest.mark.parametrize("name", functions())
def test_a_lock_holds_the_tables_packages_at_the_versions_of_requirements_txt(name: str) -> None:
    locked = pins((LOCKS / f"{name}.txt").read_text())
    assert pins(lock.wanted(functions()[name].packages)).items() <= locked.items()


@pytest.mark.parametrize("name", functions())
def test_every_package_of_a_lock_has_a_hash(name: str) -> None:
    entries = (LOCKS / f"{name}.txt").read_text().replace("\\\n", "").splitlines()
    assert entries
    assert all("--hash=sha256:" in entry for entry in entries if not entry.startswith("#"))


def test_no_package_has_two_versions() -> None:
    versions: dict[str, set[str]] = {}
    for name in functions():
        for package, version in pins((LOCKS / f"{name}.txt").read_text()).items():
            versions.setdefault(package, set()).add(version)
    assert {p: v for p, v in versions.items() if len(v) > 1} == {}


@pytest.mark.parametrize("name", functions())
def test_nothing_brings_aiohttp_which_costs_a_third_of_an_import_of_cloud_tasks(name: str) -> None:
    assert "aiohttp" not in pins((LOCKS / f"{name}.txt").read_text())


def test_the_console_can_call_cloud_kms() -> None:
    """It imports these only when evidence is asked for; Firestore's client brings them."""
    assert {"google-auth", "requests"} <= pins((LOCKS / "console.txt").read_text()).keys()


def test_a_lock_names_no_place_to_download_from() -> None:
    assert not [p for p in LOCKS.glob("*.txt") if "://" in p.read_text() or "-index" in p.read_text()]


def test_a_package_that_requirements_txt_does_not_know_is_named() -> None:
    with pytest.raises(shell.Stop, match=r"leftpad is in infra/functions\.json but not in requirements\.txt"):
        lock.wanted(["leftpad"])


def test_the_bill_of_materials_of_a_bundle_lists_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "DIST", tmp_path)
    monkeypatch.setenv("FUNCTIONS", "links")
    try:
        sbom.sbom()
    except shell.Stop as stop:
        pytest.skip(f"cyclonedx-bom cannot be installed: {stop}")
    listed = json.loads((tmp_path / "sbom" / "links.json").read_text())
    assert listed["bomFormat"] == "CycloneDX"
    assert {c["name"]: c["version"] for c in listed["components"]} == pins((LOCKS / "links.txt").read_text())


@pytest.mark.parametrize(("version", "here"), [(bundle_check.RUNTIME, True), ("3.1", False)])
def test_bundles_are_checked_on_the_functions_own_python_where_it_is_installed(
    version: str, here: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / f"python{bundle_check.RUNTIME}").write_text(f"#!/bin/sh\necho {version} /runtime/python\n")
    (tmp_path / f"python{bundle_check.RUNTIME}").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "version_info", (3, 2))
    assert bundle_check.interpreter() == ("/runtime/python" if here else sys.executable)
    assert (f"there is no python{bundle_check.RUNTIME} here: checked on Python 3.2" in capsys.readouterr().out) != here


def test_the_check_of_bundles_calls_every_function() -> None:
    assert set(CALLS) == set(functions())
    assert all(calls for calls in CALLS.values())
