"""Connections to Redis: the pool of an event loop, who owns it, and one exchange of commands for raw replies.

Only this module, `redis_wire`, `redis_sentinel`, `redis_topology` and `redis_cluster` know redis-py. Deadlines and
retries are not its business: whoever calls `exchange` cancels it, and is told whether anything was sent.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.connection import AbstractConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    MaxConnectionsError,
    NoScriptError,
    OutOfMemoryError,
    RedisError,
    ResponseError,
)

from chirp.errors import ConfigurationError
from chirp.middleware.sessions.redis_sentinel import SentinelConnectionPool, close_sentinels
from chirp.middleware.sessions.redis_wire import Command, Read, Wire, is_lost, wire_over

__all__ = [
    "Link",
    "NoScriptError",
    "NotSent",
    "OutOfMemoryError",
    "ResponseError",
    "SentInVain",
    "source_of",
]

BUSY_POOL_SECONDS = 0.005
CLOSING_SECONDS = 0.5  # for the good-bye of TLS, which a server that hangs does not answer

T = TypeVar("T")


class NotSent(Exception):
    """Nothing reached the server, so anything may be tried again. The cause is chained."""


class SentInVain(Exception):
    """The command was sent and the reply did not come: it may or may not have happened. The cause is chained."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where an event loop's pool, or its client of a cluster, comes from.

    Attributes:
        make: returns it for the running event loop.
        owned: whether the store closes it.
        injected: one object for one loop, so that a second loop must be refused.
    """

    make: Callable[[], ConnectionPool | RedisCluster]
    owned: bool
    injected: bool


def source_of(redis_url: str | None, client: Any, pool: Any, *, max_connections: int) -> Source:
    """Check what the app gave to reach Redis with.

    Raises:
        ConfigurationError: none or several of the three, or something that cannot work.
    """
    given = [
        name for name, value in (("redis_url", redis_url), ("client", client), ("pool", pool)) if value is not None
    ]
    if len(given) != 1:
        raise ConfigurationError(f"RedisSessionStore needs one of redis_url, client and pool; got {given or 'none'}")
    if redis_url is not None:
        return Source(_pool_maker(redis_url, max_connections), owned=True, injected=False)
    if pool is not None:
        if not isinstance(pool, ConnectionPool):
            raise ConfigurationError(f"pool is a {_kind(pool)}: must be a redis.asyncio.ConnectionPool")
        return Source(lambda: pool, owned=False, injected=True)
    if isinstance(client, type) or not callable(client):
        own = _way_of(client)
        return Source(lambda: own, owned=False, injected=True)
    return Source(lambda: _way_of(client()), owned=True, injected=False)


def _way_of(client: Any) -> ConnectionPool | RedisCluster:
    if isinstance(client, RedisCluster):
        return client
    if not isinstance(client, Redis):
        raise ConfigurationError(
            f"client is a {_kind(client)}: must be a redis.asyncio.Redis or RedisCluster, or a function that makes one"
        )
    found: ConnectionPool = client.connection_pool
    return found


def _kind(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _pool_maker(url: str, max_connections: int) -> Callable[[], ConnectionPool]:
    """Return what makes the store's own pool; the URL is tried now, so that a wrong one fails at construction."""

    def make() -> ConnectionPool:
        return ConnectionPool.from_url(
            url,
            max_connections=max_connections,
            protocol=2,  # no greeting to negotiate; replies are the same for the few commands used
            socket_timeout=None,  # the batcher has one deadline for everything; a timer per command costs more than it
            socket_connect_timeout=None,
            retry=Retry(NoBackoff(), 0),
        )

    if not isinstance(url, str):
        raise ConfigurationError(f"redis_url is a {_kind(url)}: must be text such as redis://localhost:6379/0")
    try:
        parse_url(url)
        make().make_connection()  # type: ignore[no-untyped-call]
    except Exception as error:  # noqa: BLE001 - whatever redis-py and its URL parser raise
        # The URL may hold a password, and so may the parser's message.
        raise ConfigurationError(
            "redis_url cannot be used: it must be redis://[user:password@]host[:port][/db], rediss://... or "
            f"unix://[user:password@]/path.sock[?db=n], with options that redis-py knows ({type(error).__name__})"
        ) from None
    return make


