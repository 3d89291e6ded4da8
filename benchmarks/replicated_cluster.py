"""A cluster of three primaries with a replica each: real processes on loopback, gone when the block ends."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from benchmarks.cluster import free_port
from benchmarks.own_server import OwnServer
from benchmarks.sentinel import ANSWER_SECONDS, HOST, port_of, wait_for
from chirp.errors import ChirpError

PRIMARIES = 3
NODE_TIMEOUT_MS = 1000


@dataclass(frozen=True)
class Replicated:
    """The nodes, whichever of them are primaries at the moment."""

    servers: Sequence[OwnServer]

    def primaries(self) -> list[OwnServer]:
        """Return those that serve slots, once every node that answers says the same.

        Raises:
            ChirpError: they do not agree within 40 s.
        """
        found: list[OwnServer] = []

        def agreed() -> bool:
            views = [view for server in self.servers if (view := _serving(server)) is not None]
            if len(views) <= len(self.servers) // 2 or any(view != views[0] for view in views):
                return False
            found[:] = [server for server in self.servers if port_of(server) in views[0]]
            return len(found) == PRIMARIES

        wait_for(agreed, "the nodes to agree on who serves")
        return found

    def replaced(self, primary: OwnServer) -> None:
        """Wait until another node serves the slots of this one.

        Raises:
            ChirpError: none does within 40 s.
        """
        wait_for(lambda: primary not in self.primaries(), "a failover")

    def replica_of(self, primary: OwnServer) -> OwnServer:
        node = _id(primary)
        return next(server for server in self.servers if _followed_by(server) == node)

    def fail_over(self) -> None:
        """Have a replica take over from its primary, which waits for it: nothing is lost that way."""
        primary = self.primaries()[0]
        _command(self.replica_of(primary), "CLUSTER", "FAILOVER")
        self.replaced(primary)

    def restart(self, *ended: OwnServer) -> None:
        """Start again what was killed, and wait until everything is in order."""
        for server in ended:
            server.start()
        self.settled()

    def settled(self) -> None:
        """Wait until every primary has a replica that is up to date.

        Raises:
            ChirpError: it takes more than 40 s.
        """

        def in_order() -> bool:
            self.primaries()
            facts = [_info(server) for server in self.servers]
            replicas = [one for one in facts if one["role"] == "slave"]
            return len(replicas) == PRIMARIES and all(one["master_link_status"] == "up" for one in replicas)

        wait_for(in_order, "replicas that are up to date")

    def move_slots(self, most: int) -> int:
        """Move slots, with the keys in them, from one primary to another while both serve; return how many keys."""
        source, target = self.primaries()[:2]
        others = [server for server in self.primaries() if server is not source]
        with _client(source) as client:
            keys = list(client.scan_iter(count=1000))
        moved = 0
        for slot in list(dict.fromkeys(map(key_slot, keys)))[:most]:
            _command(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", _id(source))
            _command(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", _id(target))
            while inside := _command(source, "CLUSTER", "GETKEYSINSLOT", slot, 100):
                for key in inside:
                    _command(source, "MIGRATE", HOST, port_of(target), key, 0, 5000)
                    moved += 1
            for server in (target, source, *others):
                _command(server, "CLUSTER", "SETSLOT", slot, "NODE", _id(target))
        return moved


@contextmanager
def replicated_cluster() -> Iterator[Replicated]:
    """Start the nodes, and wait until a failover would work.

    Raises:
        ChirpError: one did not start, or they were not ready within 40 s.
    """
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="chirp-cluster-")))
        servers, buses = [], []
        for number in range(2 * PRIMARIES):
            place = folder / str(number)
            place.mkdir()
            buses.append(free_port())
            arguments = ("--cluster-enabled", "yes", "--cluster-port", str(buses[-1]))
            quick = ("--cluster-node-timeout", str(NODE_TIMEOUT_MS), "--repl-diskless-sync-delay", "0")
            server = OwnServer(data_dir=place, extra_args=(*arguments, *quick))
            running.callback(_end, server)
            servers.append(server.start())
        _join(servers, buses)
        cluster = Replicated(servers)
        cluster.settled()
        yield cluster


def _join(servers: Sequence[OwnServer], buses: Sequence[int]) -> None:
    primaries, replicas = servers[:PRIMARIES], servers[PRIMARIES:]
    for index, server in enumerate(primaries):
        first, end = (REDIS_CLUSTER_HASH_SLOTS * edge // PRIMARIES for edge in (index, index + 1))
        _command(server, "CLUSTER", "ADDSLOTSRANGE", first, end - 1)
        _command(server, "CLUSTER", "SET-CONFIG-EPOCH", index + 1)
    for server, bus in zip(servers[1:], buses[1:], strict=True):
        _command(servers[0], "CLUSTER", "MEET", HOST, port_of(server), bus)
    for primary, replica in zip(primaries, replicas, strict=True):
        wait_for(partial(_follow, replica, primary), "nodes to know of each other")


def _follow(replica: OwnServer, primary: OwnServer) -> bool:
    try:
        _command(replica, "CLUSTER", "REPLICATE", _id(primary))
    except ResponseError:  # it does not know that node yet
        return False
    return True


def _serving(server: OwnServer) -> set[int] | None:
    """Return the ports of the primaries as this node knows them; None if it does not answer, or cannot serve."""
    try:
        if b"cluster_state:ok" not in _command(server, "CLUSTER", "INFO"):
            return None
        return {entry[2][1] for entry in _command(server, "CLUSTER", "SLOTS")}
    except (RedisError, OSError):
        return None


def _followed_by(server: OwnServer) -> str | None:
    """Return the id of the node that this one is a replica of."""
    try:
        nodes = _command(server, "CLUSTER", "NODES").decode("ascii")
    except (RedisError, OSError):
        return None
    (myself,) = (line.split() for line in nodes.splitlines() if "myself" in line)
    return None if myself[3] == "-" else myself[3]


def _id(server: OwnServer) -> str:
    return str(_command(server, "CLUSTER", "MYID").decode("ascii"))


def _info(server: OwnServer) -> dict[str, Any]:
    with _client(server) as client:
        facts: dict[str, Any] = client.info("replication")
    return facts


def _command(server: OwnServer, *words: Any) -> Any:
    """Return the reply as it came, without what redis-py makes of those of CLUSTER."""
    with _client(server) as client:
        client.response_callbacks.clear()
        return client.execute_command(*words)


def _client(server: OwnServer) -> Redis:
    return Redis(port=port_of(server), socket_timeout=ANSWER_SECONDS, protocol=2, retry=Retry(NoBackoff(), 0))


def _end(server: OwnServer) -> None:
    with suppress(ChirpError):  # it has ended already
        server.kill()
    server.stop()
