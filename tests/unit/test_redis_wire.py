"""Commands and replies on one connection: who is told what and when, and when a connection is not used again."""

import asyncio
import gc
import struct
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

import pytest
from batch_kit import settle
from redis.asyncio import Connection, ConnectionPool
from redis.exceptions import (
    BusyLoadingError,
    InvalidResponse,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)
from redis.exceptions import ConnectionError as ConnectionFailed
from scripted import OK, Scripted, bulk, scripted

from chirp.middleware.sessions import redis_wire
from chirp.middleware.sessions.redis_client import Link, NotSent, SentInVain
from chirp.middleware.sessions.redis_wire import DirectWire, PlainWire, Wire, as_said, is_lost, wire_over

Connect = Callable[..., Awaitable[Wire]]

GET = [("GET", "key")]


@pytest.fixture
async def server() -> AsyncIterator[Scripted]:
    async with scripted() as server:
        yield server


@pytest.fixture
async def pool(server: Scripted) -> AsyncIterator[ConnectionPool]:
    pool = ConnectionPool.from_url(server.url, protocol=2)
    yield pool
    await pool.aclose()


@pytest.fixture
def connect(pool: ConnectionPool) -> Connect:
    """Connect, and return the wire over that; a plain one where asked for."""

    async def wire(*, plain: bool = False) -> Wire:
        connection = await pool.get_connection()
        return PlainWire(connection) if plain else wire_over(connection, owned=True)

    return wire


@pytest.fixture
def link(pool: ConnectionPool) -> Link:
    return Link(pool, 1, owned=True)


kinds = pytest.mark.parametrize("plain", [False, True], ids=["direct", "plain"])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_a_connection_of_the_stores_own_is_taken_over(connect: Connect) -> None:
    """It is faster, and nobody else can be surprised by it."""
    assert type(await connect()) is DirectWire


async def test_a_connection_that_others_use_stays_as_it_is(pool: ConnectionPool) -> None:
    """It goes back to their pool, and must then read through redis-py's streams."""
    assert type(wire_over(await pool.get_connection(), owned=False)) is PlainWire


async def test_a_connection_that_may_get_messages_nobody_asked_for_stays_as_it_is(pool: ConnectionPool) -> None:
    """With RESP3 the server tells of maintenance, and redis-py acts on it."""
    connection = await pool.get_connection()
    connection.protocol = 3
    assert type(wire_over(connection, owned=True)) is PlainWire


async def test_a_connection_with_its_own_way_of_reading_stays_as_it_is(pool: ConnectionPool) -> None:
    """A Sentinel's makes an error of a refusal by a replica, so that what may be repeated goes to the new primary."""

    class OfSentinel(Connection):
        async def read_response(self, *args: Any, **kwargs: Any) -> Any:
            return await super().read_response(*args, **kwargs)

    pool.connection_class = OfSentinel
    assert type(wire_over(await pool.get_connection(), owned=True)) is PlainWire


async def test_a_connection_that_shows_no_transport_stays_as_it_is(pool: ConnectionPool) -> None:
    """Whatever a later redis-py keeps it under."""
    connection = await pool.get_connection()
    writer, connection._writer = connection._writer, None
    assert type(wire_over(connection, owned=True)) is PlainWire
    connection._writer = writer


async def test_without_hiredis_redis_py_does_it(monkeypatch: pytest.MonkeyPatch, link: Link, server: Scripted) -> None:
    """Slower, and with the same replies."""
    monkeypatch.setattr(redis_wire, "pack_command", None)
    server.reply = lambda command: bulk(*command)
    assert await link.exchange([("MGET", "a"), ("MGET", "b")], list) == [[b"MGET", b"a"], [b"MGET", b"b"]]


@kinds
async def test_each_command_has_its_reply(connect: Connect, server: Scripted, plain: bool) -> None:
    """In order, as raw bytes, numbers and lists."""
    replies = iter([OK, b":7\r\n", bulk(b"\xff", None), b"$-1\r\n"])
    server.reply = lambda command: next(replies)
    wire = await connect(plain=plain)
    assert await wire.exchange([("A",), ("B",), ("C",), ("D",)], list) == [b"OK", 7, [b"\xff", None], None]
    assert wire.intact


