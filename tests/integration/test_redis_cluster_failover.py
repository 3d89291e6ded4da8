"""Primaries of a real cluster that are killed, frozen and replaced under load, each by its replica."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from redis.exceptions import ClusterDownError
from servers import running_cluster
from traffic import AT_ONCE, Visitor, acknowledged, arrived, busy, refused, until_each
from visits import CONFIG, put, read

from benchmarks.cluster import WHEN_TOLD, RunningCluster
from benchmarks.nodes import Node
from chirp.errors import StoreUnavailable
from chirp.middleware.sessions import RedisSessionStore

VISITORS = 40  # so that each primary has some of their sessions
TIMEOUT = 2.0
LONG_ENOUGH = 6.0  # for a promotion to come before the deadline, also on a busy machine


@pytest.fixture(scope="module")
def started() -> Iterator[RunningCluster]:
    with running_cluster(3, WHEN_TOLD) as cluster:
        yield cluster


@pytest.fixture
def cluster(started: RunningCluster) -> RunningCluster:
    """Three primaries, each with a replica, whatever the test before this one has done to them."""
    started.heal()
    return started


@asynccontextmanager
async def stores_of(
    cluster: RunningCluster, prefix: str, timeout_seconds: float = TIMEOUT
) -> AsyncIterator[list[RedisSessionStore]]:
    """Three stores, as three processes would have them; their connections are named after the prefix."""

    def client() -> object:
        return cluster.client(client_name=prefix)

    settings = {"key_prefix": prefix, "client": client, "timeout_seconds": timeout_seconds}
    stores = [RedisSessionStore(CONFIG, **settings) for _ in range(3)]
    try:
        yield stores
    finally:
        for store in stores:
            await store.aclose()


@pytest.fixture
async def stores(cluster: RunningCluster, key_prefix: str) -> AsyncIterator[list[RedisSessionStore]]:
    async with stores_of(cluster, key_prefix) as made:
        yield made


def sessions_on(
    cluster: RunningCluster, primary: Node, store: RedisSessionStore, visitors: Sequence[Visitor]
) -> tuple[list[Visitor], list[Visitor]]:
    """Return the visitors whose sessions this primary has, and the others."""
    there = {visitor for visitor in visitors if cluster.owner(store.key_for(visitor.cookie)) is primary}
    return [visitor for visitor in visitors if visitor in there], [each for each in visitors if each not in there]


@dataclass
class Killed:
    """What came of a primary that was killed under load, replaced a while later, and brought back.

    Attributes:
        hit: visitors whose sessions it had.
        spared: the others.
        slowest: seconds until a refused request was told.
        refused_when_back: requests, after each of the hit visitors had been served once by the new primary.
        quiet: what was found in sessions that it had, and whose last change had been replicated.
        mixed_up: visitors who found another's value in their session.
        wrong: of the spared ones, those whose session was not as acknowledged.
        was_primary: whether the old primary came back as one.
        connections: of the stores, to the old primary after it had come back.
    """

    hit: list[Visitor]
    spared: list[Visitor]
    slowest: float
    refused_when_back: int
    quiet: list[object]
    mixed_up: list[int]
    wrong: list[int]
    was_primary: bool
    connections: int


@pytest.fixture(scope="module")
def killed(started: RunningCluster) -> Killed:
    """The only node that the stores had been told of is the one that is killed."""
    started.heal()
    return asyncio.run(kill_a_primary(started))


async def kill_a_primary(cluster: RunningCluster) -> Killed:
    primary = cluster.nodes[0]
    replica = cluster.replica_of(primary)
    async with stores_of(cluster, "killed:") as stores:
        store, visitors = stores[0], await arrived(stores, VISITORS)
        hit, spared = sessions_on(cluster, primary, store, visitors)
        quiet = [await put(store, quiet=True) for _ in range(VISITORS)]
        quiet = [cookie for cookie in quiet if cluster.owner(store.key_for(cookie)) is primary]
        cluster.wait_until_replicated(primary)
        async with busy(visitors, Visitor.change):
            await until_each(visitors, 3, acknowledged)
            primary.kill()
            await until_each(hit, 5, refused)
            await until_each(spared, 10, acknowledged)
            await asyncio.to_thread(cluster.let_take_over, replica)
            await until_each(hit, 1, acknowledged)
            before = sum(map(refused, hit))
            await until_each(hit, 10, acknowledged)
        refused_when_back = sum(map(refused, hit)) - before
        await asyncio.to_thread(cluster.heal)
        async with busy(visitors, Visitor.change):
            await until_each(visitors, 3, acknowledged)
        return Killed(
            hit=hit,
            spared=spared,
            slowest=max(refusal.seconds for visitor in hit for refusal in visitor.refusals),
            refused_when_back=refused_when_back,
            quiet=[await read(store, cookie) for cookie in quiet],
            mixed_up=[visitor.number for visitor in visitors if not await is_own(visitor, store)],
            wrong=[visitor.number for visitor in spared if not await visitor.found(store)],
            was_primary=primary.is_primary,
            connections=sum(node is primary for node, _ in cluster.connections_named("killed:")),
        )


async def is_own(visitor: Visitor, store: RedisSessionStore) -> bool:
    """Tell whether the session holds only what this visitor has sent."""
    found = await read(store, visitor.cookie)
    return found.pop("owner") == visitor.number and all(
        value.startswith(f"{visitor.number}:") for value in found.values()
    )


def test_requests_for_a_killed_primarys_slots_are_refused_within_the_deadline(killed: Killed) -> None:
    """Nobody waits for the promotion, and nobody is told anything else than that the store is unavailable."""
    assert all(refused(visitor) >= 5 for visitor in killed.hit)
    assert killed.slowest < TIMEOUT + 2


def test_requests_for_other_slots_go_on(killed: Killed) -> None:
    """A dead primary is no reason to refuse, or to lose, what others have."""
    assert sum(map(refused, killed.spared)) == 0
    assert killed.wrong == []


def test_service_resumes_by_itself_when_the_replica_has_taken_over(killed: Killed) -> None:
    """The stores find the new primary, and from then on refuse nothing."""
    assert killed.refused_when_back == 0


def test_what_was_replicated_survives_its_primary(killed: Killed) -> None:
    """Sessions whose last change had reached the replica are as they were."""
    assert killed.quiet == [{"quiet": True}] * len(killed.quiet) != []


def test_no_session_is_mixed_up_by_a_failover(killed: Killed) -> None:
    """Each holds what its own browser has sent, and nothing of another's."""
    assert killed.mixed_up == []


