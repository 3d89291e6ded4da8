"""Requests that are cancelled while they share a batch with others."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from proxy import Proxy, proxied
from servers import OwnServer
from visits import MakeStore, commit, put, read

from chirp.middleware.sessions import RedisSessionStore


@pytest.fixture
async def proxy(server: OwnServer) -> AsyncIterator[Proxy]:
    async with proxied(server.url) as proxy:
        yield proxy


@pytest.fixture
async def proxied_store(make_store: MakeStore, proxy: Proxy) -> AsyncIterator[RedisSessionStore]:
    store = make_store(proxy.url)
    yield store
    await store.aclose()


async def wait_until_sent(proxy: Proxy, word: bytes) -> None:
    await proxy.sent(lambda sent: word in sent)


async def test_cancelling_the_request_that_started_a_batch_leaves_the_others(
    proxied_store: RedisSessionStore, proxy: Proxy
) -> None:
    """A batch that is under way belongs to nobody: its first waiter goes, the others get their own sessions."""
    cookies = [await put(proxied_store, number=number) for number in range(5)]
    proxy.wires[0].open.clear()
    loads = [asyncio.create_task(read(proxied_store, cookie)) for cookie in cookies]
    await wait_until_sent(proxy, b"MGET")
    loads[0].cancel()
    loads[3].cancel()
    proxy.wires[0].open.set()
    results = await asyncio.gather(*loads, return_exceptions=True)
    assert [type(results[0]), type(results[3])] == [asyncio.CancelledError] * 2
    assert [results[number] for number in (1, 2, 4)] == [{"number": number} for number in (1, 2, 4)]


async def test_cancelling_everybody_leaves_the_connection_in_order(
    proxied_store: RedisSessionStore, proxy: Proxy
) -> None:
    """A batch without any waiter left is read to its end, so that the next one gets its own replies."""
    first, second = await put(proxied_store, number=1), await put(proxied_store, number=2)
    proxy.wires[0].open.clear()
    load = asyncio.create_task(read(proxied_store, first))
    await wait_until_sent(proxy, b"MGET")
    load.cancel()
    with pytest.raises(asyncio.CancelledError):
        await load
    proxy.wires[0].open.set()
    assert await read(proxied_store, second) == {"number": 2}


async def test_a_request_cancelled_before_its_batch_is_sent_is_left_out(
    proxied_store: RedisSessionStore, proxy: Proxy
) -> None:
    """What nobody waits for any more is not asked for."""
    cookie, other = await put(proxied_store, a=1), await put(proxied_store, b=2)
    proxy.wires[0].open.clear()
    first = asyncio.create_task(read(proxied_store, cookie))
    await wait_until_sent(proxy, b"MGET")
    waiting = asyncio.create_task(read(proxied_store, other))
    await asyncio.sleep(0)
    waiting.cancel()
    proxy.wires[0].open.set()
    assert await first == {"a": 1}
    assert await read(proxied_store, cookie) == {"a": 1}
    assert proxied_store.key_for(other).encode() not in proxy.wires[0].sent.partition(b"MGET")[2]


async def test_a_change_whose_request_is_cancelled_is_written_wholly(
    proxied_store: RedisSessionStore, proxy: Proxy
) -> None:
    """A commit that was sent before its request was cancelled stands, and so do those of the same batch."""
    cookies = [await put(proxied_store, a=number) for number in range(3)]
    sessions = [await proxied_store.open(cookie, https=True) for cookie in cookies]
    for session in sessions:
        session["b"] = session["c"] = True
    proxy.wires[0].open.clear()
    commits = [asyncio.create_task(commit(proxied_store, session)) for session in sessions]
    await wait_until_sent(proxy, b"EVAL")
    commits[1].cancel()
    proxy.wires[0].open.set()
    await asyncio.gather(*commits, return_exceptions=True)
    assert [await read(proxied_store, cookie) for cookie in cookies] == [
        {"a": number, "b": True, "c": True} for number in range(3)
    ]


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_under_random_cancellations_every_request_gets_its_own_session(
    store: RedisSessionStore, seed: int
) -> None:
    """In hundreds of rounds of loads, changes and first visits, cut short at random, nobody sees another's data."""
    chance = random.Random(seed)
    cookies = await asyncio.gather(*(put(store, owner=number, round=0) for number in range(12)))

    async def request(number: int, turn: int) -> None:
        session = await store.open(cookies[number], https=True)
        assert session["owner"] == number
        assert session["round"] <= turn
        session["round"] = turn
        await commit(store, session)

    async def first_visit(turn: int) -> None:
        assert await read(store, await put(store, mine=turn)) == {"mine": turn}

    completed = cancelled = 0
    for turn in range(1, 151):
        tasks = [asyncio.create_task(request(number, turn)) for number in range(12)]
        tasks += [asyncio.create_task(first_visit(turn)) for _ in range(3)]
        for _ in range(chance.randrange(4)):
            chance.choice(tasks).cancel()
            for _ in range(chance.randrange(12)):
                await asyncio.sleep(0)
            chance.choice(tasks).cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert result is None or isinstance(result, asyncio.CancelledError)
            completed += result is None
            cancelled += result is not None
    assert completed > 1000
    assert cancelled > 100
