"""Sessions on a Redis or Valkey cluster: each key's commands go to the node that serves its slot.

Every step touches one key and is atomic there, and an operation's steps are sent one after another, so nothing ever
crosses slots. Rules:

- Each primary has connections, batches and deadlines of its own, as a single node has.
- `MOVED` and `ASK` mean that nothing happened, so the key is asked for again elsewhere, within the same deadline.
- A node that cannot be reached, or is cut off from the others, makes the topology doubtful. Reads are repeated on a
  fresh one, and so are changes that never left this process; a change that was sent is not.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, TypeAlias, TypeVar

from redis.asyncio.cluster import RedisCluster
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError

from chirp.errors import StoreUnavailable
from chirp.middleware.sessions.codec import Codec
from chirp.middleware.sessions.expiry import Lifetime
from chirp.middleware.sessions.merging import Write, Written
from chirp.middleware.sessions.metering import Lookup
from chirp.middleware.sessions.redis_client import Link, ResponseError, Source
from chirp.middleware.sessions.redis_node import ClusterNode, NothingSent, RedisNode
from chirp.middleware.sessions.redis_sentinel import SentinelConnectionPool, find_primary_within
from chirp.middleware.sessions.redis_steps import Operation
from chirp.middleware.sessions.redis_topology import Address, Primary, Routes, Topology
from chirp.middleware.sessions.steps import Announce, Delist, Enlist, Look, Members, Reply, Step

SAFE_TO_REPEAT = (Look, Enlist, Delist, Members, Announce)  # what was sent may have happened, and may happen again
MOST_REDIRECTS = 5  # in a stable cluster one is enough; more than a few mean that its nodes disagree

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
        self._timeout = timeout_seconds
        self._owned = owned
        self._loop = asyncio.get_running_loop()
        self._topology = Topology(client, codec, lifetime, timeout_seconds, max_connections)

    def __repr__(self) -> str:
        return f"<Cluster: {self._topology!r}>"

    async def read(self, key: str) -> bytes | None:
        """Return the value, or None where there is none (or none that is a string)."""
        return await self._ask(key, lambda node: node.read(key), self._loop.time() + self._timeout, repeatable=True)

    async def write(self, write: Write) -> Written:
        """Make a change, merged with others of the same session."""
        return await self._ask(write.swap.key, lambda node: node.write(write), self._loop.time() + self._timeout)

    async def run(self, steps: Operation) -> list[Reply]:
        """Take the steps in order, each when the one before it is done; return a reply for each."""
        deadline = self._loop.time() + self._timeout
        if len(steps) == 1:
            return await self._take(steps[0], deadline)
        async with self._until(deadline):
            return [reply for step in steps for reply in await self._take(step, deadline)]

    async def scan(self, pattern: str) -> AsyncGenerator[tuple[list[str], float], None]:
        """Yield the keys that match, node after node; as `RedisNode.scan`.

        Slots that are moved meanwhile may be looked through twice, or not at all.
        """
        await self._topology.refresh(self._topology.routes)
        primaries = self._topology.primaries()
        for position, primary in enumerate(primaries):
            async with aclosing(primary.node.scan(pattern)) as found:
                async for keys, progress in found:
                    yield keys, (position + progress) / len(primaries)

    async def look_up(self, name: Lookup, keys: Sequence[str]) -> list[Any]:
        """As `RedisNode.look_up`, in a round trip to each primary; a key that has moved is asked for where it is now.

        Raises:
            StoreUnavailable: as there.
        """
        routes, deadline = self._topology.routes, self._loop.time() + self._timeout
        served: dict[Primary | None, list[str]] = defaultdict(list)
        for key in keys:
            served[routes[key_slot(key.encode())]].append(key)
        replies: dict[str, Any] = {}

        async def look_up_at(primary: Primary | None, its: Sequence[str]) -> None:
            if primary is not None and primary.address not in self._topology.doubted:
                with suppress(StoreUnavailable):
                    found = zip(its, await primary.node.look_up_each(name, its), strict=True)
                    replies.update({key: reply for key, reply in found if not isinstance(reply, StoreUnavailable)})

        async def follow(key: str) -> None:
            send: Send[list[Any]] = lambda node: node.look_up(name, [key])  # noqa: E731 - typed
            (replies[key],) = await self._ask(key, send, deadline, repeatable=True)

        await asyncio.gather(*(look_up_at(primary, its) for primary, its in served.items()))
        await asyncio.gather(*(follow(key) for key in set(keys) - replies.keys()))
        return [replies[key] for key in keys]

    async def aclose(self) -> None:
        """Close every connection, and the client if the store had it made."""
        await self._topology.aclose()
        if self._owned:
            await self._client.aclose()

    async def _take(self, step: Step, deadline: float) -> list[Reply]:
        return await self._ask(
            step.key, lambda node: node.run((step,)), deadline, repeatable=isinstance(step, SAFE_TO_REPEAT)
        )

    async def _ask(self, key: str, send: Send[Answer], deadline: float, *, repeatable: bool = False) -> Answer:
        slot = key_slot(key.encode())
        routes = self._topology.routes
        primary = routes[slot]
        refusal: StoreUnavailable | None = None
        if primary is not None and primary.address not in self._topology.doubted:
            try:
                return await send(primary.node)  # the lane keeps the deadline
            except StoreUnavailable as error:
                refusal = error
            except asyncio.CancelledError:
                self._doubt_if_late(primary, deadline)
                raise
        async with self._until(deadline):
            return await self._ask_again(slot, send, routes, refusal, deadline, repeatable=repeatable)

    async def _ask_again(
        self,
        slot: int,
        send: Send[Answer],
        routes: Routes,
        refusal: StoreUnavailable | None,
        deadline: float,
        *,
        repeatable: bool,
    ) -> Answer:
        """Ask where the refusal says, or the current topology; raise the refusal where neither may help."""
        topology = self._topology
        asked = routes[slot]
        here = asked.address if asked is not None else None
        repeated = False
        for _ in range(MOST_REDIRECTS):
            cause = refusal.__cause__ if refusal is not None else None
            if isinstance(cause, AskError) and not isinstance(cause, MovedError):
                primary = topology.primary_at(topology.address_of(cause, here))
                lane = primary.asking
            else:
                again = not repeated and (repeatable or isinstance(refusal, NothingSent))
                await self._look_again(routes, refusal, here, again=again)
                repeated = repeated or not (refusal is None or isinstance(cause, MovedError))
                routes = topology.routes
                primary = self._serving(slot, routes)
                lane = primary.node
            here = primary.address
            try:
                return await send(lane)
            except StoreUnavailable as error:
                refusal = error
            except asyncio.CancelledError:
                self._doubt_if_late(primary, deadline)
                raise
        raise refusal if refusal is not None else AssertionError("unreachable: it was asked at least once")

    async def _look_again(
        self, routes: Routes, refusal: StoreUnavailable | None, here: Address | None, *, again: bool
    ) -> None:
        """Look at the topology, unless the refusal is one to be raised.

        Args:
            routes: by which it was asked.
            refusal: None where nobody was asked: nobody is known, or one who is doubted.
            here: the node that was asked, or is doubted.
            again: whether what failed on the way may be asked once more.
        """
        topology = self._topology
        cause = refusal.__cause__ if refusal is not None else None
        if refusal is None:
            await topology.refresh(routes, doubted=here)
        elif isinstance(cause, MovedError):  # whoever took the slot over knew it first
            await topology.refresh(routes, first=topology.address_of(cause, here))
        elif isinstance(cause, ResponseError) and not isinstance(cause, ClusterDownError):
            raise refusal
        elif again and cause is not None:
            await topology.refresh(routes, doubted=here)
        else:
            topology.discover_if_not_yet(routes, doubted=here)  # for those who ask next
            raise refusal

    @staticmethod
    def _serving(slot: int, routes: Routes) -> Primary:
        primary = routes[slot]
        if primary is None:
            raise StoreUnavailable(f"no node of the cluster serves slot {slot}")
        return primary

    def _doubt_if_late(self, primary: Primary, deadline: float) -> None:
        """Look whether a node that let a deadline pass still is the one to ask; not so where a request was given up."""
        if self._loop.time() >= deadline:
            self._topology.discover_if_not_yet(self._topology.routes, doubted=primary.address)

    @asynccontextmanager
    async def _until(self, deadline: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout_at(deadline):
                yield
        except TimeoutError:
            raise StoreUnavailable(f"the store did not answer within {self._timeout} seconds") from None
