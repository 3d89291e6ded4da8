"""A node of a cluster: what is asked of it and done to it, and where it may listen."""

import random
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from redis import Redis

from chirp.errors import ChirpError

HOST = "127.0.0.1"
PORTS = range(11_000, 22_000)  # they and the nodes' own ports, 10,000 above, are none that clients are given
BUS = 10_000


class Server(Protocol):
    """What runs a node: a process, or a container."""

    def start(self) -> object: ...
    def kill(self) -> None: ...
    def freeze(self) -> None: ...
    def thaw(self) -> None: ...


@dataclass(eq=False)
class Node:
    """One node: what runs it, its port on loopback, and a client for whoever asks it things.

    Attributes:
        killed: on purpose; it is not running.
        frozen: on purpose; it is running, and answers nothing.
    """

    port: int
    redis: Redis
    server: Server
    killed: bool = False
    frozen: bool = False

    @property
    def down(self) -> bool:
        return self.killed or self.frozen

    @property
    def id(self) -> str:
        return text_of(self.command("CLUSTER", "MYID"))

    @property
    def is_primary(self) -> bool:
        return bool(self.redis.info("replication")["role"] == "master")

    def suspects_any(self) -> bool:
        """Tell whether this node takes another one for failed, or thinks that it may have."""
        lines = text_of(self.command("CLUSTER", "NODES")).splitlines()
        flags = {flag for line in lines for flag in line.split()[2].split(",")}
        return not flags.isdisjoint({"fail", "fail?"})

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    def command(self, *words: Any) -> Any:
        return self.redis.execute_command(*words)  # type: ignore[no-untyped-call]

    def serves_with(self, size: int) -> bool:
        """Tell whether this node serves, and knows who has which slots among so many primaries."""
        return self.serves() and len(self.command("CLUSTER", "SLOTS")) == size

    def serves(self) -> bool:
        return "cluster_state:ok" in text_of(self.command("CLUSTER", "INFO"))

    def routes(self) -> tuple[tuple[int, int, int], ...]:
        """Return which port serves which slots, as this node sees it."""
        slots = self.command("CLUSTER", "SLOTS")
        return tuple(sorted((first, last, primary[1]) for first, last, primary, *_ in slots))

    def calls(self, name: str) -> int:
        """Return how often a command was called, its subcommands included."""
        stats = self.redis.info("commandstats")
        return sum(stat["calls"] for key, stat in stats.items() if key.split("|")[0] == f"cmdstat_{name}")

    def batches(self) -> int:
        """Return how often the node found something to read from a client, this question included."""
        return int(self.redis.info("stats")["total_reads_processed"])

    def kill(self) -> None:
        """End it as a crash does."""
        self.killed = True
        self.server.kill()

    def freeze(self) -> None:
        """Stop answering, with every connection still open."""
        self.frozen = True
        self.server.freeze()

    def bring_back(self) -> None:
        """Thaw it, or start it: without its keys, and with what it had known of the cluster."""
        if self.frozen:
            self.server.thaw()
        if self.killed:
            self.redis.connection_pool.disconnect()
            self.server.start()
        self.frozen = self.killed = False


def free_port() -> int:
    """Return a port that is free, and whose node's port is."""
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as client_port, socket.socket() as bus_port, suppress(OSError):
            client_port.bind((HOST, port))
            bus_port.bind((HOST, port + BUS))
            return port
    raise ChirpError(f"no free port from {PORTS.start} to {PORTS.stop}")


def text_of(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
