"""Sessions on a real cluster of three nodes: what commands are sent where, how many, and over whose connections."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis.asyncio.cluster import RedisCluster
from redis.cluster import LoadBalancingStrategy
from visits import CONFIG, MakeStore, commit, put, read, visit

from benchmarks.cluster import RunningCluster
from chirp.errors import ConfigurationError, StoreUnavailable
from chirp.middleware.sessions import RedisSessionStore, regenerate_session, rotate_session
from chirp.middleware.sessions.session import Session
from chirp.middleware.sessions.steps import Create, End


@pytest.fixture
def store(make_store: MakeStore, redis_cluster: RunningCluster) -> RedisSessionStore:
    return make_store(client=redis_cluster.client)


@pytest.fixture
async def cookies(store: RedisSessionStore) -> list[str]:
    """Sixty sessions, so that each node has some; every node knows the scripts."""
    cookies = list(await asyncio.gather(*(put(store, number=number) for number in range(60))))
    await asyncio.gather(*(put(store, cookie, warm=True) for cookie in cookies))
    return cookies


async def change_at_once(store: RedisSessionStore, cookies: list[str], **data: object) -> None:
    sessions = await asyncio.gather(*(store.open(cookie, https=True) for cookie in cookies))
    for session in sessions:
        session.update(data)
    await asyncio.gather(*(commit(store, session) for session in sessions))


async def test_a_session_lives_through_all_kinds_of_steps(store: RedisSessionStore) -> None:
    """Create, change, rotate, regenerate and clear, with the old and the new key on whatever nodes they fall."""
    for number in range(10):
        first = await put(store, number=number)
        assert await put(store, first, more="ä") == first
        second = (await visit(store, first, lambda session: rotate_session())).session.id
        assert second is not None
        assert (await read(store, first), await read(store, second)) == ({}, {"number": number, "more": "ä"})
        third = (await visit(store, second, lambda session: regenerate_session().update(user_id=7))).session.id
        assert third is not None
        assert (await read(store, second), await read(store, third)) == ({}, {"user_id": 7})
        assert (await visit(store, third, Session.clear)).cookie is not None
        assert await read(store, third) == {}


async def test_loads_at_once_are_one_round_trip_to_each_node(
    store: RedisSessionStore, cookies: list[str], redis_cluster: RunningCluster
) -> None:
    """Sixty loads that wait together reach each node in one piece, and each gets its own session."""
    before = [node.batches() for node in redis_cluster.nodes]
    loads = await asyncio.gather(*(read(store, cookie) for cookie in cookies))
    after = [node.batches() for node in redis_cluster.nodes]
    assert [data["number"] for data in loads] == list(range(60))
    # Two more than before: the loads, and the question that was asked afterwards.
    assert [now - then for then, now in zip(before, after, strict=True)] == [2, 2, 2]


async def test_changes_at_once_are_one_round_trip_to_each_node(
    store: RedisSessionStore, cookies: list[str], redis_cluster: RunningCluster
) -> None:
    """Sixty compare-and-sets that wait together reach each node in one piece, and each session gets its own."""
    sessions = await asyncio.gather(*(store.open(cookie, https=True) for cookie in cookies))
    for session in sessions:
        session["square"] = session["number"] ** 2
    before = [node.batches() for node in redis_cluster.nodes]
    await asyncio.gather(*(commit(store, session) for session in sessions))
    after = [node.batches() for node in redis_cluster.nodes]
    assert [now - then for then, now in zip(before, after, strict=True)] == [2, 2, 2]
    assert [(await read(store, cookie))["square"] for cookie in cookies] == [number**2 for number in range(60)]


async def test_fifty_writers_of_one_session_cost_a_few_calls_and_lose_nothing(
    store: RedisSessionStore, cookies: list[str], redis_cluster: RunningCluster
) -> None:
    """Changes of one session that wait together are merged in process, as on one node."""
    sessions = [await store.open(cookies[0], https=True) for _ in range(50)]
    for number, session in enumerate(sessions):
        session[f"key{number}"] = number
    before = sum(node.calls("evalsha") for node in redis_cluster.nodes)
    await asyncio.gather(*(commit(store, session) for session in sessions))
    assert sum(node.calls("evalsha") for node in redis_cluster.nodes) - before <= 2
    found = await read(store, cookies[0])
    assert found == {"number": 0, "warm": True, **{f"key{number}": number for number in range(50)}}


async def test_writers_of_one_session_in_two_processes_lose_nothing(
    store: RedisSessionStore, make_store: MakeStore, redis_cluster: RunningCluster
) -> None:
    """Two stores that change one session at once merge what the other wrote."""
    other = make_store(client=redis_cluster.client)
    cookie = await put(store, start=0)
    await asyncio.gather(
        *(
            change_at_once(each, [cookie], **{f"key{number}": number})
            for number in range(20)
            for each in (store if number % 2 else other,)
        )
    )
    assert await read(store, cookie) == {"start": 0, **{f"key{number}": number for number in range(20)}}


async def test_a_step_is_sent_when_the_one_before_it_is_done(
    store: RedisSessionStore, redis_cluster: RunningCluster
) -> None:
    """A create that its node refuses leaves the end that comes after it, on another node, undone."""
    ended = store.key_for(await put(store, a=1))
    full = redis_cluster.another(redis_cluster.owner(ended))
    keys = (f"{store.key_prefix}{number}" for number in range(1000))
    created = next(key for key in keys if redis_cluster.owner(key) is full)
    full.command("CONFIG", "SET", "maxmemory", "1")
    try:
        with pytest.raises(StoreUnavailable, match="OutOfMemoryError"):
            await store._nodes.get().run([Create(created, b"{}", 60_000), End(ended, 30_000)])
    finally:
        full.command("CONFIG", "SET", "maxmemory", "0")
    assert b'"a":1' in (await store._read(ended) or b"")
    assert await store._nodes.get().run([Create(created, b"{}", 60_000), End(ended, 30_000)]) == [True, True]


async def test_a_value_of_a_wrong_type_is_no_session(store: RedisSessionStore, redis_cluster: RunningCluster) -> None:
    """A list under a session's key makes an anonymous session, and spoils no other in its batch."""
    cookies = [await put(store, number=number) for number in range(2)]
    key = store.key_for(cookies[0])
    redis_cluster.owner(key).command("DEL", key)
    redis_cluster.owner(key).command("RPUSH", key, "a list")
    assert await asyncio.gather(*(read(store, cookie) for cookie in cookies)) == [{}, {"number": 1}]


