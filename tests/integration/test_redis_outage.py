"""A real server that is not there, comes back with or without its data, or closes connections."""

import asyncio
import gc
import logging
import socket
import time
from collections.abc import Callable

import pytest
from monitor import connections_named
from redis.asyncio import Redis
from servers import OwnServer
from visits import MakeStore, commit, put, read, visit

from chirp.errors import StoreUnavailable
from chirp.middleware.sessions.session import Session
from chirp.middleware.sessions.session_id import mint

SOME_ID = mint()


@pytest.fixture
def nobody() -> str:
    """The address of a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"redis://127.0.0.1:{probe.getsockname()[1]}/0"


async def close_connections(client: Redis, name: str) -> None:
    """Have the server close the connections with this name, and wait until this process has been told."""
    for connection in await connections_named(client, name):
        await client.client_kill_filter(_id=connection)
    async with asyncio.timeout(5):
        while await connections_named(client, name):
            await asyncio.sleep(0)
    await client.ping()


async def crash(server: OwnServer) -> None:
    """Kill the server and start it again, while the event loop goes on as in an app."""
    server.kill()
    await asyncio.to_thread(server.start)


@pytest.mark.parametrize("cookie", [SOME_ID, None])
async def test_a_refused_connection_is_unavailable_at_once(
    make_store: MakeStore, nobody: str, cookie: str | None
) -> None:
    """Where nothing listens, a load and a create fail long before the deadline."""
    store = make_store(nobody, timeout_seconds=30)
    began = time.monotonic()
    with pytest.raises(StoreUnavailable) as raised:
        await put(store, cookie, a=1)
    assert time.monotonic() - began < 2
    assert isinstance(raised.value.__cause__, ConnectionError | OSError) or "Connection" in str(raised.value)


async def test_the_cause_of_an_outage_is_chained(make_store: MakeStore, nobody: str) -> None:
    """The error of the client library is the cause, so that a log shows what was wrong."""
    with pytest.raises(StoreUnavailable) as raised:
        await read(make_store(nobody), SOME_ID)
    assert "ConnectionError" in repr(raised.value.__cause__)


async def test_a_server_that_is_no_redis_is_unavailable(make_store: MakeStore) -> None:
    """An answer in another protocol is an outage, told at once."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1") as listening:
        store = make_store(f"redis://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        async with asyncio.timeout(1):
            with pytest.raises(StoreUnavailable):
                await read(store, SOME_ID)
        await store.aclose()


async def test_a_password_is_in_no_error_of_an_outage(make_store: MakeStore, server: OwnServer) -> None:
    """A wrong password is told without the password, in the error and in its cause."""
    store = make_store(server.url.replace("redis://", "redis://someone:s3cret@"))
    with pytest.raises(StoreUnavailable) as raised:
        await read(store, SOME_ID)
    assert "s3cret" not in f"{raised.value} {raised.value.__cause__!r} {store!r}"


async def test_a_server_started_later_is_found_without_a_restart_of_the_app(
    make_store: MakeStore, server: OwnServer
) -> None:
    """An app that starts before its Redis works as soon as that one is there."""
    server.stop()
    store = make_store(server.url)
    with pytest.raises(StoreUnavailable):
        await put(store, a=1)
    server.start()
    assert await read(store, await put(store, a=1)) == {"a": 1}


async def test_a_server_killed_and_started_again_with_its_data_has_the_sessions(
    make_store: MakeStore, own_server: Callable[..., OwnServer]
) -> None:
    """After a crash the next request works on new connections, and what was acknowledged is there."""
    server = own_server("--appendonly", "yes", "--appendfsync", "always")
    store = make_store(server.url)
    cookie = await put(store, a=1)
    server.kill()
    with pytest.raises(StoreUnavailable):
        await read(store, cookie)
    server.start()
    await put(store, cookie, b=2)
    assert await read(store, cookie) == {"a": 1, "b": 2}


@pytest.mark.parametrize("step", ["load", "change", "create", "end"])
async def test_no_request_notices_a_restart_between_requests(
    make_store: MakeStore, own_server: Callable[..., OwnServer], step: str
) -> None:
    """Connections that a restart broke while they were idle are replaced before anything is sent on them."""
    server = own_server("--appendonly", "yes", "--appendfsync", "always")
    store = make_store(server.url)
    cookie = await put(store, a=1)
    session = await store.open(cookie, https=True)
    await asyncio.gather(put(store, x=1), read(store, cookie), put(store, await put(store, y=1), z=1))
    await crash(server)
    match step:
        case "load":
            assert await read(store, cookie) == {"a": 1}
        case "change":
            session["b"] = 2
            await commit(store, session)
            assert await read(store, cookie) == {"a": 1, "b": 2}
        case "create":
            assert await read(store, await put(store, c=3)) == {"c": 3}
        case "end":
            session.clear()
            assert (await commit(store, session)).cookie is not None
            assert await read(store, cookie) == {}


async def test_after_a_restart_without_data_the_browser_gets_a_new_session(
    make_store: MakeStore, server: OwnServer
) -> None:
    """Where the server has lost everything, the old cookie is unknown and the next write starts anew."""
    store = make_store(server.url)
    cookie = await put(store, a=1)
    await crash(server)
    fresh = await put(store, cookie, b=2)
    assert fresh != cookie
    assert await read(store, fresh) == {"b": 2}


async def test_a_change_does_not_revive_what_a_restart_has_lost(make_store: MakeStore, server: OwnServer) -> None:
    """A session that went with the server's data stays gone; a request in flight stores nothing and sets no cookie."""
    store = make_store(server.url)
    cookie = await put(store, a=1)
    session = await store.open(cookie, https=True)
    await crash(server)
    session["b"] = 2
    assert (await commit(store, session)).cookie is None
    assert await read(store, cookie) == {}


@pytest.mark.parametrize("step", ["load", "change", "create", "end"])
async def test_a_connection_closed_by_the_server_while_idle_is_replaced(
    make_store: MakeStore, redis_url: str, redis_client: Redis, key_prefix: str, step: str
) -> None:
    """The server's own `timeout`, or a CLIENT KILL, is noticed before a command is sent, so nothing fails."""
    name = key_prefix.rstrip(":")
    store = make_store(f"{redis_url}?client_name={name}")
    cookie = await put(store, a=1)
    session = await store.open(cookie, https=True)
    await close_connections(redis_client, name)
    match step:
        case "load":
            assert await read(store, cookie) == {"a": 1}
        case "change":
            session["b"] = 2
            await commit(store, session)
            assert await read(store, cookie) == {"a": 1, "b": 2}
        case "create":
            assert await read(store, await put(store, c=3)) == {"c": 3}
        case "end":
            await visit(store, cookie, Session.clear)
            assert await read(store, cookie) == {}


async def test_an_outage_leaves_no_connection_unclosed(make_store: MakeStore, server: OwnServer) -> None:
    """Connections that broke or hung are closed, so that collecting them warns of nothing."""
    store = make_store(server.url, timeout_seconds=0.1)
    cookie = await put(store, a=1)
    server.freeze()
    await asyncio.gather(read(store, cookie), put(store, b=2), return_exceptions=True)
    server.kill()
    await asyncio.gather(read(store, cookie), put(store, b=2), return_exceptions=True)
    await store.aclose()
    del store
    gc.collect()  # a ResourceWarning is an error in this suite


async def test_an_outage_is_no_unexpected_failure_in_the_log(
    make_store: MakeStore, server: OwnServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Refused, frozen and back: nothing of it is logged as an error, neither here nor by asyncio."""
    store = make_store(server.url, timeout_seconds=0.1)
    cookie = await put(store, a=1)
    server.freeze()
    await asyncio.gather(read(store, cookie), put(store, b=2), return_exceptions=True)
    server.kill()
    await asyncio.gather(read(store, cookie), put(store, b=2), return_exceptions=True)
    server.start()
    await put(store, a=1)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
