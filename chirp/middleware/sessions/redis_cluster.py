"""Sessions on a Redis or Valkey cluster: each key's commands go to the node that serves its slot.

Every step touches one key and is atomic there, and an operation's steps are sent one after another, so nothing ever
crosses slots. Rules:

- Each primary has connections, batches and deadlines of its own, as a single node has.
- `MOVED` and `ASK` mean that nothing happened, so the key is asked for again elsewhere, within the same deadline.
- A node that cannot be reached, or is cut off from the others, makes the topology doubtful. Reads are repeated on a
  fresh one, changes are not.
"""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from redis.asyncio import ConnectionPool
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError

from chirp.errors import StoreUnavailable
from chirp.middleware.sessions.codec import Codec
from chirp.middleware.sessions.expiry import Lifetime
from chirp.middleware.sessions.redis_client import Link, NotSent, ResponseError, SentInVain, Source
from chirp.middleware.sessions.redis_node import ClusterNode, RedisNode
from chirp.middleware.sessions.redis_sentinel import SentinelConnectionPool, find_primary_within
from chirp.middleware.sessions.redis_steps import Operation
from chirp.middleware.sessions.steps import Look, Reply, Step, Write, Written

MOST_REDIRECTS = 5  # in a stable cluster one is enough; more than a few mean that its nodes disagree
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
Answer = TypeVar("Answer")
Send: TypeAlias = Callable[[ClusterNode], Awaitable[Answer]]


def nodes_of(
    source: Source, codec: Codec, lifetime: Lifetime, *, timeout_seconds: float, max_connections: int
) -> "RedisNode | Cluster":
    """Return what requests ask on the running event loop: the one node that the app gave, or its cluster."""
    made = source.make()
    if isinstance(made, RedisCluster):
        return Cluster(made, codec, lifetime, timeout_seconds, max_connections, owned=source.owned)
    if isinstance(made, SentinelConnectionPool):
        find_primary_within(made, timeout_seconds)
    return RedisNode(Link(made, max_connections, owned=source.owned), codec, lifetime, timeout_seconds)


@dataclass(frozen=True, slots=True)
class _Primary:
    """A primary: its address, its connections, and its lanes for slots that it serves and that it takes over."""

    address: Address
    link: Link
    node: ClusterNode
    asking: ClusterNode


Routes: TypeAlias = list[_Primary | None]  # by slot


