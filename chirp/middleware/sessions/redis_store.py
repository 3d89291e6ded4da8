"""Sessions on a Redis or Valkey node or cluster: what requests ask for, batched into few round trips."""

import asyncio
import contextlib
import math
import re
import time
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from msgspec.structs import replace

from chirp.errors import ConfigurationError, StoreUnavailable
from chirp.middleware.sessions.config import SessionConfig, refusal
from chirp.middleware.sessions.directory import NextHandle
from chirp.middleware.sessions.merging import Write, Written
from chirp.middleware.sessions.metering import Nodes, metered
from chirp.middleware.sessions.per_loop import PerLoop
from chirp.middleware.sessions.session_id import HASH_DIGITS
from chirp.middleware.sessions.session_limit import LimitedStore
from chirp.middleware.sessions.steps import Create, Delete, Delist, End, Enlist, Reply, Step, Swap
from chirp.middleware.sessions.user_index import is_document_key

if TYPE_CHECKING:
    from redis.asyncio import ConnectionPool, Redis
    from redis.asyncio.cluster import RedisCluster

try:
    from chirp.middleware.sessions import redis_client, redis_cluster, redis_listening
except ImportError as _found:  # the package redis is an extra; without it the store says so when it is made
    _missing: ImportError | None = _found
else:
    _missing = None

LONGEST_PREFIX = 512


