"""`close_ended`: what an app and its clients see when a session ends while a WebSocket or a stream is open."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from open_connections import Held, held
from session_kit import COOKIE, WatchedStore, app_under, call_asgi, config_with, http_scope, stored_session
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from chirp.errors import ConfigurationError
from chirp.middleware.sessions import (
    ASGISessionMiddleware,
    CookieSessionStore,
    SessionMiddleware,
    get_session,
)
from chirp.middleware.sessions.connections import OpenConnections
from chirp.middleware.sessions.current import current_session
from chirp.middleware.sessions.session_id import hash_id
from chirp.middleware.sessions.steps import Delete
from chirp.testing import Browser

FRONTS = ("asgi", "app")
CONFIG = config_with(close_ended=True)


@pytest.fixture
def store() -> WatchedStore:
    return WatchedStore(CONFIG)


def with_store(store: WatchedStore) -> Any:
    return replace(store.config, store=store)


def sockets(store: WatchedStore, talk: Callable[[WebSocket], Any]) -> ASGISessionMiddleware:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        socket = WebSocket(scope, receive, send)
        await socket.accept()
        await talk(socket)

    return ASGISessionMiddleware(app, with_store(store))


def streams(front: str, store: WatchedStore, kind: str = "text/event-stream", log: list[str] | None = None) -> Any:
    """Return an app whose stream begins, and then waits for what never comes."""

    def handler(request: Request) -> Response:
        async def body() -> AsyncIterator[str]:
            try:
                yield "data: 1\n\n"
                await asyncio.Event().wait()
            finally:
                if log is not None:
                    log.append("closed")

        return StreamingResponse(body(), media_type=kind)

    return app_under(front, handler, with_store(store))


async def end(store: WatchedStore, cookie: str) -> None:
    await Browser(store, cookie).visit(lambda session: session.clear())


async def test_a_websocket_is_closed_when_its_session_ends(store: WatchedStore) -> None:
    """The handler sees a disconnect, and the client a code and a reason."""
    codes: list[int] = []

    async def talk(socket: WebSocket) -> None:
        try:
            await socket.receive_text()
        except WebSocketDisconnect as gone:
            codes.append(gone.code)

    cookie = await stored_session(store, {"a": 1})
    async with held(sockets(store, talk), "websocket", cookie) as connection:
        await connection.until("websocket.accept")
        await end(store, cookie)
        closed = await connection.until("websocket.close")
        await connection.ended()
    assert codes == [1008]
    assert (closed["code"], closed["reason"]) == (1008, "the session has ended")


async def test_a_handler_that_listens_to_nobody_is_cancelled(store: WatchedStore) -> None:
    """After a second in which it could have ended by itself."""
    log: list[str] = []

    async def talk(socket: WebSocket) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            log.append("cancelled")

    cookie = await stored_session(store, {"a": 1})
    async with held(sockets(store, talk), "websocket", cookie) as connection:
        await connection.until("websocket.accept")
        await end(store, cookie)
        await connection.until("websocket.close")
    assert log == ["cancelled"]


async def test_what_is_sent_after_the_end_is_an_error(store: WatchedStore) -> None:
    """As for a client that is gone (ASGI 2.4)."""
    failures: list[str] = []

    async def talk(socket: WebSocket) -> None:
        await socket.receive()
        try:
            await socket.send({"type": "websocket.send", "text": "secret"})
        except (OSError, WebSocketDisconnect) as error:
            failures.append(type(error).__name__)

    cookie = await stored_session(store, {"a": 1})
    async with held(sockets(store, talk), "websocket", cookie) as connection:
        await connection.until("websocket.accept")
        await end(store, cookie)
        await connection.ended()
    assert len(failures) == 1
    assert "websocket.send" not in [message["type"] for message in connection.sent]


@pytest.mark.parametrize("front", FRONTS)
async def test_a_stream_of_events_ends_with_its_session(front: str, store: WatchedStore) -> None:
    """Whole, so that the browser connects again and is told who it is now; and its generator is closed."""
    log: list[str] = []
    cookie = await stored_session(store, {"a": 1})
    async with held(streams(front, store, log=log), "http", cookie) as connection:
        await connection.until_body()
        await end(store, cookie)
        await connection.ended()
    assert connection.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
    assert log == ["closed"]


@pytest.mark.parametrize("front", FRONTS)
async def test_another_stream_is_left_incomplete(front: str, store: WatchedStore) -> None:
    """Nobody may take half of a download for the whole."""
    cookie = await stored_session(store, {"a": 1})
    async with held(streams(front, store, kind="text/csv"), "http", cookie) as connection:
        await connection.until_body()
        await end(store, cookie)
        await connection.ended()
    assert connection.sent[-1]["more_body"] is True


@pytest.mark.parametrize("kind", ["websocket", "http"])
async def test_other_sessions_stay_connected(kind: str, store: WatchedStore) -> None:
    """Only what belongs to the session is closed."""
    app = sockets(store, lambda socket: socket.receive()) if kind == "websocket" else streams("asgi", store)
    first, second = [await stored_session(store, {"a": number}) for number in (1, 2)]
    async with held(app, kind, first) as ending, held(app, kind, second) as staying:
        for each in (ending, staying):
            await begun(each, kind)
        await end(store, first)
        await ending.ended()
        assert not staying.task.done()


async def begun(connection: Held, kind: str) -> None:
    await connection.until("websocket.accept" if kind == "websocket" else "http.response.body")


@pytest.mark.parametrize(
    "revoke",
    [
        lambda store, cookie, handle: store.revoke(handle),
        lambda store, cookie, handle: store.revoke(handle, user_id=7),
        lambda store, cookie, handle: store.revoke_user(7),
        lambda store, cookie, handle: store.revoke_id(cookie),
        lambda store, cookie, handle: revoke_what_is_found(store),
        lambda store, cookie, handle: Browser(store, cookie).visit(lambda session: session.clear()),
        lambda store, cookie, handle: Browser(store, cookie).visit(lambda session: session._regenerate()),
        lambda store, cookie, handle: Browser(store, cookie).visit(lambda session: session.pop("user_id")),
    ],
    ids=["handle", "handle-of-user", "user", "id", "found", "clear", "regenerate", "emptied"],
)
async def test_every_way_to_end_a_session_closes_its_connections(
    revoke: Callable[[WatchedStore, str, str], Any], store: WatchedStore
) -> None:
    """By a message, so long before the next look at what is open."""
    cookie = await signed_in(store)
    async with held(streams("asgi", store), "http", cookie) as connection:
        await connection.until_body()
        await listening(store)
        handle = (await store.list_sessions(7))[0].handle
        await revoke(store, cookie, handle)
        async with asyncio.timeout(5):
            await connection.ended()


async def revoke_what_is_found(store: WatchedStore) -> None:
    for info in await store.list_sessions(7):
        await store.revoke_found(info)


async def test_a_login_that_ends_the_oldest_session_closes_its_connections() -> None:
    """One more than `max_sessions_per_user`."""
    store = WatchedStore(config_with(close_ended=True, max_sessions_per_user=1))
    cookie = await signed_in(store)
    async with held(streams("asgi", store), "http", cookie) as connection:
        await connection.until_body()
        await listening(store)
        await signed_in(store)
        async with asyncio.timeout(5):
            await connection.ended()


async def signed_in(store: WatchedStore) -> str:
    visitor = Browser(store)
    await visitor.visit(lambda session: session.update(user_id=7))
    assert visitor.cookie is not None
    return visitor.cookie


async def listening(store: WatchedStore) -> None:
    """Wait until the store has somebody who listens."""
    async with asyncio.timeout(5):
        while not store._listeners:
            await asyncio.sleep(0)


@pytest.mark.parametrize("follow", [True, False])
async def test_a_rotation_closes_nothing(follow: bool, store: WatchedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session lives on under another id, and its end is noticed there."""
    monkeypatch.setattr("chirp.middleware.sessions.connections.RECHECK_SECONDS", 0.01)
    visitor = Browser(store, await stored_session(store, {"a": 1}))
    async with held(streams("asgi", store), "http", visitor.cookie or "") as connection:
        await connection.until_body()
        await listening(store)
        await visitor.visit(lambda session: session._rotate(follow=follow))
        await looked_again(store)
        assert not connection.task.done()
        await visitor.visit(lambda session: session.clear())
        await connection.ended()


