"""A new client, and with it a new connection, for each load and each save: what a naive store does."""

from typing import Any

from redis.asyncio import Redis

from benchmarks.contenders.plain_store import MAX_AGE, PlainStore


class ClientPerOperation(PlainStore):
    name = "client per operation"
    description = (
        "a redis.asyncio client with redis-py's settings made and closed for each get and for each set; "
        "JSON as the pooled client does it; fewer operations are measured, since each costs so much"
    )
    most_operations = 100

    async def _get(self, key: str) -> Any:
        async with Redis.from_url(self.redis_url) as client:
            return await client.get(key)

    async def _set(self, key: str, value: bytes) -> None:
        async with Redis.from_url(self.redis_url) as client:
            await client.set(key, value, ex=MAX_AGE)
