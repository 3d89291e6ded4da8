"""This package's store, and one pooled client, on a Redis Cluster."""

from typing import Any

from redis.asyncio import RedisCluster

from benchmarks.contenders.chirp_store import ChirpStore
from benchmarks.contenders.pooled_client import MOST_CONNECTIONS, PooledClient
from chirp.middleware.sessions import RedisSessionStore


class ChirpStoreOnCluster(ChirpStore):
    name = "chirp store"
    description = (
        "RedisSessionStore(config, client=lambda: RedisCluster(...)): store.load(request), and "
        "store.save(response, session) to change"
    )

    def _make_store(self) -> RedisSessionStore:
        return RedisSessionStore(
            self._config, client=lambda: RedisCluster.from_url(self.redis_url), key_prefix=self.key_prefix
        )


class PooledClientOnCluster(PooledClient):
    name = "pooled client"
    description = (
        "one redis.asyncio RedisCluster with max_connections above the tasks, else with redis-py's settings: "
        "await get(key) and json.loads, and to change json.dumps and await set(key, value, ex=86400)"
    )

    def _make_client(self) -> Any:
        return RedisCluster.from_url(self.redis_url, max_connections=MOST_CONNECTIONS)

    async def _store_all(self, values: dict[str, bytes]) -> None:
        for key, value in values.items():
            await self._set(key, value)
