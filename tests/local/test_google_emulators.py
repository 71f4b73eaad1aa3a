"""Google's emulators are found, started and stopped, or one line says what is missing. These tests need no Java."""

import os
import sys
from pathlib import Path

import pytest

from local.emulation import google_emulators
from local.emulation.google_emulators import FIRESTORE, PUBSUB, Missing, Process, command, emulators, sdk_root
from tests.contract.until import until

SERVER = """
import http.server, subprocess, sys
port = int(sys.argv[-1].removeprefix("--port="))
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("child", child.pid, flush=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH."""
    folder = tmp_path / "sdk" / "bin"
    folder.mkdir(parents=True)
    monkeypatch.setenv("PATH", str(folder))
    return folder


def install(program: Path, script: str = "") -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def install_emulators(root: Path) -> None:
    for jar in ("pubsub-emulator/lib/cloud-pubsub-emulator-9.9.9-all.jar", FIRESTORE.jar):
        (root / "platform" / jar).parent.mkdir(parents=True)
        (root / "platform" / jar).touch()


# -- finding


def test_without_java_it_says_so(programs: Path, tmp_path: Path) -> None:
    with pytest.raises(Missing, match=r"^java was not found: install a Java runtime"), emulators(tmp_path):
        pass


def test_without_gcloud_it_says_so(programs: Path) -> None:
    install(programs / "java")
    with pytest.raises(Missing, match=r"^gcloud was not found: install the Google Cloud CLI"):
        command(PUBSUB)


def test_without_an_emulator_it_says_which_and_how_to_get_it(programs: Path) -> None:
    install(programs / "java")
    install(programs / "gcloud")
    with pytest.raises(Missing, match="Firestore emulator was not found: gcloud components install cloud-firestore-em"):
        command(FIRESTORE)


def test_the_jar_is_found_beside_gcloud_whatever_its_version(programs: Path, tmp_path: Path) -> None:
    install(programs / "java")
    install(programs / "gcloud", "exit 1")  # not asked
    install_emulators(tmp_path / "sdk")
    jar = str(tmp_path / "sdk/platform/pubsub-emulator/lib/cloud-pubsub-emulator-9.9.9-all.jar")
    assert command(PUBSUB)[-3:] == ["-cp", jar, PUBSUB.main]


def test_a_linked_gcloud_is_followed_home(programs: Path, tmp_path: Path) -> None:
    home = tmp_path / "lib" / "google-cloud-sdk"
    (home / "bin").mkdir(parents=True)
    install(home / "bin" / "gcloud")
    install_emulators(home)
    (programs / "gcloud").symlink_to(home / "bin" / "gcloud")
    assert sdk_root() == home


def test_gcloud_is_asked_where_it_does_not_stand_in_its_sdk(programs: Path, tmp_path: Path) -> None:
    install(programs / "gcloud", f'[ "$1" = info ] && echo {tmp_path}/elsewhere')
    assert sdk_root() == tmp_path / "elsewhere"


# -- running


def test_a_process_is_stopped_with_its_children(tmp_path: Path) -> None:
    with Process(PUBSUB, tmp_path, [sys.executable, "-c", SERVER]) as process:
        process.wait()
        log = tmp_path / "pubsub-emulator.log"
        until(log.read_text)
        child = int(log.read_text().split()[1])
        os.kill(child, 0)
    until(lambda: not is_running(child))


def test_a_process_that_ends_at_once_is_an_error_that_names_its_log(tmp_path: Path) -> None:
    told = pytest.raises(TimeoutError, match=r"Pub/Sub emulator did not start: see .*pubsub-emulator\.log")
    with Process(PUBSUB, tmp_path, [sys.executable, "-c", "raise SystemExit('bad jar')"]) as process, told:
        process.wait()
    assert "bad jar" in (tmp_path / "pubsub-emulator.log").read_text()


def test_a_process_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(google_emulators, "START_TIMEOUT", 0.2)
    told = pytest.raises(TimeoutError, match="did not start")
    with Process(PUBSUB, tmp_path, [sys.executable, "-c", "import time; time.sleep(60)"]) as process, told:
        process.wait()


def is_running(pid: int) -> bool:
    """A zombie that waits for its parent is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
