"""`close_ended` on real servers: an end in one process closes WebSockets and streams in another."""

import asyncio
import json
import re
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import httpx2
import pytest
import uvicorn
from open_connections import Held, held
from programs import ROOT
from proxy import proxied
from redis import Redis
from redis.asyncio import ConnectionPool
from redis.asyncio import Redis as AsyncRedis
from servers import OwnServer, program_on_path, with_user
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from visits import CONFIG, MakeStore, put, visit
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from benchmarks.cluster import RunningCluster
from benchmarks.nodes import HOST
from benchmarks.sentinel import watched
from chirp.errors import ConfigurationError
from chirp.middleware.sessions import ASGISessionMiddleware, RedisSessionStore, rotate_session
from chirp.middleware.sessions.session import Session

CLOSING = replace(CONFIG, close_ended=True)
CHANNEL = "ended"
PROMPT = 5.0  # seconds; half of what it takes until what is open is looked up

clear = Session.clear


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look up what is open all the time."""
    monkeypatch.setattr("chirp.middleware.sessions.connections.RECHECK_SECONDS", 0.05)
    monkeypatch.setattr("chirp.middleware.sessions.connections.PAUSE_SECONDS", 0.05)


async def wait_silently(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
    await asyncio.Event().wait()


def app_on(store: RedisSessionStore) -> ASGISessionMiddleware:
    return ASGISessionMiddleware(wait_silently, replace(CLOSING, store=store))


def listeners(url: str, prefix: str) -> int:
    with Redis.from_url(url) as client:
        ((_, count),) = client.pubsub_numsub(prefix + CHANNEL)
    return int(count)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.01)


@asynccontextmanager
async def listened_to(store: RedisSessionStore, cookie: str, listened: Callable[[], bool]) -> AsyncIterator[Held]:
    """Open a stream whose end somebody listens for by then."""
    async with held(app_on(store), "http", cookie) as connection:
        await connection.until_body()
        await until(listened)
        yield connection


async def closes_promptly(
    open_in: RedisSessionStore, ended_in: RedisSessionStore, listened: Callable[[], bool]
) -> None:
    cookie = await put(ended_in, a=1)
    async with listened_to(open_in, cookie, listened) as connection:
        await visit(ended_in, cookie, clear)
        async with asyncio.timeout(PROMPT):
            await connection.ended()


async def test_an_end_in_one_process_closes_a_stream_in_another(
    make_store: MakeStore, redis_url: str, key_prefix: str
) -> None:
    """By a message, long before the next look."""
    await closes_promptly(
        make_store(config=CLOSING), make_store(config=CLOSING), lambda: listeners(redis_url, key_prefix) == 1
    )


@pytest.mark.parametrize("options", [{}, {"decode_responses": True}, {"protocol": 3}], ids=str)
async def test_an_injected_client_listens_as_well(
    make_store: MakeStore, redis_url: str, key_prefix: str, options: dict[str, Any]
) -> None:
    """Whatever its settings; it is not closed, and gets its connection back."""
    async with AsyncRedis.from_url(redis_url, **options) as client:
        store = make_store(config=CLOSING, client=client)
        await closes_promptly(store, store, lambda: listeners(redis_url, key_prefix) == 1)
        assert await client.ping()


async def test_a_message_that_is_no_text_is_nothing(
    make_store: MakeStore, redis_url: str, key_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever may publish there can send anything, and an injected client may want text of it."""
    async with AsyncRedis.from_url(redis_url, decode_responses=True) as client:
        store = make_store(config=CLOSING, client=client)
        cookie = await put(store, a=1)
        async with listened_to(store, cookie, lambda: listeners(redis_url, key_prefix) == 1) as connection:
            await client.publish(key_prefix + CHANNEL, b"\xff\xfe")
            await visit(store, cookie, clear)
            async with asyncio.timeout(PROMPT):
                await connection.ended()
    assert not caplog.records


async def test_a_pool_of_one_connection_is_refused(make_store: MakeStore, redis_url: str) -> None:
    """Listening would keep it, and every request would wait for it in vain."""
    pool = ConnectionPool.from_url(redis_url, max_connections=1)
    with pytest.raises(ConfigurationError, match="max_connections=1"):
        make_store(config=CLOSING, pool=pool)
    with pytest.raises(ConfigurationError, match="max_connections=1"):
        make_store(config=CLOSING, client=AsyncRedis(connection_pool=pool))
    make_store(pool=pool)


