"""Start a bundle on this machine before it is deployed: a wrong setting then fails at once, not after the upload."""

import os
import subprocess
import sys
from base64 import urlsafe_b64encode
from pathlib import Path

from infra.ops.function_table import Function
from infra.ops.shell import Stop

# Placeholders for secrets, which stay in Secret Manager. At the start, only the format of these is checked.
PLACEHOLDER = "placeholder" * 3  # as long as a secret of our own has to be
KEY_FILE = b'{"client_email": "", "private_key": "", "private_key_id": "", "token_uri": "https://token.invalid"}'
FORMATS = {
    "STATUS_WEBHOOK_SECRETS": "placeholder+" * 4,  # base64
    "SMTP_URL": f"smtps://user:{urlsafe_b64encode(KEY_FILE).decode()}@smtp.invalid",  # right for each SMTP_AUTH
}


def placeholders(variables: list[str]) -> dict[str, str]:
    return {variable: FORMATS.get(variable, PLACEHOLDER) for variable in variables}


def check_start(function: Function, folder: Path, environ: dict[str, str]) -> None:
    """Import the function's main.py, as functions-framework does. Raises Stop with the last line of its error."""
    bare = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, "-B", "-W", "ignore", "-c", "import main"]
    done = subprocess.run(
        command, cwd=folder, env=bare | environ, check=False, capture_output=True, text=True, timeout=60
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Stop(f"{function.name}: {last}")
