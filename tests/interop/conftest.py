"""The stores that a library has to get along with, and sites that move from one to this package."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from migration_kit import MakeMove, Move
from redis.asyncio import Redis
from visits import CONFIG

from chirp import MemorySessionStore, RedisSessionStore, SessionConfig


@pytest.fixture(params=["cookie", "memory", "redis"])
def each_config(request: pytest.FixtureRequest, redis_url: str, key_prefix: str) -> SessionConfig:
    """The settings of an app with each of the stores; the app's end closes it."""
    match request.param:
        case "cookie":
            return CONFIG
        case "memory":
            return replace(CONFIG, store=MemorySessionStore(CONFIG))
        case _:
            return replace(CONFIG, store=RedisSessionStore(CONFIG, redis_url, key_prefix=key_prefix))


@pytest.fixture
async def move(redis_client: Redis, redis_url: str, key_prefix: str) -> AsyncIterator[MakeMove]:
    """Make sites that have the app of a predecessor, to be migrated by the test."""
    made: list[Move] = []

    def make(kind: str) -> Move:
        made.append(Move(kind, redis_client, redis_url, key_prefix))
        return made[-1]

    yield make
    for each in made:
        await each.client.aclose()
        if each.store is not None:
            await each.store.aclose()
