"""`make console`: open the private console on this machine, with the operator's own gcloud login."""

from contextlib import suppress

from infra.ops import config, shell
from infra.ops.function_table import written
from infra.ops.shell import Stop
from infra.ops.tunnel import Tunnel

PORT = 8090


def console() -> int:
    if "console" not in {function.name for function in written()}:
        raise Stop("there is no function console in this version")
    shell.say(f"The console is at http://127.0.0.1:{PORT}/ until Ctrl-C. You must be one of OPERATORS.")
    identity(), config.url("console")  # without a login it stops here
    if shell.dry():
        return 0
    with _tunnel() as tunnel, suppress(KeyboardInterrupt):
        tunnel.serve_forever()
    return 0


def _tunnel() -> Tunnel:
    try:
        return Tunnel(PORT, config.url("console"), identity)
    except OSError as e:
        raise Stop(f"port {PORT} cannot be used ({e.strerror}): is a console open already?") from None


def identity() -> str:
    """The operator's identity token, as gcloud gives it."""
    return shell.ask("gcloud", "auth", "print-identity-token")


if __name__ == "__main__":
    shell.main(console)
