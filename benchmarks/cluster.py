"""A cluster of real servers on loopback, each node a process, and what is done to its slots and nodes."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.asyncio.cluster import RedisCluster
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from benchmarks.nodes import HOST, Node, free_port, text_of
from benchmarks.own_server import OwnServer
from benchmarks.waiting import wait_for
from chirp.errors import ChirpError

Settings = Mapping[str, str]  # of each node, by the names in its configuration

WITHOUT_REPLICAS: Settings = {}
# A failover takes about two seconds, and a replica takes over by itself.
FAILING_OVER: Settings = {"cluster-node-timeout": "1000", "repl-diskless-sync-delay": "0"}
# A node that is gone takes its own slots with it and no others, and a replica takes over when it is told to: on a busy
# machine a node may seem gone that is only slow.
WHEN_TOLD: Settings = {
    **FAILING_OVER,
    "cluster-require-full-coverage": "no",
    "cluster-replica-no-failover": "yes",
    "cluster-replica-validity-factor": "0",  # a replica may take over however long it waited for the word
    "cluster-allow-replica-migration": "no",
}


@dataclass(frozen=True)
class RunningCluster:
    """A cluster whose nodes have joined.

    Attributes:
        nodes: as they were started, primaries first and then as many replicas, if any.
        settings: of each of them.
    """

    nodes: Sequence[Node]
    settings: Settings

    def client(self, **settings: Any) -> RedisCluster:
        """Return a new client that knows of one node."""
        return RedisCluster(host=HOST, port=self.nodes[0].port, **settings)

    @property
    def up(self) -> list[Node]:
        return [node for node in self.nodes if not node.down]

    def primaries(self) -> list[Node]:
        """Return those that serve slots, as the first node sees it that is up."""
        return list(dict.fromkeys(primary for _, _, primary, _ in self._slots()))

    def owner(self, key: str) -> Node:
        """Return the node that serves a key."""
        slot = key_slot(key.encode())
        return next(primary for first, last, primary, _ in self._slots() if first <= slot <= last)

    def replica_of(self, primary: Node) -> Node:
        return next(replicas[0] for _, _, each, replicas in self._slots() if each is primary)

    def another(self, node: Node) -> Node:
        """Return another primary."""
        return next(primary for primary in self.primaries() if primary is not node)

    def _slots(self) -> Iterator[tuple[int, int, Node, list[Node]]]:
        by_port = {node.port: node for node in self.nodes}
        for first, last, *serving in self.up[0].command("CLUSTER", "SLOTS"):
            primary, *replicas = [by_port[port] for _, port, *_ in serving]
            yield first, last, primary, replicas

    def let_take_over(self, replica: Node) -> None:
        """Let a replica take over for a primary that is down, and wait until every node that is up knows it."""
        replica.command("CONFIG", "SET", "cluster-replica-no-failover", "no")
        wait_for(lambda: replica.is_primary and self.agree(), "nodes that agree on a promotion")

    def wait_until_replaced(self, primary: Node) -> None:
        """Wait until another node serves the slots of this one, and every node that is up knows it and serves.

        Raises:
            ChirpError: it takes more than 40 s.
        """
        wait_for(
            lambda: self.agree() and primary not in self.primaries() and all(node.serves() for node in self.up),
            "a failover",
        )

    def hand_over(self, primary: Node) -> None:
        """Have its replica take over from a primary, which waits for it: nothing is lost that way."""
        self.replica_of(primary).command("CLUSTER", "FAILOVER")
        self.wait_until_replaced(primary)

    def configure(self, settings: Settings) -> None:
        """Set what is in the nodes' configuration, on all that are up."""
        for node in self.up:
            for name, value in settings.items():
                node.command("CONFIG", "SET", name, value)

    def heal(self) -> None:
        """Bring back what is down, and wait until each primary has a replica that follows it.

        Raises:
            ChirpError: it takes more than 40 s.
        """
        for node in self.nodes:
            if node.down:
                node.bring_back()
        self.configure(self.settings)
        self.wait_until_whole()

    def wait_until_whole(self) -> None:
        wait_for(self._is_whole, "a cluster that is whole, with replicas that follow their primaries")

    def agree(self) -> bool:
        """Tell whether all nodes that are up say the same of who serves what."""
        return len({node.routes() for node in self.up}) == 1

    def _is_whole(self) -> bool:
        return (
            self.agree()
            and not any(node.suspects_any() for node in self.nodes)
            and all(replicas for *_, replicas in self._slots())
            and all(
                node.is_primary or node.redis.info("replication")["master_link_status"] == "up" for node in self.nodes
            )
        )

    def wait_until_replicated(self, primary: Node) -> None:
        """Wait until the replica has all that its primary has acknowledged so far."""
        replica = self.replica_of(primary)
        offset = primary.redis.info("replication")["master_repl_offset"]
        wait_for(
            lambda: replica.redis.info("replication")["slave_repl_offset"] >= offset, "a replica that is up to date"
        )

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
        source.command("MIGRATE", HOST, target.port, key, 0, 5000)

    def finish_move(self, key: str, source: Node, target: Node) -> None:
        """Move what is left in the key's slot, and tell every node who serves it."""
        slot = key_slot(key.encode())
        for left in source.command("CLUSTER", "GETKEYSINSLOT", slot, 10_000):
            source.command("MIGRATE", HOST, target.port, left, 0, 5000)
        for node in sorted(self.primaries(), key=lambda node: node is not target):
            node.command("CLUSTER", "SETSLOT", slot, "NODE", target.id)

    def move(self, key: str) -> tuple[Node, Node]:
        """Move the key's slot, with all that is in it, to another node."""
        source, target = self.begin_to_move(key)
        self.finish_move(key, source, target)
        return source, target

    def move_some(self, most: int) -> int:
        """Move so many slots that have keys in them from one primary to another; return how many."""
        keys = self.primaries()[0].redis.scan_iter(count=1000)
        one_of_each = list({key_slot(key): text_of(key) for key in keys}.values())[:most]
        for key in one_of_each:
            self.move(key)
        return len(one_of_each)

    def move_at_once(self, key: str) -> None:
        """Have the servers move the key's slot by themselves, as Valkey 9 can, all its keys in one step."""
        slot, source = key_slot(key.encode()), self.owner(key)
        target = self.another(source)
        source.command("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", target.id)
        wait_for(lambda: self.agree() and self.owner(key) is target, "a slot that has moved")

    def refusals(self, name: str) -> int:
        """Return how often the nodes that are up have answered with such an error, as `ASK`."""
        errors = (node.redis.info("errorstats").get(f"errorstat_{name}", {"count": 0}) for node in self.up)
        return sum(error["count"] for error in errors)

    def connections_named(self, name: str) -> list[tuple[Node, dict[str, str]]]:
        """Return the connections with this client name, each with the node it leads to."""
        return [(node, client) for node in self.up for client in node.redis.client_list() if client["name"] == name]


