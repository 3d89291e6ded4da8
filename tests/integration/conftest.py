"""Stores on the real server of the run, and a server of a test's own."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from demo_site import RunningDemo, Visitor, running_demo, visiting
from servers import OwnServer
from visits import CONFIG, MakeStore

from chirp.errors import ChirpError
from chirp.middleware.sessions import RedisSessionStore, SessionConfig


@pytest.fixture
async def make_store(redis_url: str, key_prefix: str) -> AsyncIterator[MakeStore]:
    stores: list[RedisSessionStore] = []

    def make(url: str | None = None, config: SessionConfig = CONFIG, **options: Any) -> RedisSessionStore:
        if "client" not in options and "pool" not in options:
            options["redis_url"] = url or redis_url
        stores.append(RedisSessionStore(config, key_prefix=key_prefix, **options))
        return stores[-1]

    yield make
    for store in stores:
        await store.aclose()


@pytest.fixture
def store(make_store: MakeStore) -> RedisSessionStore:
    return make_store()


@pytest.fixture
def server(own_server: Callable[..., OwnServer]) -> Iterator[OwnServer]:
    """A server that nobody else uses: it may be frozen, filled, configured and killed."""
    server = own_server()
    yield server
    with suppress(ChirpError):  # the test has ended it
        server.kill()  # by itself it takes a tenth of a second, and it has nothing to save


@pytest.fixture(scope="module")
def demo(redis_url: str) -> Iterator[RunningDemo]:
    """`chirp demo` on the server of the run, for all tests of a file."""
    with running_demo("--redis", redis_url) as running:
        yield running


@pytest.fixture
def visitor(demo: RunningDemo, redis_url: str) -> Iterator[Visitor]:
    """A browser at the demo."""
    with visiting(demo, redis_url) as client:
        yield client
