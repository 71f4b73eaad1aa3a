"""Creates on the emulators what Terraform creates in the cloud: topics, subscriptions and task queues."""

import math
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from local.emulation.topology import Queue, Subscription
from shared.adapters.gcp.tasks import tasks_client
from shared.domain.dead_letters import keep_of

if TYPE_CHECKING:
    from google.cloud.pubsub_v1 import SubscriberClient


def provision(
    project: str,
    location: str,
    *,
    topics: Iterable[str] = (),
    subscriptions: Iterable[Subscription] = (),
    queues: Iterable[Queue] = (),
) -> None:
    """Create what is missing, with Google's clients; what exists is not changed.

    topics: further topics, besides those of the subscriptions and their dead-letter topics.
    """
    subscriptions, queues = list(subscriptions), list(queues)
    dead = {s.dead_letter_topic for s in subscriptions}
    if topics := {*topics, *dead, *(s.topic for s in subscriptions)}:
        _make_topics(project, topics)
    if subscriptions:
        _make_subscriptions(project, dead, subscriptions)
    if queues:
        _make_queues(project, location, queues)


def _make_topics(project: str, topics: Iterable[str]) -> None:
    from google.cloud.pubsub_v1 import PublisherClient

    with PublisherClient() as client:
        for topic in topics:
            _create_if_missing(client.create_topic, {"name": client.topic_path(project, topic)})


def _make_subscriptions(project: str, dead: Iterable[str], subscriptions: Iterable[Subscription]) -> None:
    from google.cloud.pubsub_v1 import SubscriberClient

    with SubscriberClient() as client:
        for topic in dead:
            _create_if_missing(client.create_subscription, _keep(client, project, topic))
        for subscription in subscriptions:
            _create_if_missing(client.create_subscription, _push(client, project, subscription))


def _keep(client: "SubscriberClient", project: str, topic: str) -> dict[str, Any]:
    return {
        "name": client.subscription_path(project, keep_of(topic)),
        "topic": client.topic_path(project, topic),
        "ack_deadline_seconds": 10,
    }


def _push(client: "SubscriberClient", project: str, s: Subscription) -> dict[str, Any]:
    """The emulator stores the filter but does not apply it: each subscription gets all messages of its topic.

    No retry_policy, unlike Terraform: with one the emulator (0.8.20) can lose a subscription. A message that failed
    twice waits under its due millisecond; when two messages share one, an internal error ends the subscription's
    redelivery timer, and nothing is delivered a third time. Without one it delivers again after about a second.
    """
    return {
        "name": client.subscription_path(project, s.name),
        "topic": client.topic_path(project, s.topic),
        "push_config": {"push_endpoint": s.endpoint},
        "ack_deadline_seconds": math.ceil(s.ack_deadline),
        "filter": 'attributes.{} = "{}"'.format(*s.attribute) if s.attribute else "",
        "dead_letter_policy": {
            "dead_letter_topic": client.topic_path(project, s.dead_letter_topic),
            "max_delivery_attempts": s.max_attempts,
        },
    }


def _make_queues(project: str, location: str, queues: Iterable[Queue]) -> None:
    parent = f"projects/{project}/locations/{location}"
    with tasks_client() as client:
        for queue in queues:
            _create_if_missing(client.create_queue, {"parent": parent, "queue": _queue(parent, queue)})


def _queue(parent: str, queue: Queue) -> dict[str, Any]:
    retry = {
        "max_attempts": -1,
        "min_backoff": timedelta(seconds=queue.min_backoff),
        "max_backoff": timedelta(seconds=queue.max_backoff),
    }
    return {"name": f"{parent}/queues/{queue.name}", "retry_config": retry}


def _create_if_missing(create: Callable[..., Any], request: dict[str, Any]) -> None:
    from google.api_core.exceptions import AlreadyExists

    try:
        create(request=request)
    except AlreadyExists:
        return