@kinds
async def test_a_reply_may_come_in_any_pieces(connect: Connect, server: Scripted, plain: bool) -> None:
    """A byte at a time, where TCP likes."""
    server.reply = lambda command: None
    wire = await connect(plain=plain)
    exchange = asyncio.ensure_future(wire.exchange([("A",), ("B",)], list))
    await until(lambda: len(server.asked) == 2)
    for number in (*bulk(b"one", b"two"), *b":3\r\n"):
        server.connections[0].write(bytes([number]))
        await settle()
    assert await exchange == [[b"one", b"two"], 3]


@kinds
async def test_a_refusal_takes_the_place_of_a_reply(connect: Connect, server: Scripted, plain: bool) -> None:
    """Also inside of others, and as the class that redis-py has for it."""
    replies = iter([b"-NOSCRIPT no\r\n", b"*2\r\n-ERR bad\r\n:1\r\n", OK])
    server.reply = lambda command: next(replies)
    wire = await connect(plain=plain)
    refused, (inner, number), last = await wire.exchange([("A",), ("B",), ("C",)], list)
    assert (type(refused), type(inner), number, last) == (NoScriptError, ResponseError, 1, b"OK")
    assert wire.intact


async def test_replies_are_read_before_who_waits_has_a_turn(connect: Connect) -> None:
    """So a batch's waiters run in the same turn of the event loop as its sender, and can ask again."""
    order: list[str] = []
    wire = await connect()

    def read(replies: list[Any]) -> str:
        asyncio.get_running_loop().call_soon(order.append, "woken by read")
        return "read"

    order.append(await wire.exchange(GET, read))
    assert order == ["woken by read", "read"]


@kinds
async def test_what_reading_raises_is_raised_to_who_waits(connect: Connect, plain: bool) -> None:
    """The connection has done its part, and goes on."""
    wire = await connect(plain=plain)

    def read(replies: list[Any]) -> None:
        raise LookupError("not in there")

    with pytest.raises(LookupError, match="not in there"):
        await wire.exchange(GET, read)
    assert wire.intact
    assert await wire.exchange(GET, list) == [b"OK"]


@kinds
@pytest.mark.parametrize("reply", [b"-READONLY a replica\r\n", b"*1\r\n*1\r\n-READONLY a replica\r\n"])
async def test_a_replica_is_not_one_to_go_on_with(
    connect: Connect, server: Scripted, plain: bool, reply: bytes
) -> None:
    """It will refuse every write; the reply itself is given all the same."""
    server.reply = lambda command: reply
    wire = await connect(plain=plain)
    (refused,) = await wire.exchange(GET, list)
    while isinstance(refused, list):
        (refused,) = refused
    assert (type(refused), wire.intact) == (ReadOnlyError, False)


@kinds
@pytest.mark.parametrize(
    ("reply", "error"),
    [(b"-LOADING the dataset\r\n", BusyLoadingError), (b"HTTP/1.1 400 Bad Request\r\n", InvalidResponse)],
)
async def test_what_is_no_reply_fails_the_exchange(
    connect: Connect, server: Scripted, plain: bool, reply: bytes, error: type[Exception]
) -> None:
    """And what comes after it belongs to nobody."""
    server.reply = lambda command: reply
    wire = await connect(plain=plain)
    with pytest.raises(error):
        await wire.exchange([("A",), ("B",)], list)
    assert not wire.intact


@kinds
async def test_a_connection_that_ends_fails_the_exchange(connect: Connect, server: Scripted, plain: bool) -> None:
    """At once, in the middle of a reply; that all went well before does not count."""
    wire = await connect(plain=plain)
    await wire.exchange(GET, list)
    server.reply = lambda command: None
    exchange = asyncio.ensure_future(wire.exchange(GET, list))
    await until(lambda: len(server.asked) == 2)
    server.connections[0].write(b"$100\r\nbegun")
    server.connections[0].close()
    with pytest.raises(ConnectionFailed):
        await asyncio.wait_for(exchange, 5)
    assert (wire.intact, wire.ready) == (False, False)


