"""One `redis.asyncio` client with its pool, and one command per operation."""

from typing import Any

from redis.asyncio import Redis

from benchmarks.contenders.plain_store import MAX_AGE, PlainStore

MOST_CONNECTIONS = 10_000  # redis-py's own limit of 100 would refuse the 101st task


class PooledClient(PlainStore):
    name = "pooled client"
    description = (
        "one redis.asyncio client with max_connections above the tasks, else with redis-py's settings: await get(key) "
        "and json.loads, and to change json.dumps and await set(key, value, ex=86400)"
    )

    def __init__(self, redis_url: str, key_prefix: str) -> None:
        super().__init__(redis_url, key_prefix)
        self._client = Redis.from_url(redis_url, max_connections=MOST_CONNECTIONS)

    async def _get(self, key: str) -> Any:
        return await self._client.get(key)

    async def _set(self, key: str, value: bytes) -> None:
        await self._client.set(key, value, ex=MAX_AGE)

    async def close(self) -> None:
        await self._client.aclose()
