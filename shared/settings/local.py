"""Local use only: the emulators, a shorter day, and what `make run` needs."""

from shared.setting_types import Setting, number, text, whole


def _emulator(name: str, what: str, port: int) -> Setting[str]:
    meaning = f"where the emulator of {what} listens; required by `emulators`"
    return text(name, meaning, local=True, example=f"127.0.0.1:{port}")


PUBSUB_EMULATOR_HOST = _emulator("PUBSUB_EMULATOR_HOST", "Pub/Sub", 8085)
FIRESTORE_EMULATOR_HOST = _emulator("FIRESTORE_EMULATOR_HOST", "Firestore", 8086)
CLOUD_TASKS_EMULATOR_HOST = _emulator("CLOUD_TASKS_EMULATOR_HOST", "Cloud Tasks", 8123)
SECONDS_PER_DAY = number(
    "SECONDS_PER_DAY",
    "a shorter day; the send window is then off unless set",
    86_400,
    least=0.001,
    local=True,
)
PORT = whole("PORT", "port of `make run`", 8080, most=65_535, local=True)
LOCAL_DIR = text("LOCAL_DIR", "where `make run` keeps its state", ".local", local=True)
PARALLEL_PUSHES = whole(
    "PARALLEL_PUSHES", "calls at a time that `embedded` makes to each function and channel", 32, most=100, local=True
)
