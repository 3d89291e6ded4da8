"""A connection to Redis on which messages arrive: one channel, one event loop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

from redis.asyncio import ConnectionPool
from redis.asyncio.client import PubSub
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import RedisError

from chirp.errors import ConfigurationError, StoreUnavailable
from chirp.middleware.sessions.redis_client import Source
from chirp.middleware.sessions.redis_node import unavailable
from chirp.middleware.sessions.redis_sentinel import SentinelConnectionPool, close_sentinels, find_primary_within
from chirp.middleware.sessions.redis_topology import pool_of_a_node

NextMessage: TypeAlias = Callable[[float], Awaitable[str | None]]


def check_room(source: Source) -> None:
    """Check that requests have connections left while one is kept for listening.

    Raises:
        ConfigurationError: they would wait for the only one until their deadline, each of them.
    """
    if source.injected:
        given = source.make()
        if isinstance(given, ConnectionPool) and given.max_connections < 2:
            raise ConfigurationError(
                f"the injected pool has max_connections={given.max_connections}: close_ended keeps one connection for "
                "listening; let the pool have 2 or more"
            )


@asynccontextmanager
async def listening(source: Source, channel: str, *, timeout_seconds: float) -> AsyncIterator[NextMessage]:
    """Listen to a channel, from when it is entered.

    Args:
        source: where connections come from; one is taken for as long as this lasts. An own one is made for it alone.
        channel: its name.
        timeout_seconds: in which the server has to answer.

    Yields:
        What waits so many seconds for the next message; None if there was none.

    Raises:
        StoreUnavailable: nobody can be listened to, or not any more; also from what is yielded.
    """
    made = source.make()
    pool = await _pool_of_any_node(made, timeout_seconds) if isinstance(made, RedisCluster) else made
    if isinstance(pool, SentinelConnectionPool):
        find_primary_within(pool, timeout_seconds)
    pubsub = PubSub(pool)

    async def next_message(seconds: float) -> str | None:
        try:
            async with asyncio.timeout(seconds + timeout_seconds):  # an injected client may connect anew
                message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=seconds)
        except UnicodeDecodeError:  # no text, so no handle
            return None
        except TimeoutError:
            raise _no_answer(timeout_seconds) from None
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        return None if message is None else _text(message["data"])

    try:
        await _subscribe(pubsub, channel, timeout_seconds)
        yield next_message
    finally:
        await _close(pubsub, timeout_seconds)
        if pool is not made:
            await pool.aclose()
        if source.owned:
            await made.aclose()
            if isinstance(made, SentinelConnectionPool):
                await close_sentinels(made)


async def _subscribe(pubsub: PubSub, channel: str, timeout_seconds: float) -> None:
    try:
        async with asyncio.timeout(timeout_seconds):
            await pubsub.subscribe(channel)
            while await pubsub.get_message(timeout=timeout_seconds) is None:
                pass
    except TimeoutError:
        raise _no_answer(timeout_seconds) from None
    except (RedisError, OSError) as error:
        raise unavailable(error) from error


async def _close(pubsub: PubSub, timeout_seconds: float) -> None:
    try:
        async with asyncio.timeout(timeout_seconds):
            await pubsub.aclose()  # type: ignore[no-untyped-call]
    except (TimeoutError, RedisError, OSError):
        return  # it was broken; there is nothing to say good-bye to


async def _pool_of_any_node(client: RedisCluster, timeout_seconds: float) -> ConnectionPool:
    """Return a pool for the first node that answers; every node of a cluster tells of every message.

    Raises:
        StoreUnavailable: none does.
    """
    failure: Exception | None = None
    nodes = list(client.nodes_manager.startup_nodes.values())
    for node in nodes:
        pool = pool_of_a_node(client, (node.host, int(node.port)), 1)
        try:
            async with asyncio.timeout(timeout_seconds / len(nodes)):
                await pool.release(await pool.get_connection())  # type: ignore[no-untyped-call]
        except (TimeoutError, RedisError, OSError) as error:
            failure = error
            await pool.aclose()
        else:
            return pool
    raise unavailable(failure)


def _no_answer(timeout_seconds: float) -> StoreUnavailable:
    return StoreUnavailable(f"the store did not answer within {timeout_seconds} seconds")


def _text(data: bytes | str) -> str:
    return data.decode("utf-8", "replace") if isinstance(data, bytes) else data
