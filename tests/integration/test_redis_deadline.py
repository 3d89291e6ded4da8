"""One deadline for every step, whatever the time is spent on; and a slow batch holds up its own waiters only."""

import asyncio
import time
from collections.abc import Awaitable

import pytest
from proxy import proxied
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from servers import OwnServer
from visits import MakeStore, commit, put, read, visit

from chirp.errors import StoreUnavailable

TIMEOUT = 0.3
MARGIN = 0.4  # what a busy machine may add


async def failing(step: Awaitable[object]) -> float:
    """Return the seconds after which a step raised StoreUnavailable."""
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await step
    return time.monotonic() - began


async def test_a_frozen_server_is_unavailable_at_the_deadline_for_every_kind_of_step(
    make_store: MakeStore, server: OwnServer
) -> None:
    """Loads, changes, creates, logouts and rotations each give up once their own time is over, and not before."""
    store = make_store(server.url, timeout_seconds=TIMEOUT)
    cookies = [await put(store, number=number) for number in range(4)]
    changing, ending, rotating = [await store.open(cookie, https=True) for cookie in cookies[:3]]
    changing["changed"] = True
    ending.clear()
    rotating["user_id"] = 7
    new = await store.open(None, https=True)
    new["new"] = True
    server.freeze()
    waits = await asyncio.gather(
        failing(read(store, cookies[3])), *(failing(commit(store, each)) for each in (changing, ending, rotating, new))
    )
    assert TIMEOUT - 0.05 <= min(waits) <= max(waits) <= TIMEOUT + MARGIN


async def test_a_first_connection_to_a_frozen_server_is_bounded(make_store: MakeStore, server: OwnServer) -> None:
    """Connecting counts into the same deadline as the command."""
    store = make_store(server.url, timeout_seconds=TIMEOUT)
    server.freeze()
    assert await failing(put(store, a=1)) <= TIMEOUT + MARGIN


async def test_a_thousand_waiters_of_a_frozen_server_are_all_told_in_time(
    make_store: MakeStore, server: OwnServer
) -> None:
    """More waiters than all batches under way can hold are still told by their own deadline."""
    store = make_store(server.url, timeout_seconds=2 * TIMEOUT)
    cookie = await put(store, a=1)
    server.freeze()
    waits = await asyncio.gather(*(failing(read(store, cookie)) for _ in range(1000)))
    assert max(waits) <= 2 * TIMEOUT + MARGIN


async def test_waiters_that_keep_coming_to_a_frozen_server_are_each_told_in_time(
    make_store: MakeStore, server: OwnServer
) -> None:
    """A deadline counts from when its own request asked, also for those that queue behind stuck batches."""
    store = make_store(server.url, timeout_seconds=TIMEOUT)
    cookie = await put(store, a=1)
    server.freeze()
    async with asyncio.TaskGroup() as group:
        tasks = []
        for _ in range(100):
            tasks += [group.create_task(failing(read(store, cookie))) for _ in range(5)]
            await asyncio.sleep(0.01)
    waits = [task.result() for task in tasks]
    assert TIMEOUT - 0.05 <= min(waits) <= max(waits) <= TIMEOUT + MARGIN


async def test_service_resumes_after_a_freeze_with_the_sessions_there(make_store: MakeStore, server: OwnServer) -> None:
    """Once the server goes on, so do the sessions, in the same process and without a restart."""
    store = make_store(server.url, timeout_seconds=TIMEOUT)
    cookie = await put(store, a=1)
    server.freeze()
    await failing(read(store, cookie))
    server.thaw()
    await put(store, cookie, b=2)
    assert await read(store, cookie) == {"a": 1, "b": 2}


@pytest.mark.parametrize("kind", ["client", "factory", "pool"])
async def test_the_settings_of_an_injected_client_do_not_lengthen_the_deadline(
    make_store: MakeStore, server: OwnServer, kind: str
) -> None:
    """A client without timeouts and with many retries is given up at the store's deadline all the same."""
    client = Redis.from_url(server.url, socket_timeout=None, retry=Retry(ConstantBackoff(1), 100))
    given = {"client": client, "factory": lambda: client, "pool": client.connection_pool}[kind]
    store = make_store(**{"pool" if kind == "pool" else "client": given}, timeout_seconds=TIMEOUT)
    cookie = await put(store, a=1)
    server.freeze()
    assert await failing(read(store, cookie)) <= TIMEOUT + MARGIN
    server.kill()
    assert await failing(read(store, cookie)) <= TIMEOUT + MARGIN
    await client.aclose()
    await store.aclose()


async def test_a_batch_that_hangs_does_not_hold_up_the_next_loads(make_store: MakeStore, server: OwnServer) -> None:
    """While one connection hangs, the next loads are answered on another one, well before the deadline."""
    async with proxied(server.url) as proxy:
        store = make_store(proxy.url, timeout_seconds=5)
        cookies = [await put(store, number=number) for number in range(4)]
        proxy.wires[0].open.clear()
        hanging = asyncio.create_task(read(store, cookies[0]))
        await asyncio.sleep(0)
        began = time.monotonic()
        assert await asyncio.gather(*(read(store, cookie) for cookie in cookies[1:])) == [
            {"number": n} for n in (1, 2, 3)
        ]
        assert time.monotonic() - began < 1
        assert not hanging.done()
        proxy.wires[0].open.set()
        assert await hanging == {"number": 0}
        await store.aclose()