async def test_a_change_of_user_closes_what_the_user_before_has_opened(store: WatchedStore) -> None:
    """The session lives on, but whoever listens is somebody else's."""
    cookie = await signed_in(store)
    async with held(streams("asgi", store), "http", cookie) as connection:
        await connection.until_body()
        await listening(store)
        await Browser(store, cookie).visit(lambda session: session.update(user_id=8))
        async with asyncio.timeout(5):
            await connection.ended()


async def looked_again(store: WatchedStore) -> None:
    """Wait until what is open has been looked up twice, the first of which may have begun before."""
    seen = store.used.count("read")
    async with asyncio.timeout(5):
        while store.used.count("read") < seen + 2:
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("grace", [0, 30])
async def test_a_session_that_a_rotation_left_no_trace_of_is_found_by_its_user(
    grace: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a grace nothing stands under the old key."""
    monkeypatch.setattr("chirp.middleware.sessions.connections.RECHECK_SECONDS", 0.01)
    store = WatchedStore(config_with(close_ended=True, rotation_grace_seconds=grace))
    visitor = Browser(store, await signed_in(store))
    async with held(streams("asgi", store), "http", visitor.cookie or "") as connection:
        await connection.until_body()
        await listening(store)
        await visitor.visit(lambda session: session._rotate(follow=False))
        await looked_again(store)
        assert not connection.task.done()


async def test_an_expired_session_is_noticed_by_the_next_look(
    store: WatchedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No message tells of that."""
    monkeypatch.setattr("chirp.middleware.sessions.connections.RECHECK_SECONDS", 0.01)
    cookie = await stored_session(store, {"a": 1})
    async with held(streams("asgi", store), "http", cookie) as connection:
        await connection.until_body()
        store.clock.move(CONFIG.max_age)  # type: ignore[attr-defined]
        await connection.ended()


async def test_very_many_connections_are_looked_up_in_pieces(
    store: WatchedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store answers all of them in its time, and requests in between."""
    monkeypatch.setattr("chirp.middleware.sessions.directory.AT_ONCE", 2)
    asked: list[int] = []
    read_all = store._read_all

    async def counting(keys: Any) -> Any:
        asked.append(len(keys))
        return await read_all(keys)

    monkeypatch.setattr(store, "_read_all", counting)
    connections = OpenConnections(store)
    closed = asyncio.Event()
    for number in range(5):
        session = await store.open(await stored_session(store, {"a": number}), None)
        connections.add(session, closed.set)
    await end(store, session.id or "")
    await closed.wait()
    await connections.aclose()
    assert asked == [2, 2, 1]


async def test_what_is_closed_otherwise_during_a_look_is_left_alone(
    store: WatchedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its background task would be cancelled, and its body ended a second time."""
    connections = OpenConnections(store)
    closed: list[str] = []
    last = asyncio.Event()
    cookies = [await stored_session(store, {"a": number}) for number in range(2)]
    leaving, staying = [await store.open(cookie, None) for cookie in cookies]
    finished = connections.add(leaving, lambda: closed.append("finished"))
    connections.add(staying, last.set)
    read_all = store._read_all

    async def reading(keys: Any) -> Any:
        for cookie in cookies:
            await end(store, cookie)
        values = await read_all(keys)
        assert finished is not None
        connections.discard(finished)
        return values

    monkeypatch.setattr(store, "_read_all", reading)
    await last.wait()
    await connections.aclose()
    assert closed == []


async def test_what_ended_before_anybody_listened_is_noticed_at_once(store: WatchedStore) -> None:
    """Between the load and the first byte, say."""
    cookie = await stored_session(store, {"a": 1})

    async def talk(socket: WebSocket) -> None:
        await end(store, cookie)  # nobody has had the time to listen
        await socket.receive()

    async with held(sockets(store, talk), "websocket", cookie) as connection, asyncio.timeout(5):
        await connection.until("websocket.close")


async def test_a_store_that_is_out_closes_nothing(store: WatchedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """An outage is no end (promise 9)."""
    monkeypatch.setattr("chirp.middleware.sessions.connections.RECHECK_SECONDS", 0.01)
    monkeypatch.setattr("chirp.middleware.sessions.connections.PAUSE_SECONDS", 0.01)
    cookie = await stored_session(store, {"a": 1})
    async with held(streams("asgi", store), "http", cookie) as connection:
        await connection.until_body()
        store.broken = {"read"}
        await looked_again(store)
        assert not connection.task.done()
        store.broken = set()
        await end(store, cookie)
        await connection.ended()


BEGINNINGS = {
    "websocket": [{"type": "websocket.accept"}],
    "http": [
        {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]},
        {"type": "http.response.body", "body": b"a", "more_body": True},
    ],
}


@pytest.mark.parametrize("kind", BEGINNINGS)
async def test_what_the_app_closes_itself_is_not_closed_again(kind: str, store: WatchedStore) -> None:
    """The end comes while the server takes the app's last message; to servers, another one is an error."""
    last = {"type": "websocket.close"} if kind == "websocket" else {"type": "http.response.body", "body": b"b"}
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in BEGINNINGS[kind]:
            await send(dict(message))
        await listening(store)
        await send(last)

    async def send(message: Any) -> None:
        sent.append(message)
        if message is last:
            await end(store, cookie)
            while store._listeners:  # until the end has been heard of
                await asyncio.sleep(0)

    cookie = await stored_session(store, {"a": 1})
    scope = http_scope(type=kind, scheme="https", headers=[(b"cookie", f"{COOKIE}={cookie}".encode())])
    async with asyncio.timeout(5):
        await ASGISessionMiddleware(app, with_store(store))(scope, asyncio.Event().wait, send)  # type: ignore[arg-type]
    assert sent[-1] is last


@pytest.mark.parametrize("leads_to", ["itself", "another session"])
async def test_a_planted_tombstone_closes_what_it_stands_for(
    leads_to: str, store: WatchedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It neither keeps the look from ending, nor passes for the session."""
    monkeypatch.setattr("chirp.middleware.sessions.connections.RECHECK_SECONDS", 0.01)
    cookie, other = [await stored_session(store, {"a": number}) for number in (1, 2)]
    async with held(streams("asgi", store), "http", cookie) as connection, asyncio.timeout(5):
        await connection.until_body()
        await listening(store)
        successor = cookie if leads_to == "itself" else other
        store._set(store.key_for(cookie), b"moved " + hash_id(successor).encode(), 30_000)
        await connection.ended()


async def test_a_connection_stays_open_when_the_trace_of_a_rotation_is_gone(
    store: WatchedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look has followed it to where the session is now."""
    monkeypatch.setattr("chirp.middleware.sessions.connections.RECHECK_SECONDS", 0.01)
    cookie = await stored_session(store, {"a": 1})
    visitor = Browser(store, cookie)
    async with held(streams("asgi", store), "http", cookie) as connection:
        await connection.until_body()
        await listening(store)
        await visitor.visit(lambda session: session._rotate(follow=False))
        await looked_again(store)
        await store._run([Delete(store.key_for(cookie))])
        await looked_again(store)
        assert not connection.task.done()


async def test_watching_begins_anew_after_everything_was_closed(store: WatchedStore) -> None:
    """And not with the request's context, which it outlives."""
    contexts: list[Any] = []
    read = store._read_all

    async def noting(keys: Any) -> Any:
        contexts.append(current_session.get(None))
        return await read(keys)

    store._read_all = noting  # type: ignore[method-assign]
    app = streams("asgi", store)
    for number in range(2):
        cookie = await stored_session(store, {"a": number})
        async with held(app, "http", cookie) as connection, asyncio.timeout(5):
            await connection.until_body()
            await listening(store)
            await end(store, cookie)
            await connection.ended()
            while store._listeners:
                await asyncio.sleep(0)
    assert len(contexts) > 1
    assert set(contexts) == {None}


async def test_a_failure_that_nobody_expected_is_told_and_watching_goes_on(
    store: WatchedStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise nothing would be closed any more, and nobody would know."""
    monkeypatch.setattr("chirp.middleware.sessions.connections.PAUSE_SECONDS", 0.01)
    read, failures = store._read_all, [ValueError("unexpected")]

    async def failing(keys: Any) -> Any:
        if failures:
            raise failures.pop()
        return await read(keys)

    monkeypatch.setattr(store, "_read_all", failing)
    cookie = await stored_session(store, {"a": 1})
    async with held(streams("asgi", store), "http", cookie) as connection, asyncio.timeout(5):
        await connection.until_body()
        while failures:
            await asyncio.sleep(0)
        await end(store, cookie)
        await connection.ended()
    assert "watching for ended sessions failed unexpectedly" in caplog.text


async def test_an_end_that_cannot_be_announced_is_an_end(
    store: WatchedStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is acknowledged by then; the next look closes what is open."""
    monkeypatch.setattr("chirp.middleware.sessions.connections.RECHECK_SECONDS", 0.01)
    cookie = await stored_session(store, {"a": 1})
    async with held(streams("asgi", store), "http", cookie) as connection:
        await connection.until_body()
        visitor = Browser(store, cookie)
        request = await visitor.begin()
        request.run(lambda session: session.clear())
        run = store._run

        async def refusing(steps: Any) -> Any:
            if type(steps[0]).__name__ == "Announce":
                store.broken = {"run"}
            try:
                return await run(steps)
            finally:
                store.broken = set()

        monkeypatch.setattr(store, "_run", refusing)
        assert "Max-Age=0" in (await request.finish() or "")
        await connection.ended()
    assert "could not be announced" in caplog.text


async def test_every_connection_that_is_closed_is_an_event(
    store: WatchedStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever looks for what a revocation did finds it by the handle."""
    cookie = await signed_in(store)
    (info,) = await store.list_sessions(7)
    async with held(streams("asgi", store), "http", cookie) as connection:
        await connection.until_body()
        with caplog.at_level("INFO", "chirp.sessions"):
            await end(store, cookie)
            await connection.ended()
    told = [vars(record) for record in caplog.records if vars(record).get("event") == "closed"]
    assert [each["handle"] for each in told] == [info.handle]


async def test_a_handler_whose_client_has_gone_is_left_alone(store: WatchedStore) -> None:
    """What it still does is its own, as a background task is; and there is nothing to close."""
    gone, go_on = asyncio.Event(), asyncio.Event()
    log: list[str] = []

    async def talk(socket: WebSocket) -> None:
        await socket.receive()
        gone.set()
        await go_on.wait()
        log.append("done")

    leaving, staying = await stored_session(store, {"a": 1}), await stored_session(store, {"a": 2})
    async with (
        held(sockets(store, talk), "websocket", leaving) as connection,
        held(streams("asgi", store), "http", staying) as other,
    ):
        await connection.until("websocket.accept")
        connection.incoming.put_nowait({"type": "websocket.disconnect", "code": 1001})
        await gone.wait()
        await other.until_body()
        await end(store, leaving)
        await end(store, staying)
        await other.ended()
        go_on.set()
        await connection.ended()
    assert log == ["done"]
    assert [message["type"] for message in connection.sent] == ["websocket.accept"]


async def test_a_client_that_goes_while_its_session_ends_fails_nothing(store: WatchedStore) -> None:
    """The server says so by an OSError when the socket is to be closed (ASGI 2.4)."""

    async def talk(socket: WebSocket) -> None:
        await socket.receive()

    inside = sockets(store, talk)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            if message["type"] == "websocket.close":
                raise OSError
            await send(message)

        await inside(scope, receive, sending)

    cookie = await stored_session(store, {"a": 1})
    async with held(app, "websocket", cookie) as connection:
        await connection.until("websocket.accept")
        await end(store, cookie)
        await connection.ended()
        assert connection.task.exception() is None


async def test_a_background_task_is_not_cancelled(store: WatchedStore) -> None:
    """It runs after the last byte, and belongs to no open connection."""
    cookie = await stored_session(store, {"a": 1})
    go_on = asyncio.Event()
    log: list[str] = []

    def handler(request: Request) -> Response:
        async def body() -> AsyncIterator[str]:
            yield "a"

        async def task() -> None:
            await end(store, cookie)
            await go_on.wait()
            log.append("done")

        return StreamingResponse(body(), background=BackgroundTask(task))

    async with held(app_under("asgi", handler, with_store(store)), "http", cookie) as connection:
        await connection.until_body()
        go_on.set()
        await connection.ended()
    assert log == ["done"]


@pytest.mark.parametrize("front", FRONTS)
async def test_without_the_option_nothing_is_announced_and_nobody_listens(front: str) -> None:
    """It costs those who ask for it."""
    store = WatchedStore(config_with())
    cookie = await stored_session(store, {"a": 1})
    async with held(streams(front, store), "http", cookie) as connection:
        await connection.until_body()
        store.used.clear()
        await end(store, cookie)
        assert store.used == ["read", "run"]
        assert not connection.task.done()


async def test_a_visitor_without_a_stored_session_is_left_alone(store: WatchedStore) -> None:
    """There is nothing that could end."""
    async with held(streams("asgi", store), "http", "nonsense") as connection:
        await connection.until_body()
        assert not store._listeners


async def test_the_shutdown_of_the_app_stops_the_listening(store: WatchedStore) -> None:
    """No task of it is left on the loop."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await asyncio.Event().wait()

    front = ASGISessionMiddleware(app, with_store(store))
    async with held(front, "http", await stored_session(store, {"a": 1})) as connection:
        await connection.until_body()
        await listening(store)
        await call_asgi(front, {"type": "lifespan"})
        assert not store._listeners


@pytest.mark.parametrize("front", [lambda config: ASGISessionMiddleware(Response(), config), SessionMiddleware])
def test_a_cookie_store_cannot_tell_of_ends(front: Any) -> None:
    """So the option is refused at construction."""
    with pytest.raises(ConfigurationError, match="close_ended"):
        front(replace(CONFIG, store=CookieSessionStore(CONFIG)))


def test_a_handler_reads_its_session_as_ever(store: WatchedStore) -> None:
    """The option changes nothing for requests that end by themselves."""
    from session_kit import browser  # noqa: PLC0415

    app = app_under("asgi", lambda request: Response(str(len(get_session()))), with_store(store))
    assert browser(app).get("/").text == "0"
