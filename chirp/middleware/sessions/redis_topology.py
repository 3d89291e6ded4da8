"""Who serves which slot of a cluster, asked of its nodes where there is a reason to, and the connections to each.

One discovery serves all who ask for it. What it learns replaces what was known as a whole. While a node is dead every
request for its slots is a reason to look, so such looks keep a distance, and go to any of the other nodes.
"""

import asyncio
import contextvars
import math
import random
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

from redis.asyncio import ConnectionPool
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import REDIS_CLUSTER_HASH_SLOTS
from redis.exceptions import AskError

from chirp.errors import StoreUnavailable
from chirp.middleware.sessions.codec import Codec
from chirp.middleware.sessions.expiry import Lifetime
from chirp.middleware.sessions.redis_client import Link, NotSent, ResponseError, SentInVain
from chirp.middleware.sessions.redis_node import ClusterNode, readable

PAUSE_SECONDS = 0.1  # from one discovery to the next that a doubt is the reason for
SHARE_OF_ONE_NODE = 0.25  # of the deadline: a node that hangs must leave time to ask others for the topology
# Of the client's settings for connections, what is for its own nodes alone: READONLY (a demoted primary would answer
# reads from what it has, instead of MOVED), its callbacks, and notifications, which need RESP3.
NOT_FOR_POOLS = {
    "max_connections",
    "redis_connect_func",
    "response_callbacks",
    "maint_notifications_config",
    "oss_cluster_maint_notifications_handler",
}

Address: TypeAlias = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Primary:
    """A primary: its address, its connections, and its lanes for slots that it serves and that it takes over."""

    address: Address
    link: Link
    node: ClusterNode
    asking: ClusterNode


Routes: TypeAlias = list[Primary | None]  # by slot


