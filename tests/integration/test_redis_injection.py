"""What an app may give a store to reach Redis with, and what is refused at construction."""

import asyncio
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from servers import OwnServer
from visits import CONFIG, MakeStore, live, put, read

from chirp.errors import ConfigurationError
from chirp.middleware.sessions import RedisSessionStore


@pytest.mark.parametrize("decode_responses", [False, True])
@pytest.mark.parametrize("protocol", [2, 3])
async def test_a_client_with_any_reply_settings_works(
    make_store: MakeStore, redis_url: str, decode_responses: bool, protocol: int
) -> None:
    """Replies are read as raw bytes, whatever protocol the client speaks and whether it decodes."""
    async with Redis.from_url(redis_url, decode_responses=decode_responses, protocol=protocol) as client:
        await live(make_store(client=client))


async def test_a_url_may_carry_settings_of_the_client(make_store: MakeStore, redis_url: str) -> None:
    """Options in the URL win over the store's own and do no harm either."""
    await live(make_store(f"{redis_url}?decode_responses=true&protocol=3&health_check_interval=1"))


async def test_two_stores_share_one_pool(make_store: MakeStore, redis_url: str) -> None:
    """A pool with a single connection serves two stores, one after the other."""
    async with ConnectionPool.from_url(redis_url, max_connections=1) as pool:
        await live(make_store(pool=pool))
        await live(make_store(pool=pool))


async def test_two_stores_use_a_shared_blocking_pool_at_once(make_store: MakeStore, redis_url: str) -> None:
    """Where the pool itself waits for a free connection, stores that share a small one all get their turn."""
    async with BlockingConnectionPool.from_url(redis_url, max_connections=2, timeout=5) as pool:
        await asyncio.gather(*(live(make_store(pool=pool)) for _ in range(4)))


async def test_loads_and_changes_at_once_wait_for_a_small_pool(make_store: MakeStore, redis_url: str) -> None:
    """A store asks a pool for no more connections than the pool may have."""
    async with ConnectionPool.from_url(redis_url, max_connections=1) as pool:
        store = make_store(pool=pool)
        cookie = await put(store, a=1)
        await asyncio.gather(read(store, cookie), put(store, cookie, b=2), put(store, c=3))
        assert await read(store, cookie) == {"a": 1, "b": 2}


async def test_a_pool_that_is_busy_for_a_moment_is_waited_for(make_store: MakeStore, redis_url: str) -> None:
    """A connection that the app gives back within the deadline is waited for."""
    async with ConnectionPool.from_url(redis_url, max_connections=1) as pool:
        store = make_store(pool=pool)
        cookie = await put(store, a=1)
        borrowed = await pool.get_connection()
        load = asyncio.create_task(read(store, cookie))
        done, _ = await asyncio.wait([load], timeout=0.1)
        await pool.release(borrowed)
        assert not done
        assert await load == {"a": 1}


async def test_an_injected_client_is_not_closed(make_store: MakeStore, redis_client: Redis) -> None:
    """After `aclose()` of the store the client still has its open connections."""
    store = make_store(client=redis_client)
    cookie = await put(store, a=1)
    number = await redis_client.client_id()
    await store.aclose()
    assert await redis_client.client_id() == number
    assert await read(store, cookie) == {"a": 1}


async def test_an_injected_pool_is_not_closed(make_store: MakeStore, redis_url: str) -> None:
    """After `aclose()` of one store the other goes on with the connections of the pool they share."""
    async with ConnectionPool.from_url(redis_url) as pool:
        first, second = make_store(pool=pool), make_store(pool=pool)
        cookie = await put(first, a=1)
        number = await Redis(connection_pool=pool).client_id()
        await first.aclose()
        assert await read(second, cookie) == {"a": 1}
        assert await Redis(connection_pool=pool).client_id() == number


async def test_connections_of_an_injected_pool_go_back_after_every_step(make_store: MakeStore, redis_url: str) -> None:
    """The app that shares its pool finds it free between requests."""
    async with ConnectionPool.from_url(redis_url, max_connections=1) as pool:
        await put(make_store(pool=pool), a=1)
        assert await Redis(connection_pool=pool).echo("free") == b"free"


def test_a_factory_is_called_once_for_each_loop(redis_url: str, key_prefix: str) -> None:
    """A function makes the client; a second loop gets a client of its own and the sessions of the first."""
    made: list[Redis] = []

    def make() -> Redis:
        made.append(Redis.from_url(redis_url))
        return made[-1]

    store = RedisSessionStore(CONFIG, key_prefix=key_prefix, client=make)
    assert made == []
    cookie = asyncio.run(put(store, a=1))
    assert asyncio.run(put(store, cookie, b=2)) == cookie
    assert len(made) == 2


async def test_a_factorys_client_is_closed_by_the_store(make_store: MakeStore, redis_url: str) -> None:
    """What the store had made for itself it closes itself."""
    async with Redis.from_url(redis_url) as client:
        store = make_store(client=lambda: client)
        await put(store, a=1)
        number = await client.client_id()
        await store.aclose()
        assert await client.client_id() != number