async def test_an_idle_connection_keeps_nothing_of_what_was_read(connect: Connect) -> None:
    """Neither the replies nor whoever read them, which for a batch of large sessions would be megabytes."""
    wire = await connect()
    reader = Reader()
    gone = weakref.ref(reader)
    assert await wire.exchange(GET, reader.read) == [b"OK"]
    del reader
    gc.collect()
    assert gone() is None


async def test_a_closed_connection_keeps_nothing_of_what_was_to_be_read(connect: Connect, server: Scripted) -> None:
    """It is held until it is needed again."""
    server.reply = lambda command: None
    wire = await connect()
    reader = Reader()
    gone = weakref.ref(reader)
    exchange = asyncio.ensure_future(wire.exchange(GET, reader.read))
    await until(lambda: len(server.asked) == 1)
    exchange.cancel()
    await wire.close()
    del reader
    gc.collect()
    assert gone() is None


class Reader:
    """Reads replies as they are."""

    def read(self, replies: list[Any]) -> list[Any]:
        return replies


@pytest.mark.parametrize("owned", [False, True])
async def test_a_connection_that_was_reset_while_idle_is_made_anew(server: Scripted, owned: bool) -> None:
    """redis-py's pool gives it out all the same, since nobody has read from it."""
    async with aclosing(ConnectionPool.from_url(server.url, protocol=2)) as pool:
        await pool.release(await pool.get_connection())
        socket = server.connections[0].get_extra_info("socket")
        socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))  # so that it is reset, and not shut down
        server.connections[0].transport.abort()
        await until(lambda: is_lost(pool._available_connections[0]))
        assert await Link(pool, 1, owned=owned).exchange(GET, list) == [b"OK"]


async def test_a_connection_whose_end_was_told_is_not_ready(connect: Connect) -> None:
    """Under TLS there is a moment in which its transport does not say that it is closing yet."""
    wire = await connect()
    assert isinstance(wire, DirectWire)
    assert wire.ready
    wire.eof_received()
    assert not wire.ready


async def test_redis_py_learns_that_a_connection_has_ended(connect: Connect, server: Scripted) -> None:
    """It can close it, which waits for that, and connect anew."""
    wire = await connect()
    server.connections[0].close()
    await until(lambda: not wire.ready)
    async with asyncio.timeout(5):
        await wire.connection.disconnect()
        await wire.connection.connect()
    assert await wire_over(wire.connection, owned=True).exchange(GET, list) == [b"OK"]


async def test_a_reply_too_many_is_given_to_nobody(link: Link, server: Scripted) -> None:
    """Promise 10: the connection is not used again, so nobody mistakes it for a reply to a later command."""
    server.reply = lambda command: bulk(command[1], b"mine") + bulk(command[1], b"not mine")
    for key in (b"1", b"2"):
        assert await link.exchange([("GET", key)], list) == [[key, b"mine"]]
    assert len(server.connections) == 2
    assert type(link._held[0]) is DirectWire


async def test_what_comes_while_nobody_asks_is_given_to_nobody(link: Link, server: Scripted) -> None:
    """Promise 10: a server that speaks without being asked has lost its count, or says good-bye."""
    server.reply = lambda command: bulk(command[1])
    await link.exchange([("GET", b"1")], list)
    server.connections[0].write(bulk(b"stray"))
    await until(lambda: not link._held[0].ready)
    assert await link.exchange([("GET", b"2")], list) == [[b"2"]]
    assert len(server.connections) == 2


async def test_the_reply_to_a_cancelled_exchange_is_given_to_nobody(link: Link, server: Scripted) -> None:
    """Promise 10: its connection is closed, since the reply is still to come on it."""
    server.reply = lambda command: None
    exchange = asyncio.ensure_future(link.exchange([("GET", b"1")], list))
    await until(lambda: len(server.asked) == 1)
    exchange.cancel()
    server.connections[0].write(bulk(b"1"))
    await asyncio.wait({exchange})
    server.reply = lambda command: bulk(command[1])
    assert await link.exchange([("GET", b"2")], list) == [[b"2"]]
    assert (exchange.cancelled(), len(server.connections)) == (True, 2)


