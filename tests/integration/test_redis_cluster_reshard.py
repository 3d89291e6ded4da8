"""Slots of a real cluster that move under load: nothing is lost, revived or mixed up, and no request is refused."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

import pytest
from redis.crc import key_slot
from redis.exceptions import TryAgainError
from traffic import Visitor, acknowledged, arrived, busy, until_each
from visits import CONFIG, put, visit

from benchmarks.cluster import RunningCluster, running
from chirp.middleware.sessions import RedisSessionStore, rotate_session

PROCESSES = 3
MOVES = 6  # there and back again, and on: each node gives and takes

MakeStores = Callable[[RunningCluster, str], list[RedisSessionStore]]


@pytest.fixture
async def make_stores() -> AsyncIterator[MakeStores]:
    """As many stores with one prefix as an app would have processes."""
    stores: list[RedisSessionStore] = []

    def make(cluster: RunningCluster, prefix: str) -> list[RedisSessionStore]:
        made = [RedisSessionStore(CONFIG, key_prefix=prefix, client=cluster.client) for _ in range(PROCESSES)]
        stores.extend(made)
        return made

    yield make
    for store in stores:
        await store.aclose()


@pytest.fixture
def one_slot(make_stores: MakeStores, redis_cluster: RunningCluster, key_prefix: str) -> list[RedisSessionStore]:
    """Stores whose sessions are all in one slot, since their prefix has a hash tag."""
    return make_stores(redis_cluster, f"{{{key_prefix}}}")


@pytest.fixture(scope="module")
def valkey_cluster() -> Iterator[RunningCluster]:
    """A cluster of the server in the wheel, whatever the run's is: it can move a slot in one step."""
    with running(2) as cluster:
        yield cluster


async def move_key_by_key(cluster: RunningCluster, key: str, visitors: Sequence[Visitor]) -> None:
    """Move the slot of a key to another node, with requests of every visitor in each phase."""
    source, target = await asyncio.to_thread(cluster.begin_to_move, key)
    try:
        await until_each(visitors, 1, acknowledged)
        there = await asyncio.to_thread(source.command, "CLUSTER", "GETKEYSINSLOT", key_slot(key.encode()), 10_000)
        for each in there[::2]:
            await asyncio.to_thread(cluster.carry_over, each, source, target)
        await until_each(visitors, 1, acknowledged)
    finally:
        await asyncio.to_thread(cluster.finish_move, key, source, target)
    await until_each(visitors, 1, acknowledged)


async def expect_all_found(visitors: Sequence[Visitor], store: RedisSessionStore) -> None:
    assert [visitor.number for visitor in visitors if not await visitor.found(store)] == []
    assert [str(refusal.error) for visitor in visitors for refusal in visitor.refusals] == []


async def test_sessions_whose_slot_moves_under_load_are_all_right(
    one_slot: list[RedisSessionStore], redis_cluster: RunningCluster
) -> None:
    """Creates, parallel changes, rotations, regenerations and logouts meet MOVED and ASK; each is done, and once."""
    before = {name: redis_cluster.refusals(name) for name in ("MOVED", "ASK", "TRYAGAIN")}
    visitors = await arrived(one_slot, 12)
    async with busy(visitors, Visitor.live):
        for _ in range(MOVES):
            await move_key_by_key(redis_cluster, one_slot[0].key_for("any"), visitors)
    await expect_all_found(visitors, one_slot[0])
    arisen = {name for name, count in before.items() if redis_cluster.refusals(name) > count}
    assert arisen == {"MOVED", "ASK"}


async def test_sessions_on_all_nodes_while_slots_move_are_all_right(
    make_stores: MakeStores, redis_cluster: RunningCluster, key_prefix: str
) -> None:
    """An operation's steps go to different nodes here, while the slots of sessions that go on being changed move."""
    stores = make_stores(redis_cluster, key_prefix)
    staying, living = await arrived(stores, MOVES), await arrived(stores, 12)
    async with busy(staying, Visitor.change), busy(living, Visitor.live):
        for visitor in staying:
            await move_key_by_key(redis_cluster, stores[0].key_for(visitor.cookie), [*staying, *living])
    await expect_all_found([*staying, *living], stores[0])


async def test_sessions_whose_slot_the_servers_move_by_themselves_are_all_right(
    make_stores: MakeStores, valkey_cluster: RunningCluster, key_prefix: str
) -> None:
    """Valkey moves a slot in one step, for which it holds writes back for a moment; none of them is lost."""
    stores = make_stores(valkey_cluster, f"{{{key_prefix}}}")
    visitors = await arrived(stores, 12)
    moved = valkey_cluster.refusals("MOVED")
    async with busy(visitors, Visitor.live):
        for _ in range(MOVES):
            await asyncio.to_thread(valkey_cluster.move_at_once, stores[0].key_for("any"))
            await until_each(visitors, 1, acknowledged)
    await expect_all_found(visitors, stores[0])
    assert valkey_cluster.refusals("MOVED") > moved


async def test_a_slot_half_moved_never_asks_for_patience(
    one_slot: list[RedisSessionStore], redis_cluster: RunningCluster
) -> None:
    """A command on keys that are on both sides is told TRYAGAIN; an operation's steps name one key each, and go on."""
    store = one_slot[0]
    here, there = [await put(store, name=name) for name in ("here", "there")]
    keys = [store.key_for(cookie) for cookie in (here, there)]
    source, target = redis_cluster.begin_to_move(keys[0])
    try:
        redis_cluster.carry_over(keys[1], source, target)
        with pytest.raises(TryAgainError):
            source.command("MGET", *keys)
        told = redis_cluster.refusals("TRYAGAIN")
        for cookie in (here, there):
            assert (await visit(store, cookie, lambda session: rotate_session())).session.id not in (None, cookie)
        assert redis_cluster.refusals("TRYAGAIN") == told > 0
    finally:
        redis_cluster.finish_move(keys[0], source, target)
