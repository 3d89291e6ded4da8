"""Slots of a real cluster that move, and nodes that cannot be reached."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator

import pytest
from proxy import proxied
from redis.asyncio.cluster import RedisCluster
from scripted import scripted
from visits import CONFIG, MakeStore, commit, put, read, visit

from benchmarks.cluster import RunningCluster
from chirp.errors import StoreUnavailable
from chirp.middleware.sessions import RedisSessionStore, redis_topology
from chirp.middleware.sessions.session import Session


@pytest.fixture
def store(make_store: MakeStore, redis_cluster: RunningCluster) -> RedisSessionStore:
    return make_store(client=redis_cluster.client)


@pytest.fixture
async def one_slot(redis_cluster: RunningCluster, key_prefix: str) -> AsyncIterator[RedisSessionStore]:
    """A store whose sessions are all in one slot, since its prefix has a hash tag."""
    store = RedisSessionStore(CONFIG, key_prefix=f"{{{key_prefix}}}", client=redis_cluster.client)
    yield store
    await store.aclose()


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


async def change_at_once(store: RedisSessionStore, cookies: list[str], **data: object) -> None:
    sessions = await asyncio.gather(*(store.open(cookie, https=True) for cookie in cookies))
    for session in sessions:
        session.update(data)
    await asyncio.gather(*(commit(store, session) for session in sessions))


async def test_a_moved_slot_is_followed_by_loads(one_slot: RedisSessionStore, redis_cluster: RunningCluster) -> None:
    """Loads that meet a slot's old owner, in three batches, find their sessions with one look at the topology."""
    cookies = await asyncio.gather(*(put(one_slot, number=number) for number in range(150)))
    source, _ = redis_cluster.move(one_slot.key_for(cookies[0]))
    looks, misses = sum(node.calls("cluster") for node in redis_cluster.nodes), source.calls("get")
    loads = await asyncio.gather(*(read(one_slot, cookie) for cookie in cookies))
    assert loads == [{"number": number} for number in range(150)]
    assert sum(node.calls("cluster") for node in redis_cluster.nodes) - looks == 1
    assert await read(one_slot, cookies[0]) == {"number": 0}
    assert source.calls("get") == misses


async def test_a_refusal_from_before_the_last_look_causes_no_other(
    one_slot: RedisSessionStore, redis_cluster: RunningCluster
) -> None:
    """What was sent by routes that have been replaced meanwhile is sent again by the new ones as they are."""
    await put(one_slot, a=1)
    topology = one_slot._nodes.get()._topology
    stale = topology.routes
    await topology.refresh(stale)
    looks = sum(node.calls("cluster") for node in redis_cluster.nodes)
    await topology.refresh(stale)
    assert sum(node.calls("cluster") for node in redis_cluster.nodes) == looks
    assert topology.routes is not stale


@pytest.mark.parametrize("scripts", ["known", "forgotten"])
async def test_a_moved_slot_is_followed_by_changes(
    one_slot: RedisSessionStore, redis_cluster: RunningCluster, scripts: str
) -> None:
    """Changes, creates and ends that meet a slot's old owner happen at the new one, once each."""
    cookies = list(await asyncio.gather(*(put(one_slot, number=number) for number in range(4))))
    sessions = [await one_slot.open(cookie, https=True) for cookie in (*cookies, cookies[0], None)]
    for session in (*sessions[:3], sessions[-1]):
        session["new"] = True
    sessions[3].clear()
    sessions[4]["merged"] = True
    _, target = redis_cluster.move(one_slot.key_for(cookies[0]))
    if scripts == "forgotten":
        target.command("SCRIPT", "FLUSH")
    await asyncio.gather(*(commit(one_slot, session) for session in sessions))
    found = [await read(one_slot, cookie) for cookie in (*cookies, sessions[-1].id or "")]
    assert found == [
        {"number": 0, "new": True, "merged": True},
        {"number": 1, "new": True},
        {"number": 2, "new": True},
        {},
        {"new": True},
    ]


