"""Redis Sentinel for real: a primary and its replica, which sentinels fail over when it is killed, or when told."""

import asyncio
import gc
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from load import Load
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.sentinel import Sentinel
from servers import OwnServer, program_on_path
from visits import CONFIG, MakeStore, live, put, read

from benchmarks.sentinel import NAME, Watched, watched
from benchmarks.waiting import wait_for
from chirp.errors import StoreUnavailable
from chirp.middleware.sessions import RedisSessionStore

TIMEOUT = 2.0  # the store's default
SPARE = 2.0  # that a busy machine may add

Hurt = Callable[[OwnServer], None]


@pytest.fixture
def group() -> Iterator[Watched]:
    with watched(binary=program_on_path()) as started:
        yield started


@pytest.fixture
def store(make_store: MakeStore, group: Watched) -> RedisSessionStore:
    return make_store(client=group.client)


@asynccontextmanager
async def given(group: Watched, *, injected: bool, **settings: Any) -> AsyncIterator[Any]:
    """Give what an app passes as `client`: its own one, closed afterwards as apps have to, or a function."""
    if not injected:
        yield partial(group.client, **settings)
        return
    async with group.client(**settings) as client:
        yield client
        for sentinel in client.connection_pool.sentinel_manager.sentinels:
            await sentinel.aclose()


async def under_load(store: RedisSessionStore, group: Watched, fail: Callable[[], OwnServer]) -> Load:
    """Make the primary another one while browsers visit; return when they are served again and have stopped."""
    load = Load(store)
    await load.begin()
    await asyncio.to_thread(group.settled)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(load.run())
        await load.resumed()
        await asyncio.to_thread(fail)
        await load.resumed()
        load.stop()
    return load


def kill_primary(group: Watched) -> OwnServer:
    old = group.primary()
    old.kill()
    return group.promoted(old)


def end(server: OwnServer) -> None:
    server.kill()


