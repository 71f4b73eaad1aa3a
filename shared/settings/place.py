"""Where it runs: the project, the topics and queues, the URLs of the functions, and who may call them."""

from shared.setting_types import choice, text, url, words

BACKEND = choice(
    "BACKEND",
    ("gcp", "embedded", "emulators"),
    "gcp",
    "locally `embedded` (SQLite and threads; `make` sets it) or `emulators` (Google's, with gcloud and Java)",
    local=True,
    example="emulators",
)
GOOGLE_CLOUD_PROJECT = text("GOOGLE_CLOUD_PROJECT", "the project", None, example="clickwrap-local")
FIRESTORE_DATABASE = text("FIRESTORE_DATABASE", "Firestore database", "(default)")
LOCATION = text("LOCATION", "region of the Cloud Tasks queues", None, example="local")
EVENTS_TOPIC = text("EVENTS_TOPIC", "topic of the webhooks' events", "clickwrap-events")
NOTICES_TOPIC = text("NOTICES_TOPIC", "topic of the notices to signers", "signer-notices")
STATUS_TOPIC = text("STATUS_TOPIC", "topic of the requests' status, for your own systems", "request-status")
REMINDERS_QUEUE = text("REMINDERS_QUEUE", "Cloud Tasks queue of the reminders", "reminders")
RETRIES_QUEUE = text(
    "RETRIES_QUEUE",
    "Cloud Tasks queue of the deferred events; with `-sms`, `-email` and `-status`, of the others",
    "retries",
)
REMIND_URL = url(
    "REMIND_URL",
    "what a reminder's task calls; required by `resolve`, `reconcile`",
    example="http://127.0.0.1:8080/remind",
)
DELIVER_URL = url(
    "DELIVER_URL",
    "where a deferred notice comes back to; required by `deliver`",
    example="http://127.0.0.1:8080/deliver",
)
RESOLVE_URL = url(
    "RESOLVE_URL",
    "where a deferred event comes back to; required by `resolve`",
    example="http://127.0.0.1:8080/resolve",
)
RECEIVE_URL = url(
    "RECEIVE_URL",
    "where `reconcile` posts the check of the whole relay every 15 minutes",
    example="http://127.0.0.1:8080/receive",
)
FORWARD_URL = url(
    "FORWARD_URL",
    "where a deferred change of status comes back to; required by `forward`",
    example="http://127.0.0.1:8080/forward",
)
RECONCILE_URL = url(
    "RECONCILE_URL",
    "what Cloud Scheduler calls; required by `reconcile` on gcp",
    example="http://127.0.0.1:8080/reconcile",
)
CALLERS = words(
    "CALLERS",
    "comma-separated addresses of the accounts that may call a private function; required there on gcp, "
    "where `make deploy` sets it",
)
TASKS_SERVICE_ACCOUNT = text("TASKS_SERVICE_ACCOUNT", "whose identity token tasks carry; required on gcp")
OIDC_AUDIENCE = text("OIDC_AUDIENCE", "the audience of that token; empty: the URL that is called")
