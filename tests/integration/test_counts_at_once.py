"""What many requests at the same time cost the server, through every way to it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from costs import Cost, CountedStore, counted_store
from fronts_kit import WAYS, requests_through
from visits import MakeStore, put, read

from chirp.middleware.sessions import RedisSessionStore, get_session

AT_ONCE = 64  # as many as one batch takes


@pytest.fixture
async def still_clock() -> AsyncIterator[None]:
    """The loop's clock stands still: on a slow machine a batch may be overdue, and the next one takes a connection."""
    loop = asyncio.get_running_loop()
    now = loop.time()
    real, loop.time = loop.time, lambda: now
    yield
    loop.time = real


@pytest.fixture
async def counted(
    make_store: MakeStore, redis_url: str, key_prefix: str, still_clock: None
) -> AsyncIterator[CountedStore]:
    async with counted_store(make_store, redis_url, key_prefix) as counted:
        yield counted


async def sessions(store: RedisSessionStore, count: int) -> list[str]:
    """Return the cookies of so many sessions."""
    return await asyncio.gather(*(put(store, number=number, count=0) for number in range(count)))


def look() -> object:
    return get_session()["number"]


def change() -> None:
    get_session()["count"] += 1


def leave() -> None:
    get_session().clear()


def add() -> None:
    get_session()["new"] = True


@pytest.mark.parametrize("way", WAYS)
async def test_reads_that_come_together_are_one_mget(way: str, counted: CountedStore) -> None:
    """Sixty-four requests of one turn of the loop: one command with as many keys, one round trip, nothing written."""
    request = requests_through(way, counted.store)
    cookies = await sessions(counted.store, AT_ONCE)
    cost = await counted.cost(*(request(cookie, look) for cookie in cookies))
    assert cost == Cost([["MGET", *map(counted.store.key_for, cookies)]], round_trips=1, connections=0)


@pytest.mark.parametrize("way", WAYS)
async def test_changes_that_come_together_are_one_mget_and_one_script_call(way: str, counted: CountedStore) -> None:
    """Sixty-four requests that change sessions of their own: two commands, two round trips, and every change stored."""
    request = requests_through(way, counted.store)
    cookies = await sessions(counted.store, AT_ONCE)
    cost = await counted.cost(*(request(cookie, change) for cookie in cookies))
    assert (cost.names, cost.round_trips) == (["MGET", "EVALSHA"], 2)
    found = await asyncio.gather(*(read(counted.store, cookie) for cookie in cookies))
    assert [session["count"] for session in found] == [1] * AT_ONCE


@pytest.mark.parametrize("way", WAYS)
async def test_first_visits_that_come_together_are_one_round_trip(way: str, counted: CountedStore) -> None:
    """Twenty new sessions: one command each, since each is to fail alone, and all sent together."""
    request = requests_through(way, counted.store)
    cost = await counted.cost(*(request(None, add) for _ in range(20)))
    assert (cost.names, cost.round_trips) == (["SET"] * 20, 1)


@pytest.mark.parametrize("way", WAYS)
async def test_reads_that_come_while_one_is_under_way_share_the_next_mget(way: str, counted: CountedStore) -> None:
    """One request waits for the server, the others come meanwhile: two commands, not sixty-four."""
    request = requests_through(way, counted.store)
    cookies = await sessions(counted.store, AT_ONCE)
    wires = counted.proxy.wires
    for wire in wires:
        wire.open.clear()
        wire.sent = b""

    async def others() -> None:
        await counted.proxy.sent(lambda sent: b"MGET" in sent)
        later = [asyncio.create_task(request(cookie, look)) for cookie in cookies[1:]]
        for wire in wires:
            wire.open.set()
        await asyncio.gather(*later)

    cost = await counted.cost(request(cookies[0], look), others())
    assert [(name, len(keys)) for name, *keys in cost.commands] == [("MGET", 1), ("MGET", AT_ONCE - 1)]
    assert cost.round_trips == 2


@pytest.mark.parametrize("way", WAYS)
async def test_a_thousand_requests_at_once_take_few_connections_and_round_trips(
    way: str, counted: CountedStore
) -> None:
    """Reads, changes, logouts and first visits, all together."""
    request = requests_through(way, counted.store)
    cookies = await sessions(counted.store, 750)
    cost = await counted.cost(
        *(request(cookie, look) for cookie in cookies[:250]),
        *(request(cookie, change) for cookie in cookies[250:500]),
        *(request(cookie, leave) for cookie in cookies[500:]),
        *(request(None, add) for _ in range(250)),
    )
    assert len(counted.proxy.wires) <= 6  # two for each kind of round trip
    assert cost.round_trips <= 30