class Link:
    """An event loop's way to one Redis node.

    Own connections are held between exchanges, which saves the pool's bookkeeping; those of an injected pool go back
    every time, since others share them.

    Args:
        pool: where connections come from.
        max_connections: used at once; what exceeds that waits.
        owned: whether nobody else uses the pool, and `aclose()` closes it.
    """

    def __init__(self, pool: ConnectionPool, max_connections: int, *, owned: bool) -> None:
        self._pool = pool
        self._owned = owned
        self._places = asyncio.Semaphore(min(max_connections, self._pool.max_connections))
        self._held: list[Wire] = []
        self._closed = False

    def __repr__(self) -> str:
        return f"<Link: {'own' if self._owned else 'injected'} pool, {len(self._held)} connections held>"

    async def exchange(self, commands: Sequence[Command], read: Read[T]) -> T:
        """Send commands in one write, and return what `read` makes of their replies.

        Args:
            commands: each has one reply: raw bytes whatever the client's settings, or a `ResponseError` object where
                the server refused it.
            read: is called as soon as the replies are there, before whoever awaits this has its turn. What it raises
                is raised here.

        Raises:
            NotSent: no connection could be had.
            SentInVain: the connection failed afterwards.
        """
        # Few coroutines inside one another: a request that is alone feels each of them.
        await self._places.acquire()
        wire: Wire | None = None
        try:
            if self._held and self._held[-1].ready:
                wire = self._held.pop()
            else:
                wire = await self._connect()
            return await wire.exchange(commands, read)
        except (RedisError, OSError) as error:
            raise (NotSent if wire is None else SentInVain) from error
        finally:
            try:
                if wire is not None and wire.intact and self._owned and not self._closed:
                    self._held.append(wire)
                elif wire is not None:
                    await self._put_back(wire)
            finally:
                self._places.release()

    async def _connect(self) -> Wire:
        """Return a wire over a connection that is ready: one that was held, if there is one."""
        held = self._held.pop() if self._held else None
        connection = await self._take_from_pool() if held is None else held.connection
        try:
            if held is not None:
                await held.hand_back()
                await self._pool.ensure_connection(connection)  # connects anew if the server has closed it meanwhile
            if is_lost(connection):
                await connection.disconnect(nowait=True)
                await self._pool.ensure_connection(connection)
            return wire_over(connection, owned=self._owned)
        except BaseException:
            await self._pool.release(connection)
            raise

    async def _take_from_pool(self) -> AbstractConnection:
        while True:
            try:
                connection: AbstractConnection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
            except MaxConnectionsError:
                await asyncio.sleep(BUSY_POOL_SECONDS)  # others share an injected pool; the caller's deadline ends this
            else:
                return connection

    async def _put_back(self, wire: Wire) -> None:
        try:
            # After a failover the old primary refuses writes for good; a new connection finds the new one.
            if not wire.intact:
                await self._drop(wire)
        finally:
            if self._owned and not self._closed:
                self._held.append(wire)
            else:
                if self._owned:  # so the store was closed meanwhile
                    await wire.close()
                await self._pool.release(wire.connection)

    async def _drop(self, wire: Wire) -> None:
        """Close it, and the idle ones with it: what broke this one has probably broken them all.

        They connect anew when they are next used.
        """
        for each in (wire, *self._held):
            await each.close()

    async def aclose(self) -> None:
        """Close the pool, unless it was injected. What is under way ends with an error, and nothing new begins."""
        self._closed = True
        if self._owned:
            held, self._held = self._held, []
            try:
                async with asyncio.timeout(CLOSING_SECONDS):
                    await self._pool.aclose()
            except TimeoutError:
                for wire in held:
                    await wire.close()
            if isinstance(self._pool, SentinelConnectionPool):
                await close_sentinels(self._pool)
