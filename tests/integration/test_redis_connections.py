"""When connections are made, how many, and when they go."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from monitor import connections_named, monitored
from redis.asyncio import Redis
from visits import MakeStore, put, read, visit

from chirp.middleware.sessions import RedisSessionStore
from chirp.middleware.sessions.session_id import mint

Connections = Callable[[], Awaitable[set[str]]]


@pytest.fixture
def name(key_prefix: str) -> str:
    return key_prefix.rstrip(":")


@pytest.fixture
def named_url(redis_url: str, name: str) -> str:
    """The server's URL, with a name under which it lists the connections of this test."""
    return f"{redis_url}?client_name={name}"


@pytest.fixture
def store(make_store: MakeStore, named_url: str) -> RedisSessionStore:
    return make_store(named_url)


@pytest.fixture
def connections(redis_client: Redis, name: str) -> Connections:
    return lambda: connections_named(redis_client, name)


async def until_none(connections: Connections) -> None:
    """Wait until the server has noticed that all connections are closed."""
    async with asyncio.timeout(5):
        while await connections():
            await asyncio.sleep(0.005)


async def test_making_a_store_connects_to_nothing(store: RedisSessionStore, connections: Connections) -> None:
    """A pool is made when it is first needed, so a store that nothing has used has no connection."""
    assert await connections() == set()


@pytest.mark.parametrize("cookie", [None, "", "short", "x" * 44, "ä" * 43, "x" * 42 + "\n", "x" * 100_000])
async def test_a_request_without_a_well_formed_cookie_connects_to_nothing(
    store: RedisSessionStore, connections: Connections, cookie: str | None
) -> None:
    """No cookie, or a malformed one, costs no connection and so no round trip."""
    await visit(store, cookie)
    assert await connections() == set()


async def test_a_malformed_cookie_is_not_looked_up_on_a_connection_that_is_there(
    store: RedisSessionStore, redis_url: str, key_prefix: str
) -> None:
    """With a connection at hand, a malformed cookie and an empty session still send nothing."""
    cookie = await put(store, a=1)
    async with monitored(redis_url, key_prefix) as monitor:
        await visit(store, "x" * 44)
        await visit(store)
        await visit(store, cookie)
        assert await monitor.names() == ["MGET"]


async def test_a_hundred_requests_at_once_share_a_few_connections(
    store: RedisSessionStore, connections: Connections
) -> None:
    """A hundred first visits and a hundred loads at the same time need a handful of connections, not hundreds."""
    cookies = await asyncio.gather(*(put(store, number=number) for number in range(100)))
    assert await asyncio.gather(*(read(store, cookie) for cookie in cookies)) == [{"number": n} for n in range(100)]
    assert 1 <= len(await connections()) <= 8


async def test_requests_one_after_another_use_one_connection(
    store: RedisSessionStore, connections: Connections
) -> None:
    """A client per operation would open a new connection each time; here the first one stays."""
    cookie = await put(store, count=0)
    first = await connections()
    for count in range(1, 20):
        await put(store, cookie, count=count)
    assert (len(first), await connections()) == (1, first)


@pytest.mark.parametrize("most", [1, 2])
async def test_max_connections_bounds_all_kinds_of_exchange(
    make_store: MakeStore, named_url: str, connections: Connections, most: int
) -> None:
    """Loads, changes, creates and ends at once wait for one another where the bound is low, and all succeed."""
    store = make_store(named_url, max_connections=most)
    cookies = await asyncio.gather(*(put(store, number=number) for number in range(20)))
    work = [
        *(visit(store, cookie, lambda session: session.update(seen=True)) for cookie in cookies[:10]),
        *(visit(store, cookie, lambda session: session.clear()) for cookie in cookies[10:]),
        *(put(store, fresh=True) for _ in range(10)),
        *(visit(store, mint()) for _ in range(10)),
    ]
    await asyncio.gather(*work)
    assert len(await connections()) == most


async def test_a_bound_in_the_url_makes_requests_wait_and_not_fail(make_store: MakeStore, named_url: str) -> None:
    """`max_connections` may also stand in the URL; what exceeds it waits."""
    store = make_store(f"{named_url}&max_connections=1")
    cookie = await put(store, a=1)
    await asyncio.gather(put(store, b=2), put(store, cookie, c=3), read(store, cookie))
    assert await read(store, cookie) == {"a": 1, "c": 3}


async def test_aclose_closes_the_stores_own_connections(store: RedisSessionStore, connections: Connections) -> None:
    """After `aclose()` the server has none of the store's connections left."""
    await put(store, a=1)
    assert await connections()
    await store.aclose()
    await until_none(connections)


async def test_a_closed_store_may_be_used_again(store: RedisSessionStore, connections: Connections) -> None:
    """`aclose()` is no end: the next request connects anew, and the next `aclose()` closes that, too."""
    cookie = await put(store, a=1)
    await store.aclose()
    assert await read(store, cookie) == {"a": 1}
    await store.aclose()
    await until_none(connections)


async def test_closing_a_store_that_was_never_used_does_nothing(
    store: RedisSessionStore, connections: Connections
) -> None:
    """`aclose()` before the first request opens nothing, and so does a second one."""
    await store.aclose()
    await store.aclose()
    assert await connections() == set()