def test_nothing_is_sent_to_a_primary_that_comes_back_as_a_replica(killed: Killed) -> None:
    """It is not the one to ask any more, although it is the one that the stores were told of at first."""
    assert not killed.was_primary
    assert killed.connections == 0


async def test_a_frozen_primary_delays_its_own_slots_only(
    cluster: RunningCluster, stores: list[RedisSessionStore]
) -> None:
    """Others are served while requests for its slots wait; those are told at the deadline."""
    primary = cluster.another(cluster.nodes[0])
    visitors = await arrived(stores, VISITORS)
    hit, spared = sessions_on(cluster, primary, stores[0], visitors)
    primary.freeze()
    began = time.monotonic()
    waiting = asyncio.gather(*(visitor.change() for visitor in hit))
    for _ in range(5):
        await asyncio.gather(*(visitor.change() for visitor in spared))
    assert not waiting.done()
    await waiting
    assert time.monotonic() - began < TIMEOUT + 2
    assert {refused(visitor) for visitor in spared} == {0}
    assert {refused(visitor) for visitor in hit} == {AT_ONCE}


async def test_a_frozen_primary_that_was_replaced_costs_one_deadline(cluster: RunningCluster, key_prefix: str) -> None:
    """After it those who ask next look for the new primary first, in a store whose first request it was as well."""
    primary = cluster.another(cluster.nodes[0])
    replica = cluster.replica_of(primary)
    async with (
        stores_of(cluster, key_prefix, LONG_ENOUGH) as stores,
        stores_of(cluster, key_prefix, LONG_ENOUGH) as new,
    ):
        visitors = await arrived(stores, VISITORS)
        hit, _ = sessions_on(cluster, primary, stores[0], visitors)
        cluster.wait_until_replicated(primary)
        primary.freeze()
        late = [read(store, hit[0].cookie) for store in new]
        waiting = asyncio.gather(*(visitor.change() for visitor in hit), *late, return_exceptions=True)
        await asyncio.to_thread(cluster.let_take_over, replica)
        assert {type(error) for error in (await waiting)[-len(new) :]} == {StoreUnavailable}
        for store in new:
            assert (await read(store, hit[0].cookie))["owner"] == hit[0].number
        async with busy(hit, Visitor.change):
            await until_each(hit, 3, acknowledged)
        assert {refused(visitor) for visitor in hit} == {AT_ONCE}
        assert all([await visitor.found(stores[0]) for visitor in visitors])


async def test_a_planned_failover_under_load_refuses_and_loses_nothing(
    cluster: RunningCluster, stores: list[RedisSessionStore]
) -> None:
    """The primary holds writes back until its replica has them all, and then sends everybody there."""
    primary = cluster.another(cluster.nodes[0])
    visitors = await arrived(stores, VISITORS)
    async with busy(visitors, Visitor.live):
        await until_each(visitors, 3, acknowledged)
        await asyncio.to_thread(cluster.hand_over, primary)
        await until_each(visitors, 8, acknowledged)
        sent_in_vain = cluster.refusals("MOVED")
        await until_each(visitors, 8, acknowledged)
        assert cluster.refusals("MOVED") == sent_in_vain > 0
    assert not primary.is_primary
    assert sum(map(refused, visitors)) == 0
    assert all([await visitor.found(stores[0]) for visitor in visitors])


async def test_a_cluster_that_is_down_is_unavailable_until_it_is_whole(
    cluster: RunningCluster, stores: list[RedisSessionStore]
) -> None:
    """By default no node serves anything while a slot has no primary: told at once, and over with the promotion."""
    cluster.configure({"cluster-require-full-coverage": "yes"})
    primary = cluster.another(cluster.nodes[0])
    replica = cluster.replica_of(primary)
    visitors = await arrived(stores, VISITORS)
    _, spared = sessions_on(cluster, primary, stores[0], visitors)
    primary.kill()
    async with busy(spared, Visitor.change):
        await until_each(spared, 3, refused)
        await asyncio.to_thread(cluster.let_take_over, replica)
        await until_each(spared, 3, acknowledged)
    causes = {type(refusal.error.__cause__) for visitor in spared for refusal in visitor.refusals}
    assert causes == {ClusterDownError}
    assert max(refusal.seconds for visitor in spared for refusal in visitor.refusals) < TIMEOUT
    assert all([await visitor.found(stores[0]) for visitor in spared])