class RedisSessionStore(LimitedStore):
    """Keeps sessions in Redis (6.2 or later) or Valkey, through a pool that is made lazily for each event loop.

    Args:
        config: the settings.
        redis_url: redis://, rediss:// or unix://; the store makes and closes its own pool.
        key_prefix: what every key starts with.
        client: a `redis.asyncio.Redis` or `redis.asyncio.cluster.RedisCluster`, never closed here and good for one
            event loop; or a function without arguments that returns one, called once per event loop, whose clients
            the store closes. A `Redis` may be what redis-py's `Sentinel.master_for` returns: its sentinels are asked
            one by one, each for a share of `timeout_seconds`. Of a `RedisCluster` the store takes the settings and
            where to ask for the topology; it makes and closes connections of its own to the primaries.
        pool: a `redis.asyncio.ConnectionPool`, never closed here and good for one event loop. It may be shared.
        timeout_seconds: deadline of one step (a load, a save), from asking to the answer, retry included.
        max_connections: used at once, per event loop, to each node.
        clock: returns Unix seconds; give your own to move time in tests.

    Raises:
        ConfigurationError: not exactly one of `redis_url`, `client` and `pool`, or one that cannot work; or the
            package redis is not installed.
    """

    def __init__(
        self,
        config: SessionConfig,
        redis_url: str | None = None,
        key_prefix: str = "chirp:session:",
        *,
        client: "Redis | RedisCluster | Callable[[], Redis | RedisCluster] | None" = None,
        pool: "ConnectionPool | None" = None,
        timeout_seconds: float = 2.0,
        max_connections: int = 8,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if _missing is not None:
            raise ConfigurationError(
                "RedisSessionStore needs the package redis: pip install 'chirp-sessions[redis]'"
            ) from _missing
        _check(key_prefix, timeout_seconds, max_connections)
        super().__init__(config, key_prefix, clock=clock)
        self._timeout_seconds = timeout_seconds
        self._source = redis_client.source_of(redis_url, client, pool, max_connections=max_connections)
        if config.close_ended:
            redis_listening.check_room(self._source)
        self._nodes = PerLoop(self._make_nodes, lambda nodes: nodes.aclose())
        self._max_connections = max_connections
        self._bound_to: weakref.ref[asyncio.AbstractEventLoop] | None = None

    def __repr__(self) -> str:
        return f"<RedisSessionStore: keys {self.key_prefix}*, in use on {len(self._nodes)} event loops>"

    async def aclose(self) -> None:
        """Close the connections that this store itself made on this event loop; it may be used again afterwards."""
        await self._nodes.aclose()

    def _make_nodes(self) -> Nodes:
        loop = asyncio.get_running_loop()
        if self._source.injected:
            if self._bound_to is not None and self._bound_to() is not loop:
                raise ConfigurationError(
                    "the injected client or pool is in use on another event loop, and its connections belong there; "
                    "pass client= a function that makes one for each loop, or pass redis_url"
                )
            self._bound_to = weakref.ref(loop)
        return metered(
            redis_cluster.nodes_of(
                self._source,
                self._codec,
                self._lifetime,
                timeout_seconds=self._timeout_seconds,
                max_connections=self._max_connections,
            )
        )

    def _read(self, key: str) -> Awaitable[bytes | None]:
        return self._nodes.get().read(key)

    def _write(self, write: Write) -> Awaitable[Written]:
        return self._nodes.get().write(write)

    async def _run(self, steps: Sequence[Step]) -> list[Reply]:
        nodes = self._nodes.get()
        try:
            if len(steps) > 1 and isinstance(steps[0], Enlist):
                # In a round trip of its own: a transaction goes on after a script that was refused something, and would
                # store a session that no index knows.
                return [*await nodes.run(steps[:1]), *await nodes.run(steps[1:])]
            return await nodes.run(steps)
        except StoreUnavailable as error:
            await self._clean_up(steps, error.__cause__)
            raise

    async def _scan(self) -> AsyncGenerator[tuple[Sequence[str], float], None]:
        pattern = _literally(self.key_prefix) + "?" * HASH_DIGITS
        async with contextlib.aclosing(self._nodes.get().scan(pattern)) as found:
            async for keys, progress in found:
                yield [key for key in keys if is_document_key(key, self.key_prefix)], progress

    async def _read_all(self, keys: Sequence[str]) -> list[bytes | None]:
        return await self._nodes.get().look_up("GET", keys)

    async def _time_left(self, keys: Sequence[str]) -> list[float]:
        # The reply is -2 for a key that is not there, and -1 for one that stays.
        replies = await self._nodes.get().look_up("PTTL", keys)
        return [math.inf if reply == -1 else max(reply, 0) / 1000 for reply in replies]

    def _listen(self) -> AbstractAsyncContextManager[NextHandle]:
        return redis_listening.listening(self._source, self.ended_channel, timeout_seconds=self._timeout_seconds)

    async def _clean_up(self, steps: Sequence[Step], refusal: BaseException | None) -> None:
        """After the server refused an operation, take back what it created, and do what it can still do of an end."""
        if not isinstance(refusal, redis_client.ResponseError):
            return  # nothing is known of its fate
        undo: list[Step] = [Delete(step.key) for step in steps[:-1] if isinstance(step, Create | Swap)]
        undo += [Delist(step.key, (step.member,)) for step in steps[:-1] if isinstance(step, Enlist)]
        if isinstance(refusal, redis_client.OutOfMemoryError):
            # A tombstone needs memory, and a logout must not wait for it.
            undo += [replace(step, grace_ms=0) for step in steps if isinstance(step, End) and step.grace_ms]
        for step in undo:
            with contextlib.suppress(StoreUnavailable):
                await self._nodes.get().run([step])


def _literally(text: str) -> str:
    """Return a pattern of SCAN that matches the text itself."""
    return re.sub(r"([\\*?\[\]])", r"\\\1", text)


def _check(key_prefix: str, timeout_seconds: float, max_connections: int) -> None:
    if (
        not isinstance(key_prefix, str)
        or not key_prefix
        or len(key_prefix) > LONGEST_PREFIX
        or not key_prefix.isprintable()
    ):
        raise refusal(
            "key_prefix", key_prefix, f"must be 1 to {LONGEST_PREFIX} printable characters, such as 'myapp:session:'"
        )
    if (
        isinstance(timeout_seconds, bool)
        or not isinstance(timeout_seconds, int | float)
        or not 0 < timeout_seconds <= 60
    ):
        raise refusal("timeout_seconds", timeout_seconds, "must be more than 0 and at most 60 seconds")
    if isinstance(max_connections, bool) or not isinstance(max_connections, int) or not 1 <= max_connections <= 1000:
        raise refusal("max_connections", max_connections, "must be from 1 to 1000")
