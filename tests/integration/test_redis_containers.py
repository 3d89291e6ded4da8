"""Redis in containers, as a cluster with replicas and under a Sentinel: sessions live, and outlive a primary."""

import asyncio

import pytest
from containers import PRIMARY_NAME, ContainerServer, cluster_in_containers, sentinel_in_containers
from redis.asyncio.sentinel import Sentinel
from traffic import Visitor, acknowledged, arrived, busy, until_each
from visits import MakeStore

from benchmarks.waiting import wait_for
from chirp.middleware.sessions import RedisSessionStore

pytestmark = [pytest.mark.containers, pytest.mark.timeout(180)]  # several containers start and stop

VISITORS = 12


async def live(stores: list[RedisSessionStore]) -> list[Visitor]:
    """Create, change, rotate, regenerate and log out; return the visitors with the sessions that they began then."""
    visitors = await arrived(stores, VISITORS)
    await asyncio.gather(*(visitor.live() for visitor in visitors))
    return visitors


async def go_on(visitors: list[Visitor], store: RedisSessionStore) -> None:
    """See every visitor served again after a failover, and find all that was acknowledged before and since."""
    async with busy(visitors, Visitor.change):
        await until_each(visitors, 3, acknowledged)
    assert all([await visitor.found(store) for visitor in visitors])


async def test_sessions_outlive_a_primary_of_a_cluster(make_store: MakeStore) -> None:
    """Its container is killed, its replica takes over, and it comes back as a replica."""
    with cluster_in_containers(3) as cluster:
        stores = [make_store(client=cluster.client) for _ in range(2)]
        visitors = await live(stores)
        primary = cluster.nodes[1]
        replica = cluster.replica_of(primary)
        cluster.wait_until_replicated(primary)
        primary.kill()
        await asyncio.to_thread(cluster.let_take_over, replica)
        await go_on(visitors, stores[0])
        await asyncio.to_thread(cluster.heal)
        assert not primary.is_primary
        await go_on(visitors, stores[1])


def replicated(primary: ContainerServer, replica: ContainerServer) -> bool:
    return (
        replica.redis.info("replication")["slave_repl_offset"]
        >= primary.redis.info("replication")["master_repl_offset"]
    )


async def test_sessions_outlive_a_primary_under_a_sentinel(make_store: MakeStore) -> None:
    """Its container is killed, and the Sentinel has the replica take over."""
    with sentinel_in_containers() as (port, primary, replica):
        sentinels = [("127.0.0.1", port)]
        stores = [make_store(client=lambda: Sentinel(sentinels).master_for(PRIMARY_NAME)) for _ in range(2)]
        visitors = await live(stores)
        wait_for(lambda: replicated(primary, replica), "a replica that is up to date")
        primary.kill()
        await asyncio.to_thread(wait_for, lambda: replica.redis.info("replication")["role"] == "master", "a failover")
        await go_on(visitors, stores[0])
