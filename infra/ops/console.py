"""`make console`: open the private console on this machine, with the operator's own gcloud login."""

from infra.ops import config, shell
from infra.ops.function_table import written
from infra.ops.shell import Stop

PORT = 8090


def console() -> int:
    if "console" not in {function.name for function in written()}:
        raise Stop("there is no function console in this version")
    shell.say(f"The console is at http://127.0.0.1:{PORT}/ until Ctrl-C. You must be one of OPERATORS.")
    return shell.attached("gcloud", "run", "services", "proxy", "console", f"--port={PORT}", *config.place())


if __name__ == "__main__":
    shell.main(console)
