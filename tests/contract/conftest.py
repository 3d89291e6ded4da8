"""One suite, every store: the fixtures that make it so."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from chirp.middleware.sessions import CookieSessionStore, MemorySessionStore, RedisSessionStore, SessionConfig
from chirp.middleware.sessions.store import BuiltInStore
from chirp.testing import Browser, ManualClock

SECRET = "a-secret-of-the-tests-that-is-long-enough"

MakeStore = Callable[..., BuiltInStore]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def _made(kind: str, clock: ManualClock, request: pytest.FixtureRequest) -> AsyncIterator[MakeStore]:
    stores: list[BuiltInStore] = []

    def make(**settings: Any) -> BuiltInStore:
        config = SessionConfig(**{"secret_key": SECRET, **settings})
        store: BuiltInStore
        if kind == "redis":
            url, prefix = request.getfixturevalue("redis_url"), request.getfixturevalue("key_prefix")
            store = RedisSessionStore(config, url, prefix, clock=clock)
        elif kind == "redis cluster":
            running = request.getfixturevalue("redis_cluster")
            prefix = request.getfixturevalue("key_prefix")
            store = RedisSessionStore(config, key_prefix=prefix, client=running.client, clock=clock)
        elif kind == "memory":
            store = MemorySessionStore(config, clock=clock)
        else:
            store = CookieSessionStore(config, clock=clock)
        stores.append(store)
        return store

    yield make
    for store in stores:
        await store.aclose()


@pytest.fixture(params=["memory", "redis", "redis cluster"])
async def make_server_store(clock: ManualClock, request: pytest.FixtureRequest) -> AsyncIterator[MakeStore]:
    """Makes stores that keep documents on a server: `make(**settings)`."""
    async for make in _made(request.param, clock, request):
        yield make


@pytest.fixture(params=["memory", "redis", "redis cluster", "cookie"])
async def make_store(clock: ManualClock, request: pytest.FixtureRequest) -> AsyncIterator[MakeStore]:
    """Makes stores of every kind: `make(**settings)`."""
    async for make in _made(request.param, clock, request):
        yield make


@pytest.fixture
def server_store(make_server_store: MakeStore) -> BuiltInStore:
    return make_server_store()


@pytest.fixture
def browser(make_store: MakeStore) -> Browser:
    """A browser at a store of every kind."""
    return Browser(make_store())


@pytest.fixture
def server_browser(server_store: BuiltInStore) -> Browser:
    """A browser at a store that keeps documents on a server."""
    return Browser(server_store)
