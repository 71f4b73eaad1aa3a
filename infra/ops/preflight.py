"""A bundle's start, tried here: a wrong setting is found in a second, not after minutes of build and upload."""

import os
import subprocess
import sys
from pathlib import Path

from infra.ops.function_table import Function
from infra.ops.shell import Stop

# Secrets stay in Secret Manager; a start only looks at their form.
FORM = {
    "SMTP_URL": "smtps://user:password@smtp.invalid",
    "APPRISE_SMS_URL": "json://sms.invalid/{to}",
    "APPRISE_EMAIL_URL": "json://email.invalid/{to}",
}


def placeholders(variables: list[str]) -> dict[str, str]:
    return {variable: FORM.get(variable, "placeholder") for variable in variables}


def prove(function: Function, folder: Path, environ: dict[str, str]) -> None:
    """Imports the function's entry point as functions-framework does. Raises Stop with the line it stops with."""
    bare = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, "-B", "-W", "ignore", "-c", "import main"]
    done = subprocess.run(
        command, cwd=folder, env=bare | environ, check=False, capture_output=True, text=True, timeout=60
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it gives no reason"])[-1]
        raise Stop(f"{function.name}: {last}")
