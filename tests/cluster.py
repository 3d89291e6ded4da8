"""A cluster of real servers on loopback, each node a process, and what a test does to its slots."""

import random
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.asyncio.cluster import RedisCluster
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from servers import OwnServer, program_on_path

from chirp.errors import ChirpError

JOIN_SECONDS = 20.0
POLL_SECONDS = 0.05
PORTS = range(11_000, 22_000)  # they and the nodes' own ports, 10,000 above, are none that clients are given
BUS = 10_000


@dataclass(frozen=True)
class Node:
    """One primary: its port, and a client of its own."""

    port: int
    redis: Redis

    @property
    def id(self) -> str:
        return _text(self.command("CLUSTER", "MYID"))

    def command(self, *words: Any) -> Any:
        return self.redis.execute_command(*words)  # type: ignore[no-untyped-call]

    def calls(self, name: str) -> int:
        """Return how often a command was called, its subcommands included."""
        stats = self.redis.info("commandstats")
        return sum(stat["calls"] for key, stat in stats.items() if key.split("|")[0] == f"cmdstat_{name}")

    def batches(self) -> int:
        """Return how often the node found something to read from a client, this question included."""
        return int(self.redis.info("stats")["total_reads_processed"])


@dataclass(frozen=True)
class RunningCluster:
    """Its nodes."""

    nodes: Sequence[Node]

    def client(self, **settings: Any) -> RedisCluster:
        """Return a new client that knows of one node."""
        return RedisCluster(host="127.0.0.1", port=self.nodes[0].port, **settings)

    def owner(self, key: str) -> Node:
        """Return the node that serves a key."""
        slot = key_slot(key.encode())
        ranges = self.nodes[0].command("CLUSTER", "SLOTS")
        port = next(port for first, last, (_, port, *_), *_ in ranges if first <= slot <= last)
        return next(node for node in self.nodes if node.port == port)

    def another(self, node: Node) -> Node:
        return next(each for each in self.nodes if each is not node)

    def begin_to_move(self, key: str) -> tuple[Node, Node]:
        """Put the key's slot on its way; return from where and to where. Its keys stay for now."""
        slot, source = key_slot(key.encode()), self.owner(key)
        target = self.another(source)
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        return source, target

    @staticmethod
    def carry_over(key: str, source: Node, target: Node) -> None:
        """Move one key."""
        source.command("MIGRATE", "127.0.0.1", target.port, key, 0, 5000)

    def finish_move(self, key: str, source: Node, target: Node) -> None:
        """Move what is left in the key's slot, and tell every node who serves it."""
        slot = key_slot(key.encode())
        for left in source.command("CLUSTER", "GETKEYSINSLOT", slot, 10_000):
            source.command("MIGRATE", "127.0.0.1", target.port, left, 0, 5000)
        for node in sorted(self.nodes, key=lambda node: node is not target):
            node.command("CLUSTER", "SETSLOT", slot, "NODE", target.id)

    def move(self, key: str) -> tuple[Node, Node]:
        """Move the key's slot, with all that is in it, to another node."""
        source, target = self.begin_to_move(key)
        self.finish_move(key, source, target)
        return source, target


@contextmanager
def running(size: int) -> Iterator[RunningCluster]:
    """Start a cluster without replicas, its slots spread evenly.

    Raises:
        ChirpError: a node did not start, or they did not all know of each other within 20 s.
    """
    with ExitStack() as stack:
        ports = [stack.enter_context(_server()) for _ in range(size)]
        nodes = [Node(port, stack.enter_context(Redis(port=port, socket_timeout=10))) for port in ports]
        _join(nodes)
        yield RunningCluster(nodes)


@contextmanager
def _server() -> Iterator[int]:
    """Start a server that is to be a node; yield its port."""
    port = _free_port()
    with OwnServer(binary=program_on_path(), port=port, extra_args=("--cluster-enabled", "yes")) as server:
        yield port
        with suppress(ChirpError):
            server.kill()  # it has nothing to save


def _join(nodes: Sequence[Node]) -> None:
    for index, node in enumerate(nodes):
        first, end = (REDIS_CLUSTER_HASH_SLOTS * edge // len(nodes) for edge in (index, index + 1))
        node.command("CLUSTER", "ADDSLOTS", *range(first, end))
        node.command("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
    for node in nodes[1:]:
        nodes[0].command("CLUSTER", "MEET", "127.0.0.1", node.port)
    deadline = time.monotonic() + JOIN_SECONDS
    while not all(_is_complete(node, len(nodes)) for node in nodes):
        if time.monotonic() > deadline:
            raise ChirpError(f"{len(nodes)} cluster nodes did not all know of each other within {JOIN_SECONDS:g} s")
        time.sleep(POLL_SECONDS)


def _is_complete(node: Node, size: int) -> bool:
    """Tell whether this node serves, and knows who has which slots."""
    serves = "cluster_state:ok" in _text(node.command("CLUSTER", "INFO"))
    return serves and len(node.command("CLUSTER", "SLOTS")) == size


def _free_port() -> int:
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as client_port, socket.socket() as bus_port, suppress(OSError):
            client_port.bind(("127.0.0.1", port))
            bus_port.bind(("127.0.0.1", port + BUS))
            return port
    raise ChirpError(f"no free port from {PORTS.start} to {PORTS.stop}")


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