class Cluster:
    """A cluster's primaries, and which of them serves which slot; belongs to the event loop it is made in.

    Args:
        client: tells where to ask for the topology, and how to connect. Its own connections are not used.
        codec: as in `RedisNode`.
        lifetime: as in `RedisNode`.
        timeout_seconds: deadline of whatever is asked, redirections included.
        max_connections: to each node.
        owned: whether `aclose()` closes the client.
    """

    def __init__(
        self,
        client: RedisCluster,
        codec: Codec,
        lifetime: Lifetime,
        timeout_seconds: float,
        max_connections: int,
        *,
        owned: bool,
    ) -> None:
        self._client = client
        self._codec = codec
        self._lifetime = lifetime
        self._timeout = timeout_seconds
        self._max_connections = max_connections
        self._owned = owned
        self._loop = asyncio.get_running_loop()
        self._primaries: dict[Address, _Primary] = {}
        self._routes: Routes = [None] * REDIS_CLUSTER_HASH_SLOTS  # replaced as a whole, never changed
        self._left: list[tuple[float, _Primary]] = []  # no longer primaries, and since when
        self._discovery: asyncio.Task[BaseException | None] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<Cluster: {len(self._primaries)} primaries known>"

    async def read(self, key: str) -> bytes | None:
        """Return the value, or None where there is none (or none that is a string)."""
        return await self._ask(key, lambda node: node.read(key), self._loop.time() + self._timeout, repeatable=True)

    async def swap(self, write: Write) -> Written:
        return await self._ask(write.swap.key, lambda node: node.swap(write), self._loop.time() + self._timeout)

    async def run(self, steps: Operation) -> list[Reply]:
        """Take the steps in order, each when the one before it is done; return a reply for each."""
        deadline = self._loop.time() + self._timeout
        if len(steps) == 1:
            return await self._take(steps[0], deadline)
        async with self._until(deadline):
            return [reply for step in steps for reply in await self._take(step, deadline)]

    async def aclose(self) -> None:
        """Close every connection, and the client if the store had it made."""
        self._closed = True
        if self._discovery is not None:
            self._discovery.cancel()
            await asyncio.wait({self._discovery})
        for primary in (*self._primaries.values(), *(primary for _, primary in self._left)):
            await primary.link.aclose()
        if self._owned:
            await self._client.aclose()

    async def _take(self, step: Step, deadline: float) -> list[Reply]:
        return await self._ask(step.key, lambda node: node.run((step,)), deadline, repeatable=isinstance(step, Look))

    async def _ask(self, key: str, send: Send[Answer], deadline: float, *, repeatable: bool = False) -> Answer:
        slot = key_slot(key.encode())
        routes = self._routes
        primary = routes[slot]
        refusal: StoreUnavailable | None = None
        if primary is not None:
            try:
                return await send(primary.node)  # the lane keeps the deadline
            except StoreUnavailable as error:
                refusal = error
        async with self._until(deadline):
            return await self._ask_again(slot, send, routes, refusal, repeatable=repeatable)

    async def _ask_again(
        self, slot: int, send: Send[Answer], routes: Routes, refusal: StoreUnavailable | None, *, repeatable: bool
    ) -> Answer:
        """Ask where the refusal says, or the current topology; raise the refusal where neither may help."""
        for _ in range(MOST_REDIRECTS):
            asked = routes[slot]
            here = asked.address if asked is not None else None
            cause = refusal.__cause__ if refusal is not None else None
            if isinstance(cause, AskError) and not isinstance(cause, MovedError):
                lane = self._primary_at(self._address(cause, here)).asking
            else:
                if refusal is None:
                    await self._refresh(routes)
                elif isinstance(cause, MovedError):  # whoever took the slot over knew it first
                    await self._refresh(routes, first=self._address(cause, here))
                elif isinstance(cause, ResponseError) and not isinstance(cause, ClusterDownError):
                    raise refusal
                elif cause is not None and repeatable:
                    repeatable = False
                    await self._refresh(routes, last=here)
                else:
                    self._discover_if_not_yet(routes, last=here)  # for those who ask next
                    raise refusal
                routes = self._routes
                asked = routes[slot]
                if asked is None:
                    raise StoreUnavailable(f"no node of the cluster serves slot {slot}")
                lane = asked.node
            try:
                return await send(lane)
            except StoreUnavailable as error:
                refusal = error
        raise refusal if refusal is not None else AssertionError("unreachable: it was asked at least once")

    @asynccontextmanager
    async def _until(self, deadline: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout_at(deadline):
                yield
        except TimeoutError:
            self._discover_if_not_yet(self._routes)
            raise StoreUnavailable(f"the store did not answer within {self._timeout} seconds") from None

    async def _refresh(self, stale: Routes, *, first: Address | None = None, last: Address | None = None) -> None:
        """See to it that the routes are newer than `stale`; one discovery serves all who ask for it.

        Raises:
            StoreUnavailable: no node told the topology.
        """
        task = self._discover_if_not_yet(stale, first=first, last=last)
        if task is None:
            return
        await asyncio.wait({task})  # to await the task itself would let one waiter's end cancel it for all
        if self._routes is stale:
            failure = None if task.cancelled() else task.result()
            raise StoreUnavailable(f"no node of the cluster told its topology: {failure}") from failure

    def _discover_if_not_yet(
        self, stale: Routes, *, first: Address | None = None, last: Address | None = None
    ) -> asyncio.Task[BaseException | None] | None:
        """Return the discovery that is under way; None if the routes are newer than `stale` already."""
        if self._routes is not stale:
            return None
        if self._closed:
            raise StoreUnavailable("the store was closed")
        if self._discovery is None or self._discovery.done():
            # An empty context: it outlives the request that happens to start it.
            self._discovery = self._loop.create_task(self._discover(first, last), context=contextvars.Context())
        return self._discovery

    async def _discover(self, first: Address | None, last: Address | None) -> BaseException | None:
        """Take the topology from the first node that tells it; return the reason where none does."""
        seeds = ((node.host, int(node.port)) for node in self._client.nodes_manager.startup_nodes.values())
        known = dict.fromkeys([*([first] if first else []), *self._primaries, *seeds])
        failure: BaseException | None = None
        for address in sorted(known, key=lambda each: (each != first, each == last)):
            try:
                async with asyncio.timeout(self._timeout * SHARE_OF_ONE_NODE):
                    (slots,) = await self._primary_at(address).link.exchange([("CLUSTER", "SLOTS")], list)
            except (NotSent, SentInVain, TimeoutError) as error:
                failure = error if isinstance(error, TimeoutError) else error.__cause__
            else:
                if isinstance(slots, list) and slots:
                    self._adopt(slots, told_by=address[0])
                    await self._close_those_long_gone()
                    return None
                failure = slots if isinstance(slots, ResponseError) else ResponseError("the node knows of no slots")
        return failure

    def _adopt(self, slots: Iterable[Any], *, told_by: str) -> None:
        routes: Routes = [None] * REDIS_CLUSTER_HASH_SLOTS
        serving: dict[Address, _Primary] = {}
        for start, end, (host, port, *_), *_ in slots:
            primary = self._primary_at(self._remap((host or b"").decode() or told_by, port))
            serving[primary.address] = primary
            routes[start : end + 1] = [primary] * (end - start + 1)
        now = self._loop.time()
        self._left += [(now, primary) for address, primary in self._primaries.items() if address not in serving]
        self._primaries = serving
        self._routes = routes

    async def _close_those_long_gone(self) -> None:
        """Close connections to nodes that were dropped so long ago that nobody can be waiting for them."""
        before = self._loop.time() - self._timeout
        gone = [primary for since, primary in self._left if since < before]
        self._left = [entry for entry in self._left if entry[0] >= before]
        for primary in gone:
            await primary.link.aclose()

    def _address(self, redirection: AskError, here: Address | None) -> Address:
        """Return where a redirection leads; one without a host means the host that gave it."""
        host = redirection.host or (here[0] if here else "")
        return self._remap(host, redirection.port)

    def _remap(self, host: str, port: int) -> Address:
        remapped: Address = self._client.nodes_manager.remap_host_port(host, port)
        return remapped

    def _primary_at(self, address: Address) -> _Primary:
        primary = self._primaries.get(address)
        if primary is None:
            if self._closed:
                raise StoreUnavailable("the store was closed")
            link = Link(_pool(self._client, address, self._max_connections), self._max_connections, owned=True)
            node, asking = (
                ClusterNode(link, self._codec, self._lifetime, self._timeout, asking=asking) for asking in (False, True)
            )
            primary = self._primaries[address] = _Primary(address, link, node, asking)
        return primary


def _pool(client: RedisCluster, address: Address, max_connections: int) -> ConnectionPool:
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
