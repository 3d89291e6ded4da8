"""Sites that move from another library to this package."""

from collections.abc import AsyncIterator

import pytest
from migration_kit import MakeMove, Move
from redis.asyncio import Redis


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