def errors_of(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("injected", [False, True])
async def test_every_kind_of_step_works(make_store: MakeStore, group: Watched, injected: bool) -> None:
    """A Sentinel's client is as good as any, made by a function or by the app."""
    async with given(group, injected=injected) as client:
        await live(make_store(client=client))


async def test_a_killed_primary_is_replaced_without_a_restart_of_the_app(
    store: RedisSessionStore, group: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    """Requests in between are refused within their deadline; then the promoted replica serves every session."""
    load = await under_load(store, group, lambda: kill_primary(group))
    assert load.refused
    assert max(load.refused) < 2 * TIMEOUT + SPARE  # each of them has two steps: a load and a save
    for number, cookie in enumerate(load.cookies):
        assert await read(store, cookie) == {"name": number, "count": load.counts[number]}
    assert errors_of(caplog) == []


async def test_a_planned_failover_under_load_mixes_nothing_up(
    store: RedisSessionStore, group: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever is refused meanwhile is so within the deadline, and afterwards every session is its browser's."""
    load = await under_load(store, group, group.fail_over)
    assert max(load.refused, default=0) < 2 * TIMEOUT + SPARE
    for number, cookie in enumerate(load.cookies):
        assert await read(store, cookie) == {"name": number, "count": load.counts[number]}
    assert errors_of(caplog) == []


async def test_the_old_primary_comes_back_as_a_replica_and_can_be_promoted(
    store: RedisSessionStore, group: Watched
) -> None:
    """It takes over what was written meanwhile, so a second failover finds every session there."""
    cookie = await put(store, a=1)
    await asyncio.to_thread(group.settled)
    old = group.primary()
    await asyncio.to_thread(kill_primary, group)
    await put(store, cookie, b=2)
    await asyncio.to_thread(old.start)
    await asyncio.to_thread(group.settled)
    assert await asyncio.to_thread(group.fail_over) is old
    await served_again(store, cookie)
    assert await read(store, cookie) == {"a": 1, "b": 2, "served": True}


async def served_again(store: RedisSessionStore, cookie: str) -> None:
    """Change the session as soon as the store can; connections that a failover broke may cost it the first tries."""
    async with asyncio.timeout(10):
        while True:
            try:
                await put(store, cookie, served=True)
            except StoreUnavailable:
                await asyncio.sleep(0.01)
            else:
                return


def demote(group: Watched) -> None:
    """Exchange the roles with every connection still open: a sentinel that fails over closes those of apps."""
    primary, replica = group.servers
    for sentinel in group.sentinels:
        command(sentinel, "SENTINEL", "REMOVE", NAME)
    command(replica, "REPLICAOF", "NO", "ONE")
    command(primary, "REPLICAOF", *address(replica))
    for sentinel in group.sentinels:
        command(sentinel, "SENTINEL", "MONITOR", NAME, *address(replica), 2)
    wait_for(lambda: group.primary() is replica, "the other primary")


def command(server: OwnServer, *words: Any) -> Any:
    with Redis.from_url(server.url, socket_timeout=5) as client:
        return client.execute_command(*words)


def address(server: OwnServer) -> tuple[str, int]:
    with Redis.from_url(server.url) as client:
        return "127.0.0.1", client.get_connection_kwargs()["port"]


@pytest.mark.parametrize("injected", [False, True])
async def test_connections_to_a_demoted_primary_are_dropped(
    make_store: MakeStore, group: Watched, injected: bool
) -> None:
    """The first write there is refused with READONLY; the next one goes to the new primary."""
    async with given(group, injected=injected) as client:
        store = make_store(client=client)
        cookie = await put(store, a=1)
        await put(store, cookie, b=2)
        await asyncio.to_thread(group.settled)
        await asyncio.to_thread(demote, group)
        with pytest.raises(StoreUnavailable, match=r"READONLY|ReadOnly|now a slave"):
            await put(store, cookie, c=3)
        await put(store, cookie, d=4)
        assert await read(store, cookie) == {"a": 1, "b": 2, "d": 4}


@pytest.mark.parametrize("injected", [False, True])
@pytest.mark.parametrize("hurt", [end, OwnServer.freeze])
async def test_one_sentinel_that_is_gone_or_hangs_does_not_keep_others_from_being_asked(
    make_store: MakeStore, group: Watched, hurt: Hurt, injected: bool
) -> None:
    """The first in the app's list is lost, and every connection is a new one: the store is served in time."""
    async with given(group, injected=injected) as client:
        store = make_store(client=client)
        hurt(group.sentinels[0])
        cookie = await put(store, a=1)
        assert await read(store, cookie) == {"a": 1}


async def test_a_primary_lost_together_with_a_sentinel_is_replaced(store: RedisSessionStore, group: Watched) -> None:
    """They often share a machine; the two sentinels that are left agree on the replica, and the store follows."""
    cookie = await put(store, a=1)
    await asyncio.to_thread(group.settled)
    group.sentinels[0].freeze()
    await asyncio.to_thread(kill_primary, group)
    await served_again(store, cookie)
    assert await read(store, cookie) == {"a": 1, "served": True}


@pytest.mark.parametrize("hurt", [end, OwnServer.freeze])
async def test_connected_stores_need_no_sentinel(store: RedisSessionStore, group: Watched, hurt: Hurt) -> None:
    """While all sentinels are out, what is connected goes on."""
    cookie = await put(store, a=1)
    for sentinel in group.sentinels:
        hurt(sentinel)
    await put(store, cookie, b=2)
    assert await read(store, cookie) == {"a": 1, "b": 2}


@pytest.mark.parametrize("hurt", [end, OwnServer.freeze])
async def test_without_any_sentinel_a_new_connection_is_refused_within_the_deadline(
    make_store: MakeStore, group: Watched, hurt: Hurt
) -> None:
    """Then nobody knows the primary, and requests are told so in time."""
    store = make_store(client=group.client, timeout_seconds=0.5)
    for sentinel in group.sentinels:
        hurt(sentinel)
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await put(store, a=1)
    assert time.monotonic() - began < 0.5 + SPARE


async def test_sentinels_that_come_back_are_asked_again(store: RedisSessionStore, group: Watched) -> None:
    """The app that started without them needs no restart."""
    for sentinel in group.sentinels:
        sentinel.kill()
    with pytest.raises(StoreUnavailable):
        await put(store, a=1)
    for sentinel in group.sentinels:
        await asyncio.to_thread(sentinel.start)
    cookie = await put(store, a=1)
    assert await read(store, cookie) == {"a": 1}


async def test_a_name_that_no_sentinel_knows_is_told(make_store: MakeStore, group: Watched) -> None:
    """The error says which name it was, and how many were asked."""
    store = make_store(client=lambda: Sentinel(group.addresses).master_for("another"))
    with pytest.raises(StoreUnavailable, match="none of 3 sentinels names a primary of 'another'"):
        await put(store, a=1)


def test_a_function_is_called_once_for_each_loop(group: Watched, key_prefix: str) -> None:
    """Two loops, one after the other, have a client each and share the sessions."""
    made: list[int] = []

    def make() -> AsyncRedis:
        made.append(threading.get_ident())  # and not the client, which is to be collected
        return group.client()

    store = RedisSessionStore(CONFIG, client=make, key_prefix=key_prefix)

    async def twice(cookie: str | None) -> str:
        return await put(store, await put(store, cookie, a=1), b=2)

    cookie = asyncio.run(twice(None))
    assert asyncio.run(twice(cookie)) == cookie
    assert len(made) == 2
    gc.collect()  # a connection left open would warn, which is an error in this suite


async def test_a_closed_store_leaves_no_connection_to_servers_or_sentinels(
    make_store: MakeStore, group: Watched
) -> None:
    """What a function has made is the store's to close, the clients that ask the sentinels included."""
    everybody = (*group.servers, *group.sentinels)
    store = make_store(client=lambda: group.client(client_name="mine", sentinel_kwargs={"client_name": "mine"}))
    await put(store, a=1)
    assert sum(connections(server) for server in everybody) >= 2
    await store.aclose()
    wait_for(lambda: not any(map(connections, everybody)), "connections that close")


async def test_an_injected_client_stays_connected(make_store: MakeStore, group: Watched) -> None:
    """The app's own client, and its sentinels', are left as they are when the store is closed."""
    everybody = (*group.servers, *group.sentinels)
    async with given(group, injected=True, client_name="mine", sentinel_kwargs={"client_name": "mine"}) as client:
        store = make_store(client=client)
        await put(store, a=1)
        open_before = sum(map(connections, everybody))
        await store.aclose()
        await client.ping()
        assert sum(map(connections, everybody)) == open_before >= 2


def connections(server: OwnServer) -> int:
    with Redis.from_url(server.url, socket_timeout=5) as client:
        return sum(connection["name"] == "mine" for connection in client.client_list())