async def test_a_cluster_tells_of_ends(make_store: MakeStore, redis_cluster: RunningCluster, key_prefix: str) -> None:
    """Whichever node was told, and whichever is listened to."""
    store, other = (make_store(config=CLOSING, client=redis_cluster.client) for _ in range(2))
    urls = [f"redis://{HOST}:{node.port}" for node in redis_cluster.nodes]
    await closes_promptly(store, other, lambda: sum(listeners(url, key_prefix) for url in urls) == 1)


async def test_the_primary_behind_sentinel_tells_of_ends(make_store: MakeStore, key_prefix: str) -> None:
    """It is found as for requests."""
    with watched(binary=program_on_path()) as group:
        store, other = (make_store(config=CLOSING, client=group.client) for _ in range(2))
        await closes_promptly(store, other, lambda: listeners(group.primary().url, key_prefix) == 1)


async def test_a_broken_connection_is_made_anew_and_what_was_missed_is_found(
    make_store: MakeStore, server: OwnServer, key_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the two nobody was told."""
    monkeypatch.setattr("chirp.middleware.sessions.connections.PAUSE_SECONDS", 0.5)
    store, other = (make_store(server.url, config=CLOSING) for _ in range(2))
    cookie = await put(other, a=1)
    with Redis.from_url(server.url) as admin:
        async with listened_to(store, cookie, lambda: listeners(server.url, key_prefix) == 1) as connection:
            admin.client_kill_filter(_type="pubsub")
            assert listeners(server.url, key_prefix) == 0
            await visit(other, cookie, clear)
            async with asyncio.timeout(PROMPT):
                await connection.ended()


async def test_a_server_that_does_not_answer_closes_nothing(
    make_store: MakeStore, server: OwnServer, key_prefix: str, often: None, caplog: pytest.LogCaptureFixture
) -> None:
    """Promise 9; and when it is back, ends are noticed again."""
    store = make_store(server.url, config=CLOSING, timeout_seconds=0.2)
    cookie = await put(store, a=1)
    async with listened_to(store, cookie, lambda: listeners(server.url, key_prefix) == 1) as connection:
        server.freeze()
        await until(lambda: "nobody tells of ended sessions" in caplog.text)
        assert not connection.task.done()
        server.thaw()
        await visit(make_store(server.url, config=CLOSING), cookie, clear)
        await connection.ended()


async def test_a_network_that_is_lost_while_a_client_connects_anew_is_noticed(
    make_store: MakeStore, redis_url: str, key_prefix: str, often: None, caplog: pytest.LogCaptureFixture
) -> None:
    """An injected client does so by itself, and would wait for a greeting for ever."""
    patient = {"socket_timeout": None, "socket_connect_timeout": None}
    async with proxied(redis_url) as proxy, AsyncRedis.from_url(proxy.url, **patient) as client:
        store = make_store(config=CLOSING, client=client, timeout_seconds=0.2)
        cookie = await put(make_store(config=CLOSING), a=1)
        async with listened_to(store, cookie, lambda: listeners(redis_url, key_prefix) == 1) as connection:
            proxy.accept_lost = True
            with Redis.from_url(redis_url) as admin:
                admin.client_kill_filter(_type="pubsub")
            await until(lambda: "nobody tells of ended sessions" in caplog.text)
            proxy.accept_lost = False
            await visit(make_store(config=CLOSING), cookie, clear)
            await connection.ended()


async def test_a_user_who_may_not_publish_ends_sessions_all_the_same(
    make_store: MakeStore, server: OwnServer, key_prefix: str, often: None, caplog: pytest.LogCaptureFixture
) -> None:
    """The next look finds it."""
    url = with_user(server, f"~{key_prefix}*", "+@all", "-publish", "allchannels")
    store = make_store(url, config=CLOSING)
    cookie = await put(store, a=1)
    async with held(app_on(store), "http", cookie) as connection:
        await connection.until_body()
        await visit(store, cookie, clear)
        await connection.ended()
    assert "could not be announced" in caplog.text


async def test_the_rights_that_are_documented_are_enough(
    make_store: MakeStore, server: OwnServer, key_prefix: str
) -> None:
    """Those for sessions, and two commands and a channel more."""
    documented = ROOT.joinpath("docs/how-to/redis.md").read_text("utf-8")
    assert "`+publish +subscribe` and the channel `&chirp:session:ended`" in documented
    _, *rights = re.findall(r"resetchannels (-@all .*)$", documented, re.MULTILINE)[0].split()
    rules = [f"~{key_prefix}*", "resetchannels", "-@all", *rights, "+publish", "+subscribe", f"&{key_prefix}{CHANNEL}"]
    store = make_store(with_user(server, *rules), config=CLOSING)
    await closes_promptly(store, store, lambda: listeners(server.url, key_prefix) == 1)


async def test_a_user_who_may_not_listen_is_told_once(
    make_store: MakeStore, server: OwnServer, key_prefix: str, often: None, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is closed, and the log says why."""
    store = make_store(with_user(server, f"~{key_prefix}*", "+@all", "resetchannels"), config=CLOSING)
    cookie = await put(store, a=1)
    async with held(app_on(store), "http", cookie) as connection:
        await connection.until_body()
        await until(lambda: "nobody tells of ended sessions" in caplog.text)
        assert not connection.task.done()


async def test_a_rotation_keeps_a_stream_open(
    make_store: MakeStore, redis_url: str, key_prefix: str, often: None
) -> None:
    """The session lives; when it ends under its new id, the stream does."""
    store = make_store(config=CLOSING)
    cookie = await put(store, a=1)
    async with listened_to(store, cookie, lambda: listeners(redis_url, key_prefix) == 1) as connection:
        rotated = (await visit(store, cookie, lambda session: rotate_session())).session.id
        with Redis.from_url(redis_url) as client:
            before = client.info("commandstats")["cmdstat_get"]["calls"]
            await until(lambda: client.info("commandstats")["cmdstat_get"]["calls"] > before + 4)
        assert not connection.task.done()
        await visit(store, rotated or "", clear)
        await connection.ended()


async def test_nobody_listens_once_everything_is_closed(
    make_store: MakeStore, redis_url: str, key_prefix: str, often: None
) -> None:
    """The connection goes when the last one that needed it has gone."""
    store = make_store(config=CLOSING)
    cookie = await put(store, a=1)
    async with listened_to(store, cookie, lambda: listeners(redis_url, key_prefix) == 1) as connection:
        await visit(store, cookie, clear)
        await connection.ended()
        await until(lambda: listeners(redis_url, key_prefix) == 0)


def small_site(store: RedisSessionStore) -> Starlette:
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)

    async def events(request: Request) -> Response:
        async def body() -> AsyncIterator[str]:
            yield f"data: {json.dumps(request.session)}\n\n"
            await asyncio.Event().wait()

        return StreamingResponse(body(), media_type="text/event-stream")

    async def login(request: Request) -> Response:
        request.session["user_id"] = 7
        return Response()

    async def logout(request: Request) -> Response:
        request.session.clear()
        return Response()

    routes = [
        WebSocketRoute("/talk", talk),
        Route("/events", events),
        Route("/login", login),
        Route("/logout", logout),
    ]
    site = Starlette(routes=routes)
    site.add_middleware(ASGISessionMiddleware, config=replace(CLOSING, store=store))
    return site