async def test_a_frozen_connection_delays_only_the_batch_that_is_on_it(
    make_store: MakeStore, server: OwnServer
) -> None:
    """Of three hundred loads all are answered but those in the one batch; they too, once the connection goes on."""
    async with proxied(server.url) as proxy:
        store = make_store(proxy.url, timeout_seconds=10)
        cookies = await asyncio.gather(*(put(store, number=number) for number in range(300)))
        await asyncio.gather(*(read(store, cookie) for cookie in cookies))
        frozen = proxy.wires[0]
        frozen.sent = b""
        frozen.open.clear()
        loads = [asyncio.create_task(read(store, cookie)) for cookie in cookies]
        async with asyncio.timeout(5):
            while True:
                waiting = {number for number, load in enumerate(loads) if not load.done()}
                on_it = {
                    number for number, cookie in enumerate(cookies) if store.key_for(cookie).encode() in frozen.sent
                }
                if on_it and waiting == on_it:
                    break
                await asyncio.sleep(0.005)
        assert len(on_it) <= 64
        frozen.open.set()
        assert await asyncio.gather(*loads) == [{"number": number} for number in range(300)]
        await store.aclose()


async def test_a_change_that_hangs_does_not_hold_up_other_changes_of_its_session(
    make_store: MakeStore, server: OwnServer
) -> None:
    """The next ones go another way, well before the deadline, and merge with what the hanging one has done."""
    async with proxied(server.url) as proxy:
        store = make_store(proxy.url, timeout_seconds=10)
        cookie = await put(store, a=1)
        sessions = [await store.open(cookie, https=True) for _ in range(3)]
        proxy.wires[0].open.clear()
        for number, session in enumerate(sessions):
            session[f"k{number}"] = number
        hanging, *others = [asyncio.create_task(commit(store, session)) for session in sessions]
        async with asyncio.timeout(5):
            await asyncio.gather(*others)
        assert not hanging.done()
        proxy.wires[0].open.set()
        await hanging
        assert await read(store, cookie) == {"a": 1, "k0": 0, "k1": 1, "k2": 2}
        await store.aclose()


async def test_a_load_that_hangs_does_not_hold_up_changes(make_store: MakeStore, server: OwnServer) -> None:
    """Changes, creates and ends go their own way while a load hangs."""
    async with proxied(server.url) as proxy:
        store = make_store(proxy.url, timeout_seconds=5)
        cookie = await put(store, a=1)
        session = await store.open(cookie, https=True)
        proxy.wires[0].open.clear()
        hanging = asyncio.create_task(read(store, cookie))
        await asyncio.sleep(0)
        session["b"] = 2
        async with asyncio.timeout(1):
            await commit(store, session)
            ended = await visit(store, None, lambda session: session.update(new=True))
        assert ended.cookie is not None
        assert not hanging.done()
        proxy.wires[0].open.set()
        assert await hanging == {"a": 1}
        await store.aclose()


async def test_waiting_for_a_free_connection_counts_into_the_deadline(make_store: MakeStore, server: OwnServer) -> None:
    """Where the only connection hangs, whoever waits for it is told at its own deadline."""
    async with proxied(server.url) as proxy:
        store = make_store(proxy.url, timeout_seconds=TIMEOUT, max_connections=1)
        cookie = await put(store, a=1)
        proxy.wires[0].open.clear()
        proxy.accept_open = False
        waits = await asyncio.gather(failing(read(store, cookie)), failing(put(store, b=2)))
        assert max(waits) <= TIMEOUT + MARGIN
        await store.aclose()


async def test_connections_that_hang_are_replaced(make_store: MakeStore, server: OwnServer) -> None:
    """A connection given up at a deadline is not used again: its late reply would be taken for another's."""
    async with proxied(server.url) as proxy:
        store = make_store(proxy.url, timeout_seconds=TIMEOUT)
        first, second = await put(store, mine="first"), await put(store, mine="second")
        proxy.wires[0].open.clear()
        await failing(read(store, first))
        proxy.wires[0].open.set()
        assert await read(store, second) == {"mine": "second"}
        assert len(proxy.wires) == 2
        await store.aclose()


async def test_an_injected_pools_connection_that_hangs_is_not_given_back_with_its_reply_due(
    make_store: MakeStore, server: OwnServer
) -> None:
    """Whoever shares the pool never reads a reply that was meant for the store."""
    async with proxied(server.url) as proxy, ConnectionPool.from_url(proxy.url, max_connections=1) as pool:
        store = make_store(pool=pool, timeout_seconds=TIMEOUT)
        cookie = await put(store, a=1)
        proxy.wires[0].open.clear()
        await failing(read(store, cookie))
        proxy.wires[0].open.set()
        async with asyncio.timeout(1):
            while not pool.can_get_connection():
                await asyncio.sleep(0)
        assert await Redis(connection_pool=pool).echo("for the app") == b"for the app"


async def test_one_deadline_clears_every_dead_connection(make_store: MakeStore, redis_url: str) -> None:
    """When a network path went silent, idle connections are dead as well: not each of them costs a request its time."""
    async with proxied(redis_url) as proxy:
        store = make_store(proxy.url, timeout_seconds=TIMEOUT)
        cookie = await put(store, a=1)
        session = await store.open(cookie, https=True)
        session["b"] = 2
        await asyncio.gather(put(store, c=3), read(store, cookie), commit(store, session))
        assert len(proxy.wires) > 1
        for wire in proxy.wires:
            wire.open.clear()
        await failing(read(store, cookie))
        found, _ = await asyncio.gather(read(store, cookie), put(store, d=4))
        assert found == {"a": 1, "b": 2}
