"""The functions that ours are compared with: the same external calls, without any other code."""

import functools
import itertools
import os
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from typing import Any

import flask
import functions_framework

PROJECT = os.environ.get("GOOGLE_CLOUD_PROJECT", "")
QUEUE = f"projects/{PROJECT}/locations/{os.environ.get('LOCATION')}/queues/reminders"
STAND_IN = os.environ.get("STAND_IN", "")
TASKS_EACH = 3  # reminder days
local = threading.local()
numbers = itertools.count()


@functools.cache
def publisher() -> Any:
    from google.cloud import pubsub_v1

    return pubsub_v1.PublisherClient()


@functools.cache
def unbatched_publisher() -> Any:
    """A client without batching: `publisher` waits 10 ms for more messages, which would distort the comparison."""
    import grpc
    from google.pubsub_v1 import PublisherClient
    from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

    channel = grpc.insecure_channel(os.environ["PUBSUB_EMULATOR_HOST"])
    return PublisherClient(transport=PublisherGrpcTransport(channel=channel))


@functools.cache
def firestore() -> Any:
    from google.cloud import firestore

    return firestore.Client(project=PROJECT)


@functools.cache
def tasks() -> Any:
    import grpc
    from google.cloud.tasks_v2 import CloudTasksClient
    from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport

    channel = grpc.insecure_channel(os.environ["CLOUD_TASKS_EMULATOR_HOST"])
    return CloudTasksClient(transport=CloudTasksGrpcTransport(channel=channel))


@functools.cache
def pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(64)


def session() -> Any:
    import requests

    if not hasattr(local, "session"):
        local.session = requests.Session()
    return local.session


def send(topic: str, *messages: bytes) -> None:
    path = publisher().topic_path(PROJECT, topic)
    for future in [publisher().publish(path, m) for m in messages]:
        future.result(timeout=10)


def send_unbatched(topic: str, *messages: bytes) -> None:
    path, wire = f"projects/{PROJECT}/topics/{topic}", [{"data": m} for m in messages]
    unbatched_publisher().publish(topic=path, messages=wire, timeout=10)


# -- receive


@functions_framework.http
def nothing(request: flask.Request) -> str:
    return "ok"


@functions_framework.http
def publish(request: flask.Request) -> str:
    send("clickwrap-events", request.get_data())
    return "ok"


@functions_framework.http
def synchronous(request: flask.Request) -> str:
    """A webhook handler without queues: it does everything before it answers."""
    session().get(f"{STAND_IN}/v1.1/requests/n1x0-sync").json()
    for _ in range(int(os.environ.get("SIGNERS", "1"))):
        session().post(f"{STAND_IN}/shorten", json={"url": "https://sign.example"}).json()
        session().post(f"{STAND_IN}/2010-04-01/Accounts/AC0/Messages.json", data={"Body": "Please sign"}).json()
    return "ok"


# -- resolve: a read, a GET, a write, the publishes, the tasks


@functions_framework.http
def resolved(request: flask.Request) -> str:
    signers = int(request.get_json()["signers"])
    key = f"bare-{uuid.uuid4().hex}"
    firestore().collection("requests").document(key).get()
    session().get(f"{STAND_IN}/v1.1/requests/n{signers}x0-bare").json()
    firestore().collection("requests").document(key).create(committed(signers))
    send_unbatched("signer-notices", *[b"n" * 300] * signers)
    wait([pool().submit(create_task, key) for _ in range(signers * TASKS_EACH)])
    send_unbatched("request-status", b"s" * 600)
    return "ok"


@functools.cache
def committed(signers: int) -> dict[str, Any]:
    """The document that resolve writes."""
    from bench.states import invited
    from shared.adapters.gcp.firestore import dump

    return dump(invited("n2x0-bare", signers, datetime.now(UTC)))


def create_task(key: str) -> None:
    call = {"http_method": "POST", "url": "http://127.0.0.1:9/remind", "body": b"b" * 250}
    name, at = f"{QUEUE}/tasks/{key}-{next(numbers)}", datetime.now(UTC) + timedelta(days=3)
    tasks().create_task(request={"parent": QUEUE, "task": {"name": name, "schedule_time": at, "http_request": call}})


# -- deliver: three reads, a claim, a send, a write of the outcome, the event about it


@functions_framework.http
def delivered(request: flask.Request) -> str:
    key = f"bare-{uuid.uuid4().hex}"
    firestore().collection("requests").document(request.get_json()["request"]).get()
    firestore().collection("suppressions").document(key).get()
    firestore().collection("notices").document(f"invitation-{key}").get()
    notice = firestore().collection("notices").document(key)
    fields = {"request_id": key, "signer": "s1", "kind": "progress", "state": "sending", "text": "t" * 150}
    written = notice.create({**fields, "at": datetime.now(UTC)})
    form = {"To": "+13175550001", "From": "+13175550000", "Body": fields["text"]}
    sid = session().post(f"{STAND_IN}/2010-04-01/Accounts/AC0/Messages.json", data=form).json()["sid"]
    option = firestore().write_option(last_update_time=written.update_time)
    notice.update({**fields, "state": "accepted", "provider_id": sid}, option=option)
    send_unbatched("request-status", b"s" * 600)
    return "ok"


# -- cold: creates the Google clients that a function needs


@functions_framework.http
def clients(request: flask.Request) -> str:
    made = {"pubsub": publisher, "firestore": firestore, "tasks": tasks}
    for name in os.environ["CLIENTS"].split():
        made[name]()
    return "ok"
