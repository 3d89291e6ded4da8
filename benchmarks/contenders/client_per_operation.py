"""A new client, and with it a new connection, for each load and each save: what a naive store does."""

from typing import Any

from redis.asyncio import Redis

from benchmarks.contenders.plain_store import MAX_AGE, PlainStore


class ClientPerOperation(PlainStore):
    name = "client per operation"
    description = (
        "a redis.asyncio client with redis-py's settings, made and closed for each load and for each save: "
        "get(key) and json.loads; json.dumps and a pipeline() of set(key, value) and expire(key, 86400). "
        "Fewer operations are measured, since each costs so much"
    )
    most_operations = 100

    async def _get(self, key: str) -> Any:
        async with Redis.from_url(self.redis_url) as client:
            return await client.get(key)

    async def _set(self, key: str, value: bytes) -> None:
        async with Redis.from_url(self.redis_url) as client, client.pipeline() as commands:
            commands.set(key, value)
            commands.expire(key, MAX_AGE)
            await commands.execute()