class Topology:
    """A cluster's primaries and their slots; belongs to the event loop it is made in.

    Args:
        client: tells where to ask, and how to connect. Its own connections are not used.
        codec: as in `RedisNode`.
        lifetime: as in `RedisNode`.
        timeout_seconds: deadline of whatever is asked.
        max_connections: to each node.

    Attributes:
        routes: the primary that serves each slot, as far as it is known; replaced as a whole, never changed.
        doubted: primaries that hung, or broke off, until a discovery has told whether they still are primaries. Whoever
            wants something of them waits for that: a node that hangs would take another deadline.
        discovery: the last one begun; its result is the reason why no node told, or None.
    """

    def __init__(
        self, client: RedisCluster, codec: Codec, lifetime: Lifetime, timeout_seconds: float, max_connections: int
    ) -> None:
        self._client = client
        self._codec = codec
        self._lifetime = lifetime
        self._timeout = timeout_seconds
        self._max_connections = max_connections
        self._loop = asyncio.get_running_loop()
        self._primaries: dict[Address, Primary] = {}
        self.routes: Routes = [None] * REDIS_CLUSTER_HASH_SLOTS
        self.doubted: set[Address] = set()
        self._first: Address | None = None  # the node to be asked before others: it told of a change
        self._hurry = asyncio.Event()
        self._looked_at = -math.inf
        self._left: list[tuple[float, Primary]] = []  # no longer primaries, and since when
        self.discovery: asyncio.Task[BaseException | None] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<Topology: {len(self._primaries)} primaries known>"

    async def aclose(self) -> None:
        """Close every connection."""
        self._closed = True
        if self.discovery is not None:
            self.discovery.cancel()
            await asyncio.wait({self.discovery})
        for primary in (*self._primaries.values(), *(primary for _, primary in self._left)):
            await primary.link.aclose()

    async def refresh(self, stale: Routes, *, first: Address | None = None, doubted: Address | None = None) -> None:
        """See to it that the routes are newer than `stale`; one discovery serves all who ask for it.

        Raises:
            StoreUnavailable: no node told the topology.
        """
        task = self.discover_if_not_yet(stale, first=first, doubted=doubted)
        if task is None:
            return
        await asyncio.wait({task})  # to await the task itself would let one waiter's end cancel it for all
        if self.routes is stale:
            failure = None if task.cancelled() else task.result()
            raise StoreUnavailable(f"no node of the cluster told its topology: {readable(failure)}") from failure

    def discover_if_not_yet(
        self, stale: Routes, *, first: Address | None = None, doubted: Address | None = None
    ) -> asyncio.Task[BaseException | None] | None:
        """Return the discovery that is under way; None if the routes are newer than `stale` already."""
        if self.routes is not stale:
            return None
        if self._closed:
            raise StoreUnavailable("the store was closed")
        if self.discovery is None or self.discovery.done():
            self._first = first
            self._hurry.clear()
            # An empty context: it outlives the request that happens to start it.
            self.discovery = self._loop.create_task(self._discover(), context=contextvars.Context())
            self.discovery.add_done_callback(lambda _: self.doubted.clear(), context=contextvars.Context())
        if doubted is not None:
            self.doubted.add(doubted)
        else:
            self._first = self._first or first
            self._hurry.set()
        return self.discovery

    async def _discover(self) -> BaseException | None:
        """Take the topology from the first node that tells it; return the reason where none does."""
        pause = self._looked_at + PAUSE_SECONDS - self._loop.time()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(pause, 0)):
                await self._hurry.wait()
        self._looked_at = self._loop.time()
        failure: BaseException | None = None
        for address in self._whom_to_ask():
            try:
                async with asyncio.timeout(self._timeout * SHARE_OF_ONE_NODE):
                    (slots,) = await self.primary_at(address).link.exchange([("CLUSTER", "SLOTS")], list)
                if isinstance(slots, list) and slots:
                    self._adopt(slots, told_by=address[0])
                    await self._close_those_long_gone()
                    return None
                failure = slots if isinstance(slots, ResponseError) else ResponseError("the node knows of no slots")
            except (NotSent, SentInVain) as error:
                failure = error.__cause__
            except Exception as error:  # noqa: BLE001 - a deadline, or an answer that is none: another node may know
                failure = error
        return failure

    def _whom_to_ask(self) -> list[Address]:
        seeds = [(node.host, int(node.port)) for node in self._client.nodes_manager.startup_nodes.values()]
        primaries = random.sample(list(self._primaries), len(self._primaries))  # so that no node has to tell everybody
        known = dict.fromkeys([*([self._first] if self._first else []), *primaries, *seeds])
        return sorted(known, key=lambda each: (each != self._first, each in self.doubted))

    def _adopt(self, slots: Iterable[Any], *, told_by: str) -> None:
        routes: Routes = [None] * REDIS_CLUSTER_HASH_SLOTS
        serving: dict[Address, Primary] = {}
        for start, end, (host, port, *_), *_ in slots:
            primary = self.primary_at(self._remap((host or b"").decode() or told_by, port))
            serving[primary.address] = primary
            routes[start : end + 1] = [primary] * (end - start + 1)
        now = self._loop.time()
        self._left += [(now, primary) for address, primary in self._primaries.items() if address not in serving]
        self._primaries = serving
        self.routes = routes

    async def _close_those_long_gone(self) -> None:
        """Close connections to nodes that were dropped so long ago that nobody can be waiting for them."""
        before = self._loop.time() - self._timeout
        gone = [primary for since, primary in self._left if since < before]
        self._left = [entry for entry in self._left if entry[0] >= before]
        for primary in gone:
            await primary.link.aclose()

    def address_of(self, redirection: AskError, here: Address | None) -> Address:
        """Return where a redirection leads; one without a host means the host that gave it."""
        host = redirection.host or (here[0] if here else "")
        return self._remap(host, redirection.port)

    def _remap(self, host: str, port: int) -> Address:
        remapped: Address = self._client.nodes_manager.remap_host_port(host, port)
        return remapped

    def primaries(self) -> list[Primary]:
        """Return those that serve slots."""
        return list({primary.address: primary for primary in self.routes if primary is not None}.values())

    def primary_at(self, address: Address) -> Primary:
        primary = self._primaries.get(address)
        if primary is None:
            if self._closed:
                raise StoreUnavailable("the store was closed")
            link = Link(pool_of_a_node(self._client, address, self._max_connections), self._max_connections, owned=True)
            node, asking = (
                ClusterNode(link, self._codec, self._lifetime, self._timeout, asking=asking) for asking in (False, True)
            )
            primary = self._primaries[address] = Primary(address, link, node, asking)
        return primary


def pool_of_a_node(client: RedisCluster, address: Address, max_connections: int) -> ConnectionPool:
    """Return a pool for one node, with what the client's settings say of connections (TLS, user, password)."""
    of_client = client.get_connection_kwargs().items()
    settings: dict[str, Any] = {name: value for name, value in of_client if name not in NOT_FOR_POOLS}
    settings |= {
        "host": address[0],
        "port": address[1],
        "protocol": 2,  # as in `redis_client`: no greeting, no timers of its own, no retries of its own
        "socket_timeout": None,
        "socket_connect_timeout": None,
        "retry": Retry(NoBackoff(), 0),
    }
    return ConnectionPool(max_connections=max_connections, **settings)