@contextmanager
def serving(store: RedisSessionStore) -> Iterator[str]:
    """Serve on a loop of its own, as another process does."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        server = uvicorn.Server(uvicorn.Config(small_site(store), log_level="error", lifespan="on"))
        thread = threading.Thread(target=partial(server.run, sockets=[listening]))
        thread.start()
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=20)


async def test_a_logout_closes_the_websockets_and_events_of_real_servers(redis_url: str, key_prefix: str) -> None:
    """Two of them; the browser's socket ends with 1008, and its events end."""
    stores = [RedisSessionStore(CLOSING, redis_url, key_prefix) for _ in range(2)]
    with serving(stores[0]) as first, serving(stores[1]) as second:
        async with httpx2.AsyncClient() as client:
            await client.get(f"http://{first}/login")
            cookie = f"{CLOSING.cookie_name}={client.cookies[CLOSING.cookie_name]}"
            async with (
                connect(f"ws://{first}/talk", additional_headers={"Cookie": cookie}) as talk,
                client.stream("GET", f"http://{second}/events", headers={"Cookie": cookie}) as events,
            ):
                await talk.send("a")
                assert await talk.recv() == "a"
                lines = events.aiter_lines()
                assert await anext(lines) == 'data: {"user_id": 7}'
                await until(lambda: listeners(redis_url, key_prefix) == 2)
                await client.get(f"http://{second}/logout", headers={"Cookie": cookie})
                async with asyncio.timeout(PROMPT):
                    with pytest.raises(ConnectionClosed) as closed:
                        await talk.recv()
                    assert [line async for line in lines if line] == []
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "the session has ended")
    assert listeners(redis_url, key_prefix) == 0