async def test_a_reply_between_cancelling_and_closing_is_given_to_nobody(connect: Connect, server: Scripted) -> None:
    """Promise 10: whoever cancels may be slow to close."""
    server.reply = lambda command: None
    wire = await connect()
    exchange = asyncio.ensure_future(wire.exchange(GET, list))
    await until(lambda: len(server.asked) == 1)
    exchange.cancel()
    server.connections[0].write(bulk(b"late"))
    await until(lambda: not wire.ready)
    assert not wire.intact


async def test_an_exchange_that_is_answered_when_it_is_cancelled_keeps_its_connection(
    link: Link, server: Scripted
) -> None:
    """Every reply has come, so there is nothing left on it that could be mistaken."""
    exchange = asyncio.ensure_future(
        link.exchange(GET, lambda replies: asyncio.get_running_loop().call_soon(exchange.cancel))
    )
    await asyncio.wait({exchange})
    assert exchange.cancelled()
    assert await link.exchange(GET, list) == [b"OK"]
    assert len(server.connections) == 1


async def test_closing_does_not_wait_for_a_server_that_takes_nothing(connect: Connect, server: Scripted) -> None:
    """What it has not taken is thrown away."""
    wire = await connect()
    server.connections[0].transport.pause_reading()  # type: ignore[attr-defined]
    exchange = asyncio.ensure_future(wire.exchange([("SET", "key", b"x" * (32 << 20))], list))
    await settle()
    async with asyncio.timeout(5):
        await wire.close()
        with pytest.raises(ConnectionFailed):
            await exchange


async def test_a_connection_that_cannot_be_had_is_told_apart_from_one_that_failed(link: Link, server: Scripted) -> None:
    """What was not sent may be sent again, whatever it is."""
    server.reply = lambda command: None
    exchange = asyncio.ensure_future(link.exchange(GET, list))
    await until(lambda: len(server.asked) == 1)
    server.connections[0].close()
    with pytest.raises(SentInVain):
        await exchange
    with pytest.raises(NotSent):
        await Link(ConnectionPool.from_url("redis://127.0.0.1:1"), 1, owned=True).exchange(GET, list)


async def test_a_connection_that_cannot_be_made_anew_takes_no_place() -> None:
    """However often it is tried, there is room for the one that succeeds, and nothing was sent meanwhile."""
    async with scripted() as server:
        pool = ConnectionPool.from_url(server.url, protocol=2, max_connections=1)
        link = Link(pool, 1, owned=True)
        await link.exchange(GET, list)
    await until(lambda: not link._held[0].ready)
    for _ in range(3):
        with pytest.raises(NotSent):
            await asyncio.wait_for(link.exchange(GET, list), 5)
    await link.aclose()


@pytest.mark.parametrize(("code", "kind"), [("READONLY", ReadOnlyError), ("OOM", OutOfMemoryError)])
def test_what_a_script_was_refused_with_is_told_apart_on_redis_6(code: str, kind: type[Exception]) -> None:
    """Its own code is inside the words of the script there, and decides all the same."""
    assert type(as_said(ResponseError(f"@user_script: 23: -{code} not now"))) is kind


@kinds
async def test_a_refusal_inside_of_a_transaction_is_told_apart_on_redis_6(
    plain: bool, connect: Connect, server: Scripted
) -> None:
    """On either kind of wire, however deep in the reply it stands; and the connection is to an old primary then."""
    server.reply = lambda command: b"*2\r\n:1\r\n*1\r\n-ERR at @user_script: 9: -READONLY a replica\r\n"
    wire = await connect(plain=plain)
    ((_, (refusal,)),) = await wire.exchange(GET, list)
    assert type(refusal) is ReadOnlyError
    assert not wire.intact
