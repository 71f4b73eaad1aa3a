"""What a process runs on: its settings, its backend and its time. The local stack puts its own here."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache, partial
from os import environ
from typing import TYPE_CHECKING, NoReturn, Protocol

from shared.domain.model import ChannelName
from shared.setting_types import SettingError
from shared.settings import Settings
from shared.settings.local import CLOUD_TASKS_EMULATOR_HOST, FIRESTORE_EMULATOR_HOST, PUBSUB_EMULATOR_HOST
from shared.settings.place import FIRESTORE_DATABASE, OIDC_AUDIENCE, TASKS_SERVICE_ACCOUNT

if TYPE_CHECKING:
    from shared.ports import Bus, Channel, DeadLetters, Flows, Ledger, ReceiptVerifier, Scheduler


class Backend(Protocol):
    """Where messages, documents and tasks live."""

    def bus(self) -> "Bus":
        """Pub/Sub."""

    def ledger(self) -> "Ledger":
        """Firestore."""

    def scheduler(self) -> "Scheduler":
        """Cloud Tasks."""

    def dead_letters(self) -> "DeadLetters":
        """The service behind `make replay` and the console's page."""

    def flows(self) -> "Flows | None":
        """What is measured of the subscriptions; None where nothing is."""

    def outbox(self, channel: ChannelName) -> "Channel":
        """A channel that only records what it is given: local only."""

    def receipts(self, channel: ChannelName) -> "ReceiptVerifier":
        """What proves the receipts of that channel: local only."""

    def gauges(self) -> Mapping[str, object]:
        """What it knows of its queues, by name."""


class GoogleBackend:
    """Pub/Sub, Firestore and Cloud Tasks, in the cloud or on emulators, by Google's own clients."""

    @cache  # noqa: B019 - one backend an instance
    def bus(self) -> "Bus":
        """Pub/Sub."""
        from shared.adapters.gcp.pubsub import PubSubBus

        return PubSubBus(settings().project, clock)

    @cache  # noqa: B019
    def ledger(self) -> "Ledger":
        """Firestore."""
        from shared.adapters.gcp.firestore import FirestoreLedger

        return FirestoreLedger(settings().project, settings()[FIRESTORE_DATABASE])

    @cache  # noqa: B019
    def scheduler(self) -> "Scheduler":
        """Cloud Tasks."""
        from shared.adapters.gcp.tasks import CloudTasks

        s = settings()
        account = TASKS_SERVICE_ACCOUNT
        given = s.required(account) if s.backend == "gcp" else s[account]
        return CloudTasks(s.project, s.location, given, audience=s[OIDC_AUDIENCE])

    @cache  # noqa: B019
    def dead_letters(self) -> "DeadLetters":
        """The service behind `make replay` and the console's page."""
        from shared.adapters.gcp.dead_letters import PubSubDeadLetters

        return PubSubDeadLetters(settings().project)

    @cache  # noqa: B019
    def flows(self) -> "Flows | None":
        """What Cloud Monitoring knows of the subscriptions; None beside an emulator, which measures nothing."""
        if settings()[PUBSUB_EMULATOR_HOST]:
            return None
        from shared.adapters.gcp.monitoring import MonitoredFlows

        return MonitoredFlows(settings().project, clock)

    def outbox(self, channel: ChannelName) -> NoReturn:
        """For local use only, as are its receipts: raises SettingError."""
        raise SettingError(f"{channel.upper()}_PROVIDER=outbox is for local use only")

    receipts = outbox

    def gauges(self) -> Mapping[str, object]:
        """What the backend knows of its queues, by name."""
        return {}  # Cloud Monitoring knows; the console leads there


EMULATORS = (PUBSUB_EMULATOR_HOST, FIRESTORE_EMULATOR_HOST, CLOUD_TASKS_EMULATOR_HOST)
_local: Backend | None = None
_time: Callable[[], datetime] = partial(datetime.now, UTC)


def use(backend: Backend) -> None:
    """The local stack puts its own backend here; the cloud never does."""
    global _local
    _local = backend


def set_time(time: Callable[[], datetime]) -> None:
    """The local stack's time may run ahead; the cloud's never does."""
    global _time
    _time = time


@cache
def settings() -> Settings:
    """The settings, read once."""
    return Settings(environ)


@cache
def backend() -> Backend:
    """Google's services, or the local stack's."""
    s = settings()
    if _local is None and s.backend == "embedded":
        raise SettingError(
            "BACKEND=embedded exists only inside `make run` and `make demo`; set BACKEND=emulators or gcp"
        )
    if _local is None and s.backend == "emulators":
        for emulator in EMULATORS:  # without one, a client would turn to Google itself
            s.required(emulator)
    return _local or GoogleBackend()


def clock() -> datetime:
    """The time now."""
    return _time()
