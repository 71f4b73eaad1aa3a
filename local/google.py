"""Google's own emulators of Pub/Sub and Firestore: found, started, stopped, and furnished with topics and queues.

The jars are called directly: `gcloud beta emulators ... start` takes longer, and killed it leaves its Java child behind.
"""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from local.topology import Queue, Subscription

READY_WITHIN = 60.0  # seconds; one takes a second, several at once on a busy machine take longer
GONE_WITHIN = 5.0
JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx512m", "-Duser.language=en")
KEEP = timedelta(days=7)
SDK = "the Google Cloud CLI (https://cloud.google.com/sdk/docs/install)"


class Missing(Exception):
    """One line that says what to install."""


class Emulator(msgspec.Struct, frozen=True, kw_only=True):
    """variable: what Google's client reads to find it. component: how gcloud and Debian call it."""

    name: str
    variable: str
    component: str
    jar: str  # below the SDK's `platform`; its name may carry a version
    main: str


PUBSUB = Emulator(
    name="Pub/Sub",
    variable="PUBSUB_EMULATOR_HOST",
    component="pubsub-emulator",
    jar="pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar",
    main="com.google.cloud.pubsub.testing.v1.Main",
)
FIRESTORE = Emulator(
    name="Firestore",
    variable="FIRESTORE_EMULATOR_HOST",
    component="cloud-firestore-emulator",
    jar="cloud-firestore-emulator/cloud-firestore-emulator.jar",
    main="com.google.cloud.datastore.emulator.firestore.CloudFirestore",
)


@contextmanager
def emulators(directory: Path) -> Iterator[dict[str, str]]:
    """Both, on free ports, for as long as the context lasts; their logs go to `directory`.

    Yields the variables that point Google's clients at them. Raises Missing; TimeoutError when one does not come up.
    """
    with ExitStack() as stack:
        started = [stack.enter_context(_running(emulator, directory)) for emulator in (PUBSUB, FIRESTORE)]
        for check in started:
            check.wait()
        yield {process.emulator.variable: process.host for process in started}
