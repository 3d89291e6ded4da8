"""One `redis.asyncio` client with its pool, and one command per operation."""

from typing import Any

from redis.asyncio import Redis

from benchmarks.contenders.plain_store import MAX_AGE, PlainStore
from benchmarks.sessions import PAYLOAD_BYTES, compact_json

MOST_CONNECTIONS = 10_000  # redis-py's own limit of 100 would refuse the 101st task


class PooledClient(PlainStore):
    name = "pooled client"
    description = (
        "one redis.asyncio client with max_connections above the tasks, else with redis-py's settings: await get(key) "
        "and json.loads, and to change json.dumps and await set(key, value, ex=86400)"
    )

    def __init__(self, redis_url: str, key_prefix: str, payload_bytes: int = PAYLOAD_BYTES) -> None:
        super().__init__(redis_url, key_prefix, payload_bytes)
        self._client = self._make_client()

    def _make_client(self) -> Any:
        return Redis.from_url(self.redis_url, max_connections=MOST_CONNECTIONS)

    async def _get(self, key: str) -> Any:
        return await self._client.get(key)

    async def _set(self, key: str, value: bytes) -> None:
        await self._client.set(key, value, ex=MAX_AGE)

    async def close(self) -> None:
        await self._client.aclose()


class BareGet(PooledClient):
    name = "bare GET"
    description = (
        "the pooled client's await get(key) and nothing else: no request, no cookie, no json.loads; a change is the "
        "pooled client's"
    )

    async def begin(self, sessions: int) -> None:
        await super().begin(sessions)
        self._keys = [self._key(task) for task in range(sessions)]

    async def read(self, task: int) -> bytes:
        value: bytes = await self._client.get(self._keys[task])
        return value

    async def change(self, task: int) -> bytes:
        _, value = await self._change(task)
        return value

    def seen(self, session: dict[str, Any]) -> bytes:
        return compact_json(session)
