"""Finds, starts and stops Google's emulators of Pub/Sub and Firestore.

The jars are started directly: `gcloud beta emulators` is slower, and does not stop its Java process if it is killed.
"""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import msgspec

START_TIMEOUT = 60.0  # seconds; on an idle machine, an emulator needs one second
STOP_TIMEOUT = 5.0  # seconds
JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx512m", "-Duser.language=en")


class Missing(Exception):
    """A program is not installed. The text says what to install."""


class Emulator(msgspec.Struct, frozen=True, kw_only=True):
    """variable: where Google's client finds its address. jar: pattern below the SDK's folder `platform`."""

    name: str
    variable: str
    jar: str
    main: str
    component: str
    package: str


PUBSUB = Emulator(
    name="Pub/Sub",
    variable="PUBSUB_EMULATOR_HOST",
    jar="pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar",
    main="com.google.cloud.pubsub.testing.v1.Main",
    component="pubsub-emulator",
    package="google-cloud-cli-pubsub-emulator",
)
FIRESTORE = Emulator(
    name="Firestore",
    variable="FIRESTORE_EMULATOR_HOST",
    jar="cloud-firestore-emulator/cloud-firestore-emulator.jar",
    main="com.google.cloud.datastore.emulator.firestore.CloudFirestore",
    component="cloud-firestore-emulator",
    package="google-cloud-cli-firestore-emulator",
)


@contextmanager
def emulators(directory: Path) -> Iterator[dict[str, str]]:
    """Run both emulators on free ports; their logs are written to `directory`.

    Yields the environment variables for Google's clients. Raises Missing, and TimeoutError if one does not start.
    """
    directory.mkdir(parents=True, exist_ok=True)
    commands = {emulator: command(emulator) for emulator in (PUBSUB, FIRESTORE)}
    with ExitStack() as stack:
        started = [stack.enter_context(Process(e, directory, argv)) for e, argv in commands.items()]
        for process in started:
            process.wait()
        yield {process.emulator.variable: process.host for process in started}


# -- finding


def command(emulator: Emulator) -> list[str]:
    """The command that starts an emulator, without its address. Raises Missing."""
    java = shutil.which("java")
    if java is None:
        raise Missing("java was not found: install a Java runtime, 17 or newer (apt-get install default-jre-headless)")
    jars = sorted((sdk_root() / "platform").glob(emulator.jar))
    if not jars:
        either = f"gcloud components install {emulator.component}, or apt-get install {emulator.package}"
        raise Missing(f"the {emulator.name} emulator was not found: {either}")
    return [java, *JVM, "-cp", str(jars[-1]), emulator.main]


def sdk_root() -> Path:
    """The Google Cloud SDK's folder. `gcloud info` is slow, so it is asked only if the usual place is wrong."""
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        raise Missing("gcloud was not found: install the Google Cloud CLI, https://cloud.google.com/sdk/docs/install")
    root = Path(gcloud).resolve().parent.parent
    if (root / "platform").is_dir():
        return root
    asked = [gcloud, "info", "--format=value(installation.sdk_root)"]
    return Path(subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip())


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


# -- running


class Process:
    """One emulator in its own session: Ctrl-C does not reach it, and we end its whole process group."""

    def __init__(self, emulator: Emulator, directory: Path, argv: list[str]) -> None:
        self.emulator, self._argv = emulator, argv
        self._port = free_port()
        self.host = f"127.0.0.1:{self._port}"
        self._log = directory / f"{emulator.component}.log"

    def __enter__(self) -> "Process":
        address = ["--host=127.0.0.1", f"--port={self._port}"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*self._argv, *address], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        return self

    def wait(self) -> None:
        """Return when it answers. Raises TimeoutError."""
        end = time.monotonic() + START_TIMEOUT
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                raise TimeoutError(f"the {self.emulator.name} emulator did not start: see {self._log}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=1)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def __exit__(self, *_: object) -> None:
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