async def test_a_factory_that_makes_something_else_is_told(make_store: MakeStore) -> None:
    """What a factory returns is checked when it is first called."""
    with pytest.raises(ConfigurationError, match=r"client is a builtins\.str"):
        await put(make_store(client=lambda: "redis"), a=1)


@pytest.mark.parametrize("kind", ["client", "pool"])
def test_an_injected_client_on_a_second_loop_is_told_clearly(redis_url: str, key_prefix: str, kind: str) -> None:
    """Connections belong to their loop, so that one object for two loops is an error with the remedy in it."""
    client = Redis.from_url(redis_url)
    given: dict[str, Any] = {"client": client} if kind == "client" else {"pool": client.connection_pool}
    store = RedisSessionStore(CONFIG, key_prefix=key_prefix, **given)

    async def use_and_close() -> str:
        async with client:
            return await put(store, a=1)

    cookie = asyncio.run(use_and_close())
    with pytest.raises(ConfigurationError, match=r"another event loop.*function"):
        asyncio.run(read(store, cookie))


WRONG: dict[str, Callable[[], dict[str, Any]]] = {
    "nothing": dict,
    "a URL and a client": lambda: {"redis_url": "redis://localhost", "client": Redis()},
    "a client and a pool": lambda: {"client": Redis(), "pool": ConnectionPool()},
    "a synchronous client": lambda: {"client": redis.Redis()},
    "a class": lambda: {"client": Redis},
    "an object": lambda: {"client": object()},
    "a URL as client": lambda: {"client": "redis://localhost"},
    "a pool as client": lambda: {"client": ConnectionPool()},
    "a client as pool": lambda: {"pool": Redis()},
    "a synchronous pool": lambda: {"pool": redis.ConnectionPool()},
    "a pool factory": lambda: {"pool": ConnectionPool},
    "bytes as URL": lambda: {"redis_url": b"redis://localhost"},
    "a port as URL": lambda: {"redis_url": 6379},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_work_is_refused_at_construction(wrong: str) -> None:
    """Nothing, too much, or the wrong kind: a ConfigurationError, and no connection is tried."""
    with pytest.raises(ConfigurationError):
        RedisSessionStore(CONFIG, **WRONG[wrong]())


@pytest.mark.parametrize(
    "url",
    [
        "redis://:s3cret@localhost:many/0",
        "redis://:s3cret@localhost:99999/0",
        "redis://user:s3cret@[::1/0",
        "http://user:s3cret@localhost/0",
        "user:s3cret@localhost:6379",
        "redis://:s3cret@localhost/0?socket_timeout=soon",
        "redis://:s3cret@localhost/0?no_such_option=1",
        "redis://:s3cret@localhost/0?max_connections=-1",
        "redis://localhost/0?password=s3cret&db=first",
        "",
    ],
)
def test_a_url_that_cannot_work_is_refused_without_showing_its_password(url: str) -> None:
    """A wrong URL fails at construction, and the whole traceback as it is printed holds no password."""
    with pytest.raises(ConfigurationError, match="redis_url") as raised:
        RedisSessionStore(CONFIG, url)
    printed = "".join(traceback.format_exception_only(raised.value)) + repr(raised.value.__cause__)
    assert "s3cret" not in printed


def test_the_repr_of_a_store_shows_no_password(key_prefix: str) -> None:
    """The URL's password stays out of the store's repr."""
    assert "s3cret" not in repr(RedisSessionStore(CONFIG, "redis://:s3cret@localhost", key_prefix))


async def test_a_unix_socket_works(make_store: MakeStore, own_server: Callable[..., OwnServer], tmp_path: Path) -> None:
    """A unix:// URL reaches the server through its socket."""
    path = tmp_path / "s"
    own_server("--unixsocket", str(path))
    await live(make_store(f"unix://{path}"))


@pytest.mark.parametrize("option", [{"key_prefix": ""}, {"key_prefix": "a\nb"}, {"key_prefix": "x" * 513}])
@pytest.mark.parametrize("more", [{}, {"timeout_seconds": 1}])
def test_a_key_prefix_that_cannot_work_is_refused(option: dict[str, Any], more: dict[str, Any]) -> None:
    """An empty, unprintable or oversized prefix is refused, naming the setting."""
    with pytest.raises(ConfigurationError, match="key_prefix="):
        RedisSessionStore(CONFIG, "redis://localhost", **option, **more)


@pytest.mark.parametrize(
    "option",
    [{"timeout_seconds": value} for value in (0, -1, 61, True, "2", float("nan"), float("inf"))]
    + [{"max_connections": value} for value in (0, -1, 1001, True, 2.5, "8")],
    ids=str,
)
def test_a_limit_that_cannot_work_is_refused(option: dict[str, Any]) -> None:
    """A deadline or a bound out of range or of a wrong type is refused, naming the setting and its limits."""
    with pytest.raises(ConfigurationError, match=f"{next(iter(option))}=.*must be"):
        RedisSessionStore(CONFIG, "redis://localhost", **option)