async def test_a_server_that_is_no_cluster_is_told(make_store: MakeStore, redis_url: str) -> None:
    """A cluster's client for a single node is a mistake that the error names."""
    store = make_store(client=lambda: RedisCluster.from_url(redis_url.removesuffix("/0")))
    with pytest.raises(StoreUnavailable, match="cluster support disabled"):
        await put(store, a=1)


async def test_an_injected_client_is_not_closed(
    make_store: MakeStore, redis_cluster: RunningCluster, key_prefix: str
) -> None:
    """After `aclose()` of the store its own connections are gone, and the client's are as they were."""
    name = key_prefix.rstrip(":")
    async with redis_cluster.client(client_name=name) as client:
        await client.ping(target_nodes=RedisCluster.PRIMARIES)
        before = len(redis_cluster.connections_named(name))
        store = make_store(client=client)
        await asyncio.gather(*(put(store, number=number) for number in range(20)))
        assert len(redis_cluster.connections_named(name)) > before
        await store.aclose()
        assert len(redis_cluster.connections_named(name)) == before > 0


async def test_a_factorys_client_is_closed_by_the_store(
    make_store: MakeStore, redis_cluster: RunningCluster, key_prefix: str
) -> None:
    """What the store had made for itself it closes itself, and no connection is left."""
    name = key_prefix.rstrip(":")
    client = redis_cluster.client(client_name=name)
    await client.ping(target_nodes=RedisCluster.PRIMARIES)
    store = make_store(client=lambda: client)
    await put(store, a=1)
    assert redis_cluster.connections_named(name) != []
    await store.aclose()
    assert redis_cluster.connections_named(name) == []


async def test_a_client_with_other_reply_settings_works(make_store: MakeStore, redis_cluster: RunningCluster) -> None:
    """Replies are read as raw bytes, whatever protocol the client speaks and whether it decodes."""
    store = make_store(client=lambda: redis_cluster.client(decode_responses=True, protocol=3))
    assert await read(store, await put(store, a="ä")) == {"a": "ä"}


async def test_a_client_that_reads_from_replicas_makes_no_read_only_connections(
    make_store: MakeStore, redis_cluster: RunningCluster, key_prefix: str
) -> None:
    """A read-only connection to a primary that is demoted would answer with what is old, and not say where to ask."""
    name, strategy = key_prefix.rstrip(":"), LoadBalancingStrategy.ROUND_ROBIN
    await put(make_store(client=lambda: redis_cluster.client(client_name=name, load_balancing_strategy=strategy)), a=1)
    assert {client["flags"] for _, client in redis_cluster.connections_named(name)} == {"N"}


async def test_the_clients_user_and_password_are_used(make_store: MakeStore, redis_cluster: RunningCluster) -> None:
    """An ACL that allows the documented commands is enough, and a wrong password is told."""
    allowed = ["+get", "+mget", "+set", "+del", "+evalsha", "+eval", "+asking", "+cluster|slots"]
    for node in redis_cluster.nodes:
        node.command("ACL", "SETUSER", "app", "on", ">s3cret", "~*", "resetchannels", "-@all", *allowed)
    store = make_store(client=lambda: redis_cluster.client(username="app", password="s3cret"))
    cookie = await put(store, a=1)
    assert await put(store, cookie, b=2) == cookie
    assert await read(store, cookie) == {"a": 1, "b": 2}
    wrong = make_store(client=lambda: redis_cluster.client(username="app", password="wrong"))
    with pytest.raises(StoreUnavailable):
        await put(wrong, a=1)


def test_each_event_loop_has_connections_of_its_own(redis_cluster: RunningCluster, key_prefix: str) -> None:
    """Two loops that take turns, one in a thread, share a store made with a factory; nothing is left behind."""
    name = key_prefix.rstrip(":")
    store = RedisSessionStore(CONFIG, client=lambda: redis_cluster.client(client_name=name))
    with asyncio.Runner() as first:
        cookie = first.run(put(store, a=1))
        with ThreadPoolExecutor(1) as thread, asyncio.Runner() as second:
            thread.submit(second.run, put(store, cookie, b=2)).result()
            assert first.run(put(store, cookie, c=3)) == cookie
            thread.submit(second.close).result()
        assert first.run(read(store, cookie)) == {"a": 1, "b": 2, "c": 3}
    assert redis_cluster.connections_named(name) == []


def test_an_injected_client_on_a_second_loop_is_told_clearly(redis_cluster: RunningCluster) -> None:
    """As with one node, one client is for one loop, and the error names the remedy."""
    store = RedisSessionStore(CONFIG, client=redis_cluster.client())
    cookie = asyncio.run(put(store, a=1))
    with pytest.raises(ConfigurationError, match=r"another event loop.*function"):
        asyncio.run(read(store, cookie))
