"""Many messages sent once more, after an outage: first counted, then confirmed, then recorded with each request."""

from collections import Counter
from collections.abc import Iterable

import flask

from shared.console.actions import BOTH, PageResponse, Plan, asked
from shared.console.context import console, narrowed
from shared.domain.model import NoticeRecord, NoticeState
from shared.domain.timeline import spoken
from shared.services.operator_actions import Sorted, Why
from shared.services.operator_lists import NOT_ARRIVED

bulk = flask.Blueprint("bulk", __name__)
AT_ONCE = 200  # messages; press again for the rest


@bulk.route("/resend", methods=BOTH)
def resend_all() -> PageResponse:
    """Sends the messages of a narrowed list once more; the address names the list as on the page Messages."""
    state = flask.request.args.get("state", "")
    if state not in NOT_ARRIVED:
        flask.abort(400, "choose messages that did not arrive")

    def act(why: Why) -> None:
        console().operate.resend_all(_chosen(NoticeState(state)), why)

    back = f"{flask.url_for('pages.messages')}?{flask.request.query_string.decode('ascii', 'replace')}"
    dry_run = console().operate.sort_out(_chosen(NoticeState(state)) if flask.request.method == "GET" else ())
    return asked(_plan(dry_run, back), act, "bulk")


def _chosen(state: NoticeState) -> Iterable[tuple[str, NoticeRecord]]:
    inspect, narrow = console().inspect, narrowed()
    rows = inspect.every(lambda after: inspect.messages(state, after, narrow), AT_ONCE)
    return [(key, record) for key, record in rows if isinstance(record, NoticeRecord)]


def _plan(found: Sorted, back: str) -> Plan:
    kinds = Counter(spoken(record) for record in found.sent.values())
    told = [f"{n} × {what}: sent once more, with its request as it stands now." for what, n in kinds.most_common()]
    told += [f"{n} × not sent: {reason}." for reason, n in sorted(found.refused.items(), key=lambda i: -i[1])]
    nothing = flask.request.method == "GET" and not found.sent
    return Plan(
        title=f"Send {len(found.sent)} messages once more",
        effects=[*told, f"At most {AT_ONCE} messages are taken at once. A message is sent once more only once."],
        button="Send them once more",
        back=back,
        blocker="none of these can be sent" if nothing else "",
    )
