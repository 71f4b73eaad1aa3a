"""`make rotate-token`: replace the token of Clickwrap's webhook without rejecting a webhook in between.

After the first run, both tokens are accepted. Run it again when Clickwrap sends the new token: the old one is then
rejected. Until then, another run only deploys again: the first may have been interrupted before its deployment.
"""

import os
import secrets

from infra.ops import deploy, secret_manager, shell
from infra.ops.guard import changing
from infra.ops.secrets import BYTES, TOKENS
from infra.ops.shell import Stop, agreed

QUESTION = "Does Clickwrap already send the new token, so that the old one can be rejected?"


def rotate() -> int:
    now = [token.strip() for token in secret_manager.read(TOKENS).split(",") if token.strip()]
    if not now and not shell.dry():
        raise Stop(f"{TOKENS} has no value yet: run `make secrets`")
    ending = len(now) == 2 and agreed(QUESTION, by_force=False)  # else the token that Clickwrap sends may be rejected
    if ending or len(now) < 2:
        secret_manager.add(TOKENS, now[0] if ending else ",".join([secrets.token_urlsafe(BYTES), *now]))
    os.environ["FUNCTIONS"] = "receive reconcile"  # an instance reads its secrets when it starts
    status = deploy.deploy()
    if status == 0:
        shell.say("The old token is now rejected." if ending else _next_step())
    return status


def _next_step() -> str:
    return (
        "Both tokens are now accepted. Paste the new one into Clickwrap as the webhook's Secret Code:\n"
        f"  {secret_manager.how_to_read(TOKENS)} | cut -d, -f1\n"
        "Then run `make smoke`, and `make rotate-token` again to reject the old one."
    )


if __name__ == "__main__":
    shell.main(changing(rotate))