async def test_a_slot_on_its_way_is_asked_for_at_both_nodes(
    one_slot: RedisSessionStore, redis_cluster: RunningCluster
) -> None:
    """While a slot is half moved, sessions are read, changed, merged, ended and created on either side."""
    here, there, ended = [await put(one_slot, name=name) for name in ("here", "there", "ended")]
    source, target = redis_cluster.begin_to_move(one_slot.key_for(here))
    try:
        for cookie in (there, ended):
            redis_cluster.carry_over(one_slot.key_for(cookie), source, target)
        target.command("SCRIPT", "FLUSH")
        asked = target.calls("asking")
        assert [await read(one_slot, cookie) for cookie in (here, there)] == [{"name": "here"}, {"name": "there"}]
        assert target.calls("asking") - asked == 1
        await change_at_once(one_slot, [here, there], first=1)
        await asyncio.gather(*(change_at_once(one_slot, [here, there], **{f"key{n}": n}) for n in range(3)))
        await visit(one_slot, ended, Session.clear)
        created = await put(one_slot, name="created")
        assert [await read(one_slot, cookie) for cookie in (ended, created)] == [{}, {"name": "created"}]
    finally:
        redis_cluster.finish_move(one_slot.key_for(here), source, target)
    written = {"first": 1, "key0": 0, "key1": 1, "key2": 2}
    assert await read(one_slot, here) == {"name": "here", **written}
    assert await read(one_slot, there) == {"name": "there", **written}
    assert [await read(one_slot, cookie) for cookie in (ended, created)] == [{}, {"name": "created"}]


async def test_nodes_that_send_a_request_in_a_circle_are_given_up(
    make_store: MakeStore, redis_cluster: RunningCluster
) -> None:
    """Where every address leads to the same node, sessions of the others are unavailable, and soon."""
    one = redis_cluster.nodes[0]
    store = make_store(client=lambda: redis_cluster.client(address_remap=lambda _: ("127.0.0.1", one.port)))
    before = one.calls("cluster")
    keys = (f"{store.key_prefix}{number}" for number in range(1000))
    with pytest.raises(StoreUnavailable, match="MovedError"):
        await store._read(next(key for key in keys if redis_cluster.owner(key) is not one))
    assert one.calls("cluster") - before < 10


async def mistaken(make_store: MakeStore, running: RunningCluster, key: str, wrong_port: int) -> RedisSessionStore:
    """Return a store that has learnt a wrong address for the node that serves a key, and can learn the right one."""
    owner, mistake = running.owner(key), [True]

    def remap(address: tuple[str, int]) -> tuple[str, int]:
        return (address[0], wrong_port) if mistake and address[1] == owner.port else address

    other = running.another(owner)
    store = make_store(client=lambda: RedisCluster(host="127.0.0.1", port=other.port, address_remap=remap))
    keys = (f"{store.key_prefix}{number}" for number in range(1000))
    await store._read(next(key for key in keys if running.owner(key) is other))
    mistake.clear()
    return store


async def test_a_load_is_repeated_when_its_node_cannot_be_reached(
    make_store: MakeStore, redis_cluster: RunningCluster, store: RedisSessionStore, unused_port: int
) -> None:
    """The topology is looked at again, and the load goes where it says."""
    cookie = await put(store, a=1)
    behind = await mistaken(make_store, redis_cluster, store.key_for(cookie), unused_port)
    assert await read(behind, cookie) == {"a": 1}


async def test_a_change_is_made_elsewhere_when_its_node_cannot_be_reached(
    make_store: MakeStore, redis_cluster: RunningCluster, store: RedisSessionStore, unused_port: int
) -> None:
    """Nothing of it was sent, so the topology is looked at again, and the change goes where it says."""
    cookie = await put(store, a=1)
    session = await store.open(cookie, https=True)
    session["b"] = 2
    behind = await mistaken(make_store, redis_cluster, store.key_for(cookie), unused_port)
    await commit(behind, session)
    assert await read(store, cookie) == {"a": 1, "b": 2}


