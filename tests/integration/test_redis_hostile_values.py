"""Whatever stands under a session's key in Redis, through `open` and `commit`, by the definition in `hostile`."""

import hostile_strategies as examples
import pytest
from hostile import CONFIG, NOW, check_replaced, check_stored
from hostile_seeds import CORRUPT, READABLE
from hypothesis import HealthCheck, given, settings
from redis.asyncio import Redis
from visits import MakeStore

from chirp.middleware.sessions.server_side import ServerSideStore


class OnRedis:
    """A place (see `hostile.Place`) on the server of the run."""

    def __init__(self, store: ServerSideStore, client: Redis) -> None:
        self.store = store
        self._client = client

    async def plant(self, key: str, value: bytes) -> None:
        for old in await self.values():
            await self._client.delete(old)
        await self._client.set(key, value, px=60_000)

    async def values(self) -> dict[str, bytes]:
        keys = [key async for key in self._client.scan_iter(f"{self.store.key_prefix}*", count=1000)]
        found = zip(keys, await self._client.mget(keys) if keys else [], strict=True)
        return {key.decode(): value for key, value in found if value is not None}


@pytest.fixture
async def place(make_store: MakeStore, redis_client: Redis) -> OnRedis:
    return OnRedis(make_store(config=CONFIG, clock=lambda: NOW), redis_client)


@given(value=examples.stored_values)
@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])  # each example plants anew
async def test_any_stored_value_is_a_session_or_an_anonymous_one(place: OnRedis, value: bytes) -> None:
    """With every kind of handler; afterwards there is nothing outside the prefix, and nothing that cannot be read."""
    await check_stored(place, value)


@given(value=examples.stored_values)
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_value_may_take_a_sessions_place_under_way(place: OnRedis, value: bytes) -> None:
    """What was loaded is not what is there at the commit: merged where it can be, and otherwise gone."""
    await check_replaced(place, value)


@pytest.mark.parametrize("name", [*CORRUPT, *READABLE])
async def test_a_named_value_does_no_harm(place: OnRedis, name: str) -> None:
    """Too deep, too large, too long, twice, from another time, of another program."""
    await check_stored(place, {**CORRUPT, **READABLE}[name])
    await check_replaced(place, {**CORRUPT, **READABLE}[name])
