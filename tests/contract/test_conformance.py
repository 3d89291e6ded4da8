"""The conformance suite that stores of others can run, run here against every built-in one."""

from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from benchmarks.cluster import RunningCluster
from chirp.middleware.sessions import CookieSessionStore, MemorySessionStore, RedisSessionStore, SessionConfig
from chirp.testing import StoreConformance


class TestMemory(StoreConformance):
    def make_store(self, config: SessionConfig, clock: Callable[[], float]) -> Any:
        return MemorySessionStore(config, clock=clock)


class TestCookie(StoreConformance):
    """What a signed cookie cannot do is switched off, and nothing else."""

    ends_on_server: ClassVar[bool] = False
    merges: ClassVar[bool] = False

    def make_store(self, config: SessionConfig, clock: Callable[[], float]) -> Any:
        return CookieSessionStore(config, clock=clock)


class TestRedis(StoreConformance):
    @pytest.fixture(autouse=True)
    def server(self, redis_url: str, key_prefix: str) -> None:
        self.url, self.prefix = redis_url, key_prefix

    def make_store(self, config: SessionConfig, clock: Callable[[], float]) -> Any:
        return RedisSessionStore(config, self.url, self.prefix, clock=clock)


class TestRedisCluster(StoreConformance):
    @pytest.fixture(autouse=True)
    def nodes(self, redis_cluster: RunningCluster, key_prefix: str) -> None:
        self.running, self.prefix = redis_cluster, key_prefix

    async def make_store(self, config: SessionConfig, clock: Callable[[], float]) -> Any:
        return RedisSessionStore(config, key_prefix=self.prefix, client=self.running.client, clock=clock)
