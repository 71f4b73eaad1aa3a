"""The settings of this function with secrets hidden, and warnings about them."""

import re
from collections.abc import Mapping

SECRET = re.compile(r".*(TOKEN|TOKENS|SECRET|KEY|_SMS_URL|_EMAIL_URL)|SMTP_URL")
SHOWN = re.compile(
    r"(BACKEND|GOOGLE_CLOUD_PROJECT|LOCATION|.*_TOPIC|.*_QUEUE|.*_URL|TASKS_SERVICE_ACCOUNT|OIDC_AUDIENCE|CLICKWRAP_.*|"
    r"RECONCILE_LIST|API_RATE_PER_MINUTE|MAX_.*ATTEMPTS|SMS_PROVIDER|EMAIL_.*|CHANNEL_POLICY|TWILIO_.*|VONAGE_.*|"
    r"SENDGRID_.*|MAILGUN_.*|POSTMARK_.*|SMTP_URL|APPRISE_.*|BRAND_NAME|TEMPLATES_.*|SHORTENER|LINKS_.*|BITLY_.*|"
    r"REBRANDLY_.*|COMPLETION_LINK|REMINDER_DAYS|SEND_WINDOW|DEFAULT_.*|PROGRESS_.*|RETENTION_DAYS|LOG_LEVEL|"
    r"SECONDS_PER_DAY)"
)


def configuration(environ: Mapping[str, str]) -> dict[str, str]:
    """Our variables that are set, by name. A secret shows only that it is there."""
    ours = {name: value for name, value in sorted(environ.items()) if SHOWN.fullmatch(name) and value.strip()}
    return {name: "set, hidden" if SECRET.fullmatch(name) else value for name, value in ours.items()}


def warnings(environ: Mapping[str, str]) -> list[str]:
    """What in the settings is allowed but probably not meant."""
    found = _providers(environ)
    tokens = [t for t in environ.get("CLICKWRAP_WEBHOOK_TOKENS", "").split(",") if t.strip()]
    if len(tokens) == 2:
        found.append("CLICKWRAP_WEBHOOK_TOKENS holds two tokens: a rotation is half done, so drop the old one.")
    return found


def _providers(environ: Mapping[str, str]) -> list[str]:
    chosen = {name: environ.get(name) or "none" for name in ("SMS_PROVIDER", "EMAIL_PROVIDER")}
    if set(chosen.values()) == {"none"}:
        return ["SMS_PROVIDER and EMAIL_PROVIDER are both none: nobody is written to."]
    return [f"{name} is none: nobody is written to on that channel." for name, v in chosen.items() if v == "none"]
