"""What waits in Pub/Sub, as Cloud Monitoring has measured it: Pub/Sub itself does not say.

REST instead of Google's client library, which is one more package for two calls. Sources:
https://docs.cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.timeSeries/list
https://docs.cloud.google.com/monitoring/api/metrics_gcp_p_z#gcp-pubsub
"""

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any

from shared.adapters.gcp.calls import Lazy, authorized
from shared.domain.backlog import PACE
from shared.domain.errors import RetryLater
from shared.ports import Flow

if TYPE_CHECKING:
    from requests import Session

URL = "https://monitoring.googleapis.com/v3"
SCOPE = "https://www.googleapis.com/auth/monitoring.read"
DEADLINE = 1.5  # seconds for each of two calls: a page waits for them
KEPT = timedelta(minutes=1)  # Google measures once a minute
LAG = timedelta(minutes=3)  # until what was measured can surely be read
METRICS = "pubsub.googleapis.com/subscription"
WAITING = f'metric.type="{METRICS}/num_undelivered_messages"'
# A push holds one message. `ack_message_count` would count those that a subscription's filter keeps away, too.
LEFT = f'metric.type="{METRICS}/push_request_count" AND metric.labels.response_class="ack"'
OF = 'resource.type="pubsub_subscription" AND resource.labels.subscription_id=one_of("{}")'


class MonitoredFlows:
    """Implements the port Flows for the same subscriptions each time: what was found, or not, holds for KEPT.

    session: sends the calls; None uses the account that the process runs as.
    """

    def __init__(
        self, project: str, clock: Callable[[], datetime], url: str = URL, session: "Session | None" = None
    ) -> None:
        self._url, self._clock, self._lock = f"{url}/projects/{project}/timeSeries", clock, Lock()
        self._session = Lazy(lambda: session or authorized(SCOPE))
        self._found, self._until = dict[str, Flow](), datetime.min.replace(tzinfo=UTC)

    def flows(self, subscriptions: Collection[str]) -> Mapping[str, Flow]:
        """By subscription. Raises RetryLater, and then finds nothing for KEPT: no page waits for it meanwhile."""
        with self._lock:
            now = self._clock()
            if now >= self._until:
                self._found, self._until = {}, now + KEPT
                self._found = self._measured(subscriptions, now)
            return self._found

    def _measured(self, subscriptions: Collection[str], now: datetime) -> dict[str, Flow]:
        measured = self._points(WAITING, subscriptions, now - 2 * LAG, now)
        waiting = {name: points[0] for name, points in measured.items() if points}
        left = self._points(LEFT, subscriptions, now - LAG - PACE, now - LAG) if any(waiting.values()) else {}
        return {name: Flow(n, sum(left.get(name, ()))) for name, n in waiting.items()}

    def _points(
        self, metric: str, subscriptions: Collection[str], since: datetime, until: datetime
    ) -> dict[str, list[int]]:
        from google.auth.exceptions import GoogleAuthError

        query = {"interval.startTime": since.isoformat(), "interval.endTime": until.isoformat()}
        query["filter"] = f"{metric} AND " + OF.format('", "'.join(subscriptions))
        try:
            answer = self._session().get(self._url, params=query, timeout=DEADLINE)
            if answer.status_code != 200:
                raise RetryLater(f"Cloud Monitoring answered {answer.status_code}")
            return _by_subscription(answer.json())
        except (OSError, GoogleAuthError, LookupError, TypeError, ValueError) as fault:  # OSError: those of `requests`
            raise RetryLater(f"Cloud Monitoring: {type(fault).__name__}") from fault


def _by_subscription(answer: Any) -> dict[str, list[int]]:
    """The points of all series of each, the newest first within a series."""
    found: dict[str, list[int]] = {}
    for series in dict(answer).get("timeSeries", []):
        points = [int(point["value"]["int64Value"]) for point in series["points"]]
        found.setdefault(series["resource"]["labels"]["subscription_id"], []).extend(points)
    return found
