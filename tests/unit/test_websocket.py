"""Sessions of WebSockets: read all the time, stored when the socket is accepted."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from session_kit import COOKIE, WatchedStore, call_asgi, config_with, http_scope, stored_session
from starlette.responses import Response
from starlette.websockets import WebSocket

from chirp.errors import SessionClosed
from chirp.middleware.sessions import ASGISessionMiddleware, get_session

CONFIG = config_with()


@pytest.fixture
def store() -> WatchedStore:
    return WatchedStore(CONFIG)


def inside(app: Any, store: WatchedStore) -> ASGISessionMiddleware:
    return ASGISessionMiddleware(app, replace(store.config, store=store))


def websocket_scope(cookie: str | None = None, **more: Any) -> dict[str, Any]:
    headers = [] if cookie is None else [(b"cookie", f"{COOKIE}={cookie}".encode())]
    return http_scope(type="websocket", scheme="wss", headers=headers, subprotocols=[], **more)


CONNECT = [{"type": "websocket.connect"}]


def socket_app(handler: Callable[[WebSocket], Any]) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await handler(WebSocket(scope, receive, send))

    return app


def header_of(message: dict[str, Any], name: bytes) -> list[bytes]:
    return [value for key, value in message.get("headers", ()) if key.lower() == name]


async def test_a_websocket_reads_the_session(store: WatchedStore) -> None:
    """Promise 19: before and after it is accepted."""
    seen: list[Any] = []

    async def handler(socket: WebSocket) -> None:
        seen.append(socket.session["a"])
        await socket.accept()
        seen.append(get_session()["a"])

    await call_asgi(inside(socket_app(handler), store), websocket_scope(await stored_session(store, {"a": 1})), CONNECT)
    assert seen == [1, 1]


async def test_a_session_of_a_websocket_is_stored_when_it_is_accepted(store: WatchedStore) -> None:
    """Its cookie travels with the acceptance, Secure over wss."""

    async def handler(socket: WebSocket) -> None:
        socket.session["a"] = 1
        await socket.accept()

    (accepted,) = await call_asgi(inside(socket_app(handler), store), websocket_scope(), CONNECT)
    (cookie,) = header_of(accepted, b"set-cookie")
    assert (accepted["type"], cookie.startswith(COOKIE.encode()), b"; Secure" in cookie) == (
        "websocket.accept",
        True,
        True,
    )


async def test_a_websocket_that_changes_the_session_after_accepting_is_told(store: WatchedStore) -> None:
    """Promise 19: no cookie and no write can follow."""

    async def handler(socket: WebSocket) -> None:
        await socket.accept()
        with pytest.raises(SessionClosed):
            socket.session["a"] = 1

    await call_asgi(inside(socket_app(handler), store), websocket_scope(), CONNECT)
    assert store.used == []


async def test_a_websocket_is_closed_when_the_load_fails(store: WatchedStore) -> None:
    """Promise 9: with the code for trying again later, before the app sees it."""
    store.broken = {"read"}
    (closed,) = await call_asgi(inside(None, store), websocket_scope("a" * 43), CONNECT)
    assert (closed["type"], closed["code"]) == ("websocket.close", 1013)


async def test_a_websocket_is_refused_with_a_503_where_the_server_can(store: WatchedStore) -> None:
    """Promise 9: the extension lets it say `Retry-After`."""
    store.broken = {"read"}
    scope = websocket_scope("a" * 43, extensions={"websocket.http.response": {}})
    start, *_ = await call_asgi(inside(None, store), scope, CONNECT)
    assert (start["type"], start["status"], header_of(start, b"retry-after")) == (
        "websocket.http.response.start",
        503,
        [b"5"],
    )


async def test_a_websocket_is_closed_when_the_save_fails(store: WatchedStore) -> None:
    """Promise 9: instead of being accepted, and nothing that the app sends later gets out."""
    store.broken = {"run"}

    async def handler(socket: WebSocket) -> None:
        socket.session["a"] = 1
        await socket.accept()
        await socket.send_text("stored")

    sent = await call_asgi(inside(socket_app(handler), store), websocket_scope(), CONNECT)
    assert [message["type"] for message in sent] == ["websocket.close"]


async def test_a_denied_websocket_stores_its_session(store: WatchedStore) -> None:
    """A response to the handshake carries the cookie as any other does."""

    async def handler(socket: WebSocket) -> None:
        socket.session["a"] = 1
        await socket.send_denial_response(Response(status_code=403))

    scope = websocket_scope(extensions={"websocket.http.response": {}})
    start, *_ = await call_asgi(inside(socket_app(handler), store), scope, CONNECT)
    assert (start["status"], len(header_of(start, b"set-cookie"))) == (403, 1)


async def test_a_websocket_of_a_login_beyond_the_limit_is_closed() -> None:
    """Instead of being accepted; the code says that it is the app's policy."""
    store = WatchedStore(config_with(max_sessions_per_user=1, on_session_limit="refuse"))

    async def handler(socket: WebSocket) -> None:
        socket.session["user_id"] = 5
        await socket.accept()

    for expected in ("websocket.accept", "websocket.close"):
        first, *_ = await call_asgi(inside(socket_app(handler), store), websocket_scope(), CONNECT)
        assert first["type"] == expected
    assert first["code"] == 1008
