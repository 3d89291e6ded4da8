"""What a cluster's nodes may reply and real ones are hard to bring to, and what the store makes of it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from redis.asyncio.cluster import ClusterNode as Node
from redis.asyncio.cluster import RedisCluster
from redis.crc import REDIS_CLUSTER_HASH_SLOTS
from redis.exceptions import ConnectionError as ConnectionFailed
from redis.exceptions import TryAgainError
from scripted import Scripted, scripted
from traffic import until
from visits import MakeStore, put

from chirp.errors import StoreUnavailable
from chirp.middleware.sessions import RedisSessionStore
from chirp.middleware.sessions.merging import Write
from chirp.middleware.sessions.redis_wire import Command, Read
from chirp.middleware.sessions.steps import Swap

SLOTS, CREATE, SWAP = b"CLUSTER", b"SET", b"EVALSHA"


def serving(*ports: int) -> bytes:
    """Return the reply to CLUSTER SLOTS where these nodes serve a part each."""
    edges = [REDIS_CLUSTER_HASH_SLOTS * number // len(ports) for number in range(len(ports) + 1)]
    ranges = [
        b"*3\r\n:%d\r\n:%d\r\n*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n" % (first, end - 1, port)
        for first, end, port in zip(edges, edges[1:], ports, strict=False)
    ]
    return b"*%d\r\n%s" % (len(ports), b"".join(ranges))


def store_on(make_store: MakeStore, *nodes: Scripted) -> RedisSessionStore:
    return make_store(client=lambda: RedisCluster(startup_nodes=[Node("127.0.0.1", node.port) for node in nodes]))


def leave(node: Scripted) -> None:
    """Close every connection without another reply, and take no new one."""
    node.close()
    for connection in node.connections:
        connection.close()


def names(node: Scripted) -> list[bytes]:
    return [command[0] for command in node.asked]


async def test_being_told_to_try_again_is_unavailable_at_once(make_store: MakeStore) -> None:
    """No command of the store can be told so; if one were, the request would fail, and the store not insist."""
    async with scripted() as node:
        node.reply = lambda command: serving(node.port) if command[0] == SLOTS else b"-TRYAGAIN later\r\n"
        store = store_on(make_store, node)
        with pytest.raises(StoreUnavailable) as raised:
            await put(store, a=1)
    assert isinstance(raised.value.__cause__, TryAgainError)
    assert names(node) == [SLOTS, CREATE]


async def test_a_create_that_was_sent_to_a_node_now_gone_is_not_sent_to_another(make_store: MakeStore) -> None:
    """The first attempt may have happened, although the second one found nobody."""
    async with scripted() as first, scripted() as second:

        def reply(command: Sequence[bytes]) -> bytes | None:
            if command[0] == SLOTS:
                return serving(first.port)
            leave(first)
            return None

        first.reply = reply
        second.reply = lambda command: serving(second.port) if command[0] == SLOTS else b"+OK\r\n"
        store = store_on(make_store, first, second)
        with pytest.raises(StoreUnavailable):
            await put(store, a=1)
        await store._nodes.get()._topology.discovery
        assert (names(first), names(second)) == ([SLOTS, CREATE], [SLOTS])
        assert await put(store, a=1)
    assert names(second) == [SLOTS, CREATE]


async def test_changes_that_were_sent_to_a_node_now_gone_are_not_sent_to_another(
    make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two in one batch one was made, and the other needed the script once more; by then nobody was there."""
    async with scripted() as first, scripted() as second:
        swapped = b"*1\r\n:1\r\n"

        def reply(command: Sequence[bytes]) -> bytes | None:
            if command[0] == SLOTS:
                return serving(first.port)
            return swapped if command[3] == b"made" else b"-NOSCRIPT No matching script\r\n"

        first.reply = reply
        second.reply = lambda command: serving(second.port) if command[0] == SLOTS else swapped
        store = store_on(make_store, first, second)
        cluster = store._nodes.get()
        await cluster._topology.refresh(cluster._topology.routes)
        link = cluster._topology.routes[0].link
        exchange = link.exchange

        async def exchange_unless_gone(commands: Sequence[Command], read: Read[Any]) -> Any:
            if commands[0][0] == "EVAL":
                leave(first)
                await until(lambda: not any(wire.ready for wire in link._held))
            return await exchange(commands, read)

        monkeypatch.setattr(link, "exchange", exchange_unless_gone)
        writes = [Write(Swap(key, b"{}", b"{1}", 0), b"{1}", b"{}", b"{1}", None) for key in ("made", "unknown")]
        told = await asyncio.gather(*map(cluster.write, writes), return_exceptions=True)
        assert [type(answer) for answer in told] == [StoreUnavailable, StoreUnavailable]
        assert [type(answer.__cause__) for answer in told] == [ConnectionFailed, ConnectionFailed]
        await cluster._topology.discovery
        assert (names(first), names(second)) == ([SLOTS, SWAP, SWAP], [SLOTS])
