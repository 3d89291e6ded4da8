"""How many commands requests that run at the same time cost, as the server counts them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from monitor import Monitor, monitored
from proxy import proxied
from redis.asyncio import Redis
from servers import OwnServer
from visits import CONFIG, MakeStore, commit, put, read, visit

from chirp.middleware.sessions import RedisSessionStore
from chirp.middleware.sessions.merging import Written
from chirp.middleware.sessions.session import Session
from chirp.middleware.sessions.steps import KEEP_TTL, NO_DOCUMENT, Swap


@pytest.fixture
async def monitor(redis_url: str, key_prefix: str) -> AsyncIterator[Monitor]:
    async with monitored(redis_url, key_prefix) as monitor:
        yield monitor


@pytest.fixture
async def cookies(store: RedisSessionStore) -> list[str]:
    """Twenty sessions; the scripts are known to the server."""
    cookies = await asyncio.gather(*(put(store, number=number) for number in range(20)))
    await put(store, await put(store, warm=1), warm=2)
    await visit(store, await put(store, warm=1), Session.clear)
    return cookies


async def write_at_once(store: RedisSessionStore, cookie: str, names: list[str]) -> None:
    """Open a session in as many requests as there are names, then let each store a value under its own name."""
    sessions = [await store.open(cookie, https=True) for _ in names]
    for session, name in zip(sessions, names, strict=True):
        session[name] = name
    await asyncio.gather(*(commit(store, session) for session in sessions))


async def test_a_read_only_request_costs_one_key_and_no_write(
    store: RedisSessionStore, cookies: list[str], monitor: Monitor
) -> None:
    """A request that changes nothing sends one MGET of one key, and sets no cookie."""
    await monitor.commands()
    session, cookie = await visit(store, cookies[7], lambda session: session["number"])
    assert (dict(session), cookie) == ({"number": 7}, None)
    assert await monitor.commands() == [["MGET", store.key_for(cookies[7])]]


async def test_loads_at_once_share_one_mget(store: RedisSessionStore, cookies: list[str], monitor: Monitor) -> None:
    """Twenty loads that wait together are one MGET, and each gets its own session."""
    await monitor.commands()
    assert await asyncio.gather(*(read(store, cookie) for cookie in cookies)) == [{"number": n} for n in range(20)]
    assert await monitor.commands() == [["MGET", *map(store.key_for, cookies)]]


async def test_a_load_alone_waits_for_no_other(store: RedisSessionStore, cookies: list[str], monitor: Monitor) -> None:
    """Loads one after another are an MGET each: nothing waits for company that may not come."""
    await monitor.commands()
    for cookie in cookies[:3]:
        await read(store, cookie)
    assert await monitor.commands() == [["MGET", store.key_for(cookie)] for cookie in cookies[:3]]


async def test_more_loads_than_one_batch_takes_are_split(store: RedisSessionStore, monitor: Monitor) -> None:
    """Two hundred loads at once go out in batches of 64 keys at most, and each gets its own session."""
    cookies = await asyncio.gather(*(put(store, number=number) for number in range(200)))
    await monitor.commands()
    assert await asyncio.gather(*(read(store, cookie) for cookie in cookies)) == [{"number": n} for n in range(200)]
    commands = await monitor.commands()
    assert sorted((command[0], len(command) - 1) for command in commands) == [("MGET", 8), *[("MGET", 64)] * 3]


async def test_changes_of_different_sessions_share_one_script_call(
    store: RedisSessionStore, cookies: list[str], monitor: Monitor
) -> None:
    """Twenty compare-and-sets that wait together are one EVALSHA, and each session gets its own change."""
    sessions = await asyncio.gather(*(store.open(cookie, https=True) for cookie in cookies))
    for session in sessions:
        session["square"] = session["number"] ** 2
    await monitor.commands()
    await asyncio.gather(*(commit(store, session) for session in sessions))
    assert await monitor.names() == ["EVALSHA"]
    assert await asyncio.gather(*(read(store, cookie) for cookie in cookies)) == [
        {"number": n, "square": n * n} for n in range(20)
    ]


async def test_creates_and_ends_share_one_pipeline(
    make_store: MakeStore, server: OwnServer, cookies: list[str]
) -> None:
    """Ten first visits and ten logouts at once are all sent before the first reply comes."""
    async with proxied(server.url) as proxy:
        store = make_store(proxy.url)
        old = await asyncio.gather(*(put(store, number=number) for number in range(10)))
        sessions = [await store.open(cookie, https=True) for cookie in old]
        for session in sessions:
            session.clear()
        sessions += [await store.open(None, https=True) for _ in range(10)]
        for session in sessions[10:]:
            session["new"] = True
        for wire in proxy.wires:
            wire.open.clear()
            wire.sent = b""
        proxy.accept_open = False
        commits = asyncio.gather(*(commit(store, session) for session in sessions))
        await proxy.sent(lambda sent: sent.count(b"EVAL") == 10 and sent.count(b"\r\nNX\r\n") == 10, seconds=1)
        for wire in proxy.wires:
            wire.open.set()
        await commits
        await store.aclose()


async def test_fifty_writers_of_one_session_cost_a_few_calls_and_lose_nothing(
    store: RedisSessionStore, monitor: Monitor, cookies: list[str]
) -> None:
    """Changes of one session that wait together are merged in process: not 50 calls, and far from 50 · 51 / 2."""
    cookie = await put(store, start=0)
    names = [f"key{number}" for number in range(50)]
    await monitor.commands()
    await write_at_once(store, cookie, names)
    scripts = [name for name in await monitor.names() if name.startswith("EVAL")]
    assert len(scripts) <= 2
    assert await read(store, cookie) == {"start": 0, **{name: name for name in names}}


async def test_fifty_writers_in_two_processes_cost_a_few_calls_and_lose_nothing(
    store: RedisSessionStore, make_store: MakeStore, monitor: Monitor, cookies: list[str]
) -> None:
    """Two stores that change one session at once merge what the other wrote, in a few calls each."""
    other = make_store()
    cookie = await put(store, start=0)
    names = [f"key{number}" for number in range(50)]
    await monitor.commands()
    await asyncio.gather(write_at_once(store, cookie, names[:25]), write_at_once(other, cookie, names[25:]))
    scripts = [name for name in await monitor.names() if name.startswith("EVAL")]
    assert len(scripts) <= 10
    assert await read(store, cookie) == {"start": 0, **{name: name for name in names}}


@pytest.mark.parametrize(("processes", "most_calls"), [(1, 3), (10, 150)])
async def test_a_crowd_of_writers_of_a_large_session_costs_few_calls_and_loses_nothing(
    store: RedisSessionStore, make_store: MakeStore, monitor: Monitor, processes: int, most_calls: int
) -> None:
    """150 writers of 60 kB: two calls in one process, some for each writer in many; far from 150 · 151 / 2."""
    stores = [store, *(make_store() for _ in range(processes - 1))]
    cookie = await put(store, blob="x" * 60_000)
    names = [f"key{number}" for number in range(150)]
    await monitor.commands()
    await asyncio.gather(*(write_at_once(one, cookie, names[start::processes]) for start, one in enumerate(stores)))
    scripts = [name for name in await monitor.names() if name.startswith("EVAL")]
    assert len(scripts) <= most_calls
    assert (await read(store, cookie)).keys() == {"blob", *names}


async def test_one_bad_key_spoils_no_other_in_its_batch(
    store: RedisSessionStore, cookies: list[str], redis_client: Redis
) -> None:
    """A key that has become a list meanwhile fails alone: the other changes of the same call are stored."""
    sessions = [await store.open(cookie, https=True) for cookie in cookies[:5]]
    for session in sessions:
        session["changed"] = True
    await redis_client.delete(store.key_for(cookies[2]))
    await redis_client.rpush(store.key_for(cookies[2]), "a list")
    await asyncio.gather(*(commit(store, session) for session in sessions))
    found = [await read(store, cookie) for cookie in cookies[:5]]
    assert [data.get("changed") for data in found] == [True, True, None, True, True]


async def test_a_write_too_large_for_the_merged_session_fails_alone(make_store: MakeStore) -> None:
    """Of two changes that fit alone but not together, one is stored and the other told, whatever they share."""
    store = make_store(config=replace(CONFIG, max_bytes=1000))
    cookie = await put(store, start=0)
    sessions = [await store.open(cookie, https=True) for _ in range(2)]
    sessions[0]["a"] = "a" * 600
    sessions[1]["b"] = "b" * 600
    results = await asyncio.gather(*(commit(store, session) for session in sessions), return_exceptions=True)
    assert [type(result).__name__ for result in results] == ["Visit", "SessionTooLarge"]
    assert await read(store, cookie) == {"start": 0, "a": "a" * 600}


@pytest.mark.parametrize(("first", "then"), [(b"{1}", b"{1}"), (NO_DOCUMENT, False)], ids=["changed", "deleted"])
async def test_the_second_of_two_swaps_of_one_key_in_a_batch_compares_with_the_first(
    store: RedisSessionStore, redis_client: Redis, monitor: Monitor, first: bytes, then: bytes | bool
) -> None:
    """Writers of one session who have overtaken an overdue one may share a batch; both would be acknowledged."""
    key = store.key_for("k" * 43)
    await redis_client.set(key, b"{0}", px=60_000)
    swaps = store._nodes.get().swaps  # type: ignore[union-attr]
    await put(store, await put(store, warm=1), warm=2)
    await monitor.commands()
    asked = [swaps.ask(Swap(key, b"{0}", document, KEEP_TTL)) for document in (first, b"{2}")]
    replies = await asyncio.gather(*asked)
    assert [command[0] for command in await monitor.commands()] == ["EVALSHA"]
    assert replies == [Written(True, first), Written(False, then or None)]
    assert (await redis_client.get(key) or False) == then


async def test_writers_who_overtake_each_other_lose_nothing(make_store: MakeStore, server: OwnServer) -> None:
    """A server that was frozen for a while finds several compare-and-sets of one session in one batch."""
    store = make_store(server.url, timeout_seconds=20)
    cookie = await put(store, base=0)
    swaps = store._nodes.get().swaps  # type: ignore[union-attr]
    writing: list[asyncio.Task[str | None]] = []
    sessions = [await store.open(cookie, https=True) for _ in range(200)]
    server.freeze()
    async with asyncio.timeout(10):
        while len(swaps._items) < 3:
            session, number = sessions[len(writing)], len(writing)
            session[f"k{number}"] = number
            writing.append(asyncio.create_task(commit(store, session)))
            await asyncio.sleep(0.02)
    server.thaw()
    await asyncio.gather(*writing)
    assert await read(store, cookie) == {"base": 0, **{f"k{number}": number for number in range(len(writing))}}