@contextmanager
def running(
    primaries: int, settings: Settings = WITHOUT_REPLICAS, *, program: str | None = None
) -> Iterator[RunningCluster]:
    """Start a cluster, its slots spread evenly.

    Args:
        primaries: how many.
        settings: of each node; with any but `WITHOUT_REPLICAS` each primary has a replica.
        program: the server; None is the one in the wheel.

    Raises:
        ChirpError: a node did not start, or they did not all know of each other within 40 s.
    """
    with ExitStack() as stack:
        size = primaries * 2 if settings else primaries
        nodes = [stack.enter_context(_node(program, arguments(settings))) for _ in range(size)]
        yield joined(nodes, primaries, settings)


def arguments(settings: Settings) -> list[str]:
    """Return what makes a server a node, on its command line."""
    return [word for name, value in {"cluster-enabled": "yes", **settings}.items() for word in (f"--{name}", value)]


def joined(nodes: Sequence[Node], primaries: int, settings: Settings) -> RunningCluster:
    """Make a cluster of nodes that run already; those after the primaries are their replicas, in the same order."""
    cluster = RunningCluster(nodes, settings)
    _join(nodes[:primaries])
    if len(nodes) > primaries:
        _follow(nodes[:primaries], nodes[primaries:])
        cluster.wait_until_whole()
    return cluster


@contextmanager
def _node(program: str | None, extra_args: Sequence[str]) -> Iterator[Node]:
    port = free_port()
    with (
        # A child that was writing a file for the server outlives its crash, and may put the file there meanwhile.
        tempfile.TemporaryDirectory(prefix="chirp-node-", ignore_cleanup_errors=True) as folder,
        Redis(port=port, socket_timeout=10) as client,
        OwnServer(binary=program, port=port, data_dir=folder, extra_args=extra_args) as server,
    ):
        yield Node(port, client, server)
        with suppress(ChirpError):
            server.kill()  # it has nothing to save


def _join(nodes: Sequence[Node]) -> None:
    for index, node in enumerate(nodes):
        first, end = (REDIS_CLUSTER_HASH_SLOTS * edge // len(nodes) for edge in (index, index + 1))
        node.command("CLUSTER", "ADDSLOTS", *range(first, end))
        node.command("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
    for node in nodes[1:]:
        nodes[0].command("CLUSTER", "MEET", HOST, node.port)
    wait_for(
        lambda: all(node.serves_with(len(nodes)) for node in nodes),
        f"{len(nodes)} cluster nodes that know of each other",
    )


def _follow(primaries: Sequence[Node], replicas: Sequence[Node]) -> None:
    for primary, replica in zip(primaries, replicas, strict=True):
        replica.command("CLUSTER", "MEET", HOST, primary.port)
        primary_id = primary.id
        wait_for(
            lambda: primary_id in text_of(replica.command("CLUSTER", "NODES")),  # noqa: B023 - called in this turn
            "a replica that knows its primary",
        )
        replica.command("CLUSTER", "REPLICATE", primary_id)
