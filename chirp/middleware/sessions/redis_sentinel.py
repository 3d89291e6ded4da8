"""Where the primary is that Redis Sentinel watches, found within a store's deadline.

redis-py asks the sentinels in the order the app has given them, and goes on to the next one when the first has failed,
retries and timeouts of several seconds included. A store gives up earlier, so a first sentinel that hangs or is gone
would keep it from ever asking the second.
"""

import asyncio
import copy
from typing import Any

from redis.asyncio.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool
from redis.exceptions import RedisError

__all__ = ["SentinelConnectionPool", "close_sentinels", "find_primary_within"]


class PromptSentinel(Sentinel):
    """Another redis-py `Sentinel`, with its clients and settings, that gives each sentinel a share of the time.

    Args:
        given: the app's.
        seconds: in which a primary is to be found, and connected to.
    """

    def __init__(self, given: Sentinel, seconds: float) -> None:
        vars(self).update(vars(given))
        self._one_by_one = [_alone(given, client) for client in given.sentinels]
        self._share = seconds / (len(given.sentinels) + 1)  # one is left to connect to the primary

    async def discover_master(self, service_name: str) -> Any:
        """Return the address of the primary.

        Raises:
            MasterNotFoundError: no sentinel names one.
        """
        failure: Exception | None = None
        for sentinel in tuple(self._one_by_one):
            try:
                async with asyncio.timeout(self._share):
                    return await sentinel.discover_master(service_name)
            except (RedisError, OSError, TimeoutError) as error:
                failure = error
                self._ask_last(sentinel)
        asked = len(self._one_by_one)
        raise MasterNotFoundError(f"none of {asked} sentinels names a primary of {service_name!r}") from failure

    def _ask_last(self, sentinel: Sentinel) -> None:
        self._one_by_one.remove(sentinel)
        self._one_by_one.append(sentinel)


def _alone(given: Sentinel, client: Any) -> Sentinel:
    one = copy.copy(given)
    one.sentinels = [client]
    return one


def find_primary_within(pool: SentinelConnectionPool, seconds: float) -> None:
    """See to it that the pool asks its sentinels within so many seconds, whatever their clients' settings."""
    if not isinstance(pool.sentinel_manager, PromptSentinel):  # two stores may share a pool
        pool.sentinel_manager = PromptSentinel(pool.sentinel_manager, seconds)


async def close_sentinels(pool: SentinelConnectionPool) -> None:
    """Close the connections to the sentinels; to close the pool closes those to the servers only."""
    for client in pool.sentinel_manager.sentinels:
        await client.connection_pool.disconnect()
