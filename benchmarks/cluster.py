"""Clusters of real servers on loopback, each node a process, gone when the block ends."""

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from redis import Redis

from chirp.embedded import EmbeddedServer
from chirp.errors import ChirpError

SLOTS = 16384
JOIN_SECONDS = 20.0
POLL_SECONDS = 0.05


@contextmanager
def cluster(nodes: int) -> Iterator[list[str]]:
    """Start a cluster without replicas, its slots spread evenly.

    Yields:
        The URL of each node.

    Raises:
        ChirpError: a node did not start, or they did not all know of each other within 20 s.
    """
    with ExitStack() as running:
        ports = [free_port() for _ in range(nodes)]
        # The default bus port is 10,000 above the other one, which may be more than there are.
        servers = [
            running.enter_context(
                EmbeddedServer(extra_args=("--cluster-enabled", "yes", "--cluster-port", str(bus_port)))
            )
            for bus_port in ports
        ]
        urls = [server.url for server in servers]
        clients = [running.enter_context(Redis.from_url(url)) for url in urls]
        _join(clients, ports)
        yield urls


def _join(clients: Sequence[Redis], bus_ports: Sequence[int]) -> None:
    for index, client in enumerate(clients):
        first, end = (SLOTS * edge // len(clients) for edge in (index, index + 1))
        client.execute_command("CLUSTER ADDSLOTSRANGE", first, end - 1)
    for client, bus_port in zip(clients[1:], bus_ports[1:], strict=True):
        port = client.get_connection_kwargs()["port"]
        clients[0].execute_command("CLUSTER MEET", "127.0.0.1", port, bus_port)
    deadline = time.monotonic() + JOIN_SECONDS
    while not all(_is_complete(client, len(clients)) for client in clients):
        if time.monotonic() > deadline:
            raise ChirpError(f"{len(clients)} cluster nodes did not all know of each other within {JOIN_SECONDS:g} s")
        time.sleep(POLL_SECONDS)


def _is_complete(client: Redis, nodes: int) -> bool:
    """Tell whether this node serves, and knows who has which slots."""
    state = client.execute_command("CLUSTER INFO")
    if isinstance(state, bytes):
        state = dict(line.split(":") for line in state.decode("ascii").split())
    return state["cluster_state"] == "ok" and len(client.execute_command("CLUSTER SLOTS")) == nodes


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
