"""Prints how long a gRPC call takes on a connection whose packets are dropped, with KEEPALIVE, or with "bare" without.

Run in network and user namespaces of its own (`unshare -rn`): the server is in a second network namespace, and routes
one of this side's addresses into a blackhole, as a NAT does that has forgotten a connection.
"""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc

from shared.adapters.gcp.calls import DEADLINE, KEEPALIVE

SERVER, PORT = "10.0.0.1", 5555


def serve() -> None:
    """An echo service, until the process is ended."""
    server = grpc.server(ThreadPoolExecutor(1))
    echo = grpc.unary_unary_rpc_method_handler(lambda request, context: request)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", {"Echo": echo}),))
    server.add_insecure_port(f"{SERVER}:{PORT}")
    server.start()
    print("up", flush=True)
    server.wait_for_termination()


def ip(arguments: str, inside: str = "") -> None:
    subprocess.run(f"{inside} ip {arguments}".split(), check=True)


@contextlib.contextmanager
def other_side() -> Iterator[str]:
    """A network namespace with the server in it; yields the command that runs another one there."""
    with subprocess.Popen(["unshare", "-n", "sh", "-c", "echo; exec sleep 60"], stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout
            holder.stdout.readline()
            inside = f"nsenter -t {holder.pid} -n"
            connect(holder.pid, inside)
            with served(inside):
                yield inside
        finally:
            holder.kill()


@contextlib.contextmanager
def served(inside: str) -> Iterator[None]:
    argv = [*inside.split(), sys.executable, "-m", "tests.integration.forgotten_connection", "serve"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout
            assert server.stdout.readline() == b"up\n"
            yield
        finally:
            server.kill()


def connect(pid: int, inside: str) -> None:
    """A pair of interfaces; this side has two addresses."""
    ip("link add v0 type veth peer name v1")
    ip(f"link set v1 netns {pid}")
    ip("link set v0 up")
    ip("link set v1 up", inside)
    ip(f"address add {SERVER}/24 dev v1", inside)
    for address in ("10.0.0.2", "10.0.0.3"):
        ip(f"address add {address}/24 dev v0")


def seconds_until_answered(call: Callable[..., bytes]) -> float:
    """Repeats after UNAVAILABLE, as the clients' own policy does. Raises grpc.RpcError past the deadline."""
    began = time.monotonic()
    while True:
        try:
            call(b"x", timeout=DEADLINE)
        except grpc.RpcError as fault:
            if fault.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
        else:
            return time.monotonic() - began


def main() -> None:
    with other_side() as inside:
        ip(f"route replace {SERVER}/32 dev v0 src 10.0.0.2")
        options = [] if "bare" in sys.argv else list(KEEPALIVE.items())
        channel = grpc.insecure_channel(f"{SERVER}:{PORT}", options=options)
        call = channel.unary_unary("/t.T/Echo")
        call(b"x", timeout=20, wait_for_ready=True)
        ip("route add blackhole 10.0.0.2/32", inside)
        ip(f"route replace {SERVER}/32 dev v0 src 10.0.0.3")
        print(seconds_until_answered(call))


if __name__ == "__main__":
    serve() if "serve" in sys.argv else main()
