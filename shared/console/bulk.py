"""Many messages sent once more, after an outage: first counted, then confirmed, then recorded with each request."""

from collections import Counter
from collections.abc import Iterator

import flask

from shared.console.actions import BOTH, DOUBLES, PageResponse, Plan, asked
from shared.console.context import console, narrowed
from shared.domain.model import NoticeRecord, NoticeState
from shared.domain.timeline import spoken
from shared.services.operator_actions import ActionRefused, Sorted, Why
from shared.services.operator_lists import NOT_ARRIVED, SCANNED

bulk = flask.Blueprint("bulk", __name__)
AT_ONCE = 200  # messages; press again for the rest
LOOKED_AT = 2_000  # messages of a list, in search of those that can be sent


@bulk.route("/resend", methods=BOTH)
def resend_all() -> PageResponse:
    """Sends the messages of a narrowed list once more; the address names the list as on the page Messages.

    notices: a field with the ids that were counted. Nothing else is sent.
    """
    state = flask.request.args.get("state", "")
    if state not in NOT_ARRIVED:
        flask.abort(400, "choose messages that did not arrive")
    counted = console().inspect.messages_of(flask.request.form.get("notices", "").split()[:AT_ONCE])
    back = f"{flask.url_for('pages.messages')}?{flask.request.query_string.decode('ascii', 'replace')}"

    def act(why: Why) -> PageResponse:
        if not counted:
            raise ActionRefused("none of these can be sent")
        return _result(console().operate.resend_all(counted.items(), why), back)

    rows = iter(counted.items()) if flask.request.method == "POST" else _listed(NoticeState(state))
    found = console().operate.sort_out(rows, AT_ONCE)
    return asked(_plan(found, state, back), act)


def _listed(state: NoticeState) -> Iterator[tuple[str, NoticeRecord]]:
    inspect, narrow = console().inspect, narrowed()
    rows = inspect.every(lambda after: inspect.messages(state, after, narrow, SCANNED), LOOKED_AT)
    return ((key, record) for key, record in rows if isinstance(record, NoticeRecord))


def _plan(found: Sorted, state: str, back: str) -> Plan:
    told = [DOUBLES] if state == NoticeState.UNKNOWN else []
    told += _told(found, "will be sent once more, with the request as it stands then")
    told.append(
        f"At most {AT_ONCE} messages are taken at once, of the newest {LOOKED_AT:,} of the list; for the rest, do it "
        "again. Pressed twice, it still sends each message only one more time."
    )
    return Plan(
        title=f"Send {_messages(found)} once more",
        effects=told,
        button="Send them once more",
        back=back,
        blocker="" if found.sent else "none of these can be sent",
        fields={"notices": " ".join(found.sent)},
    )


def _result(done: Sorted, back: str) -> PageResponse:
    title = f"{_messages(done)} sent once more"
    plan = Plan(title=title, effects=_told(done, "on its way, recorded with its request"), button="", back=back)
    return flask.render_template("confirm.html", plan=plan, fault="")


def _told(found: Sorted, end: str) -> list[str]:
    kinds = Counter(spoken(record) for record in found.sent.values())
    told = [f"{n} × {what}: {end}." for what, n in kinds.most_common()]
    return told + [f"{n} × not sent: {reason}." for reason, n in sorted(found.refused.items(), key=lambda i: -i[1])]


def _messages(found: Sorted) -> str:
    return f"{len(found.sent)} message{'' if len(found.sent) == 1 else 's'}"