async def test_a_change_that_was_sent_is_not_sent_again(
    make_store: MakeStore, redis_cluster: RunningCluster, store: RedisSessionStore
) -> None:
    """Its reply was lost, so it may have happened: it is refused, and makes the store look at the topology again."""
    cookie = await put(store, a=1)
    await put(store, cookie, scripts="known")
    owner = redis_cluster.owner(store.key_for(cookie))
    async with proxied(f"redis://127.0.0.1:{owner.port}") as proxy:

        def remap(address: tuple[str, int]) -> tuple[str, int]:
            return (address[0], proxy.listens_on) if address[1] == owner.port else address

        behind = make_store(client=lambda: redis_cluster.client(address_remap=remap))
        session = await behind.open(cookie, https=True)
        session["b"] = 2
        swaps, looks = owner.calls("evalsha"), sum(node.calls("cluster") for node in redis_cluster.nodes)
        proxy.lose_reply_to = b"EVALSHA"
        with pytest.raises(StoreUnavailable, match="closed"):
            await commit(behind, session)
        assert owner.calls("evalsha") - swaps == 1
        await behind._nodes.get()._topology.discovery
        assert sum(node.calls("cluster") for node in redis_cluster.nodes) - looks == 1
    assert await read(store, cookie) == {"a": 1, "b": 2, "scripts": "known"}


async def test_a_dead_node_is_no_reason_to_ask_the_others_all_the_time(
    make_store: MakeStore, redis_cluster: RunningCluster, unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests for its slots are many, and each would be a reason to look at the topology; looks keep a distance."""
    monkeypatch.setattr(redis_topology, "PAUSE_SECONDS", 60)
    dead, *others = redis_cluster.nodes

    def remap(address: tuple[str, int]) -> tuple[str, int]:
        return (address[0], unused_port) if address[1] == dead.port else address

    seed = others[0].port
    store = make_store(
        client=lambda: RedisCluster(host="127.0.0.1", port=seed, address_remap=remap), timeout_seconds=0.5
    )
    looks = sum(node.calls("cluster") for node in redis_cluster.nodes)
    for _ in range(2):  # the second time, the node is doubted already
        told = await asyncio.gather(*(put(store, number=number) for number in range(60)), return_exceptions=True)
        assert {type(each) for each in told} == {str, StoreUnavailable}
    assert sum(node.calls("cluster") for node in redis_cluster.nodes) - looks == 1


async def test_a_moved_slot_is_followed_at_once_while_a_dead_node_is_not_asked_about(
    one_slot: RedisSessionStore, redis_cluster: RunningCluster, unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was told where a slot went does not keep that distance."""
    monkeypatch.setattr(redis_topology, "PAUSE_SECONDS", 60)
    cookie = await put(one_slot, a=1)
    topology = one_slot._nodes.get()._topology
    topology.discover_if_not_yet(topology.routes, doubted=("127.0.0.1", unused_port))
    redis_cluster.move(one_slot.key_for(cookie))
    assert await read(one_slot, cookie) == {"a": 1}


async def test_a_cluster_that_cannot_be_reached_is_unavailable(make_store: MakeStore, unused_port: int) -> None:
    """Where no node answers, the request is told."""
    store = make_store(client=lambda: RedisCluster(host="127.0.0.1", port=unused_port))
    with pytest.raises(StoreUnavailable, match="topology"):
        await put(store, a=1)


@pytest.mark.parametrize("answer", [b"*1\r\n*1\r\n:0\r\n", b"*1\r\n$1\r\nx\r\n", b"*0\r\n", b"$-1\r\n"])
async def test_an_answer_that_is_no_topology_is_an_outage(make_store: MakeStore, answer: bytes) -> None:
    """Whatever a node tells when it is asked who serves what, the request is told that the store is unavailable."""
    async with scripted() as node:
        node.reply = lambda command: answer
        host, _, port = node.url.removeprefix("redis://").partition(":")
        store = make_store(client=lambda: RedisCluster(host=host, port=int(port)))
        with pytest.raises(StoreUnavailable, match="topology"):
            await put(store, a=1)
        await store.aclose()
