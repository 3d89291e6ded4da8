"""Pools, batches and locks belong to an event loop, and go with it."""

import asyncio
import gc
import logging
import os
import threading
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis
from visits import CONFIG, put, read

from chirp.middleware.sessions import RedisSessionStore


@pytest.fixture
def name(key_prefix: str) -> str:
    return key_prefix.rstrip(":")


@pytest.fixture
def store(redis_url: str, key_prefix: str, name: str) -> RedisSessionStore:
    """A store that no fixture closes: each loop does when it ends."""
    return RedisSessionStore(CONFIG, f"{redis_url}?client_name={name}", key_prefix)


@pytest.fixture
def connections(redis_url: str, name: str) -> Iterator[Callable[[], int]]:
    """A function that counts the store's connections, as the server sees them."""
    with Redis.from_url(redis_url, socket_timeout=10) as client:
        yield lambda: sum(each["name"] == name for each in client.client_list())


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing is left for the garbage collector to complain of, and asyncio has logged nothing."""
    gc.collect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
        gc.collect()
    assert [str(each.message) for each in caught if each.category is not DeprecationWarning] == []
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.usefixtures("quiet")
def test_a_store_works_in_one_loop_after_another(store: RedisSessionStore, connections: Callable[[], int]) -> None:
    """`asyncio.run` several times with one store: each finds the sessions, and leaves no connection behind."""
    cookie = asyncio.run(put(store, count=0))
    for count in range(1, 4):
        assert asyncio.run(put(store, cookie, count=count)) == cookie
        assert len(store._nodes) == 0
    assert asyncio.run(read(store, cookie)) == {"count": 3}
    wait_for(lambda: connections() == 0)


@pytest.mark.usefixtures("quiet")
def test_threads_with_loops_of_their_own_share_a_store(
    store: RedisSessionStore, connections: Callable[[], int]
) -> None:
    """Eight threads, each with its loop, change one session at the same time and lose nothing."""
    cookie = asyncio.run(put(store, start=0))
    together = threading.Barrier(8)

    def work(number: int) -> None:
        async def change() -> None:
            session = await store.open(cookie, https=True)
            together.wait(10)
            session[f"thread{number}"] = number
            await store.commit(session, store.clock())

        asyncio.run(change())

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert asyncio.run(read(store, cookie)) == {"start": 0, **{f"thread{n}": n for n in range(8)}}
    assert len(store._nodes) == 0
    wait_for(lambda: connections() == 0)


@pytest.mark.usefixtures("quiet")
def test_each_of_two_loops_has_a_pool_of_its_own(store: RedisSessionStore) -> None:
    """Two loops that take turns keep their own states, and the end of one leaves the other working."""
    with asyncio.Runner() as first:
        cookie = first.run(put(store, a=1))
        with ThreadPoolExecutor(1) as thread, asyncio.Runner() as second:
            thread.submit(second.run, put(store, cookie, b=2)).result()
            assert len(store._nodes) == 2
            assert first.run(read(store, cookie)) == {"a": 1, "b": 2}
            thread.submit(second.close).result()
        assert len(store._nodes) == 1
        assert first.run(read(store, cookie)) == {"a": 1, "b": 2}


@pytest.mark.usefixtures("quiet")
def test_aclose_closes_the_running_loops_pool_only(store: RedisSessionStore) -> None:
    """Closing in one loop does not disturb requests in another."""
    with asyncio.Runner() as first:
        cookie = first.run(put(store, a=1))

        async def use_and_close() -> None:
            await read(store, cookie)
            await store.aclose()

        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, use_and_close()).result()
        assert len(store._nodes) == 1
        assert first.run(read(store, cookie)) == {"a": 1}


@pytest.mark.usefixtures("quiet")
def test_a_loop_that_ends_in_the_middle_of_requests_leaves_nothing(
    store: RedisSessionStore, connections: Callable[[], int]
) -> None:
    """Requests that are cancelled because their loop ends take their batches and connections with them."""

    async def leave_in_the_middle() -> None:
        tasks = [asyncio.create_task(put(store, number=number)) for number in range(20)]
        while not store._nodes:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not any(task.done() for task in tasks)

    asyncio.run(leave_in_the_middle())
    assert len(store._nodes) == 0
    wait_for(lambda: connections() == 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_worker_has_connections_of_its_own(store: RedisSessionStore, connections: Callable[[], int]) -> None:
    """A worker forked from a process that has used the store works, and does not disturb its parent."""
    with asyncio.Runner() as runner:
        cookie = runner.run(put(store, parent=1))
        child = os.fork()
        if child == 0:
            try:
                asyncio.run(put(store, cookie, child=2))
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert runner.run(read(store, cookie)) == {"parent": 1, "child": 2}
        assert connections() == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
async def test_a_worker_forked_inside_a_running_loop_has_connections_of_its_own(store: RedisSessionStore) -> None:
    """In the child the parent's loop still seems to run; nothing is asked of it there, nor of its connection."""
    cookie = await put(store, parent=1)
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(asyncio.wait_for(put(store, cookie, child=2), 5))
        finally:
            os._exit(0)
    os.waitpid(child, 0)  # noqa: ASYNC222 - the child must not need the parent's loop
    assert await read(store, cookie) == {"parent": 1, "child": 2}
    await store.aclose()


def run_without_shutdown(work: Awaitable[object]) -> None:
    """Run in a loop that is closed without the shutdown of its generators, as careless programs do."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(work)
    loop.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_loops_closed_without_their_shutdown_do_not_pile_up(
    store: RedisSessionStore, connections: Callable[[], int]
) -> None:
    """What careless loops left open is dropped when the next one comes, so that it cannot grow without bound."""
    cookie = asyncio.run(put(store, a=1))
    for _ in range(20):
        run_without_shutdown(read(store, cookie))
    assert len(store._nodes) <= 1
    gc.collect()
    wait_for(lambda: connections() <= 1)
    asyncio.run(read(store, cookie))
    gc.collect()
    wait_for(lambda: connections() == 0)


@pytest.mark.usefixtures("quiet")
async def test_closing_while_a_load_is_under_way_leaves_nothing_open(
    store: RedisSessionStore, connections: Callable[[], int]
) -> None:
    """A request that is still waiting when the store is closed gets an answer or an error, and no connection stays."""
    cookie = await put(store, a=1)
    load = asyncio.create_task(read(store, cookie))
    node = store._nodes.get()
    while not node.reads._flights:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    await store.aclose()
    await asyncio.gather(load, return_exceptions=True)
    assert len(store._nodes) == 0
    wait_for(lambda: connections() == 0)
