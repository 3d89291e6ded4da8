"""`ASGISessionMiddleware` on the messages of ASGI itself: lifespan, errors, odd apps."""

from dataclasses import replace
from typing import Any

import pytest
from session_kit import COOKIE, WatchedStore, browser, call_asgi, config_with, http_scope, saved, stored_session
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from chirp.errors import ConfigurationError, SessionNotSerializable, SessionTooLarge
from chirp.middleware.sessions import ASGISessionMiddleware, SessionConfig, get_session

CONFIG = config_with()


@pytest.fixture
def store() -> WatchedStore:
    return WatchedStore(CONFIG)


def inside(app: Any, store: WatchedStore) -> ASGISessionMiddleware:
    return ASGISessionMiddleware(app, replace(store.config, store=store))


def header_of(message: dict[str, Any], name: bytes) -> list[bytes]:
    return [value for key, value in message.get("headers", ()) if key.lower() == name]


async def test_headers_given_as_an_iterator_are_sent(store: WatchedStore) -> None:
    """The ASGI specification allows any iterable."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": iter([(b"x-a", b"1")])})
        await send({"type": "http.response.body", "body": b""})

    start, _ = await call_asgi(inside(app, store), http_scope())
    assert list(start["headers"]) == [(b"x-a", b"1")]


async def test_a_response_without_headers_gets_the_cookie(store: WatchedStore) -> None:
    """They are optional in ASGI."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["a"] = 1
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    start, _ = await call_asgi(inside(app, store), http_scope())
    assert len(header_of(start, b"set-cookie")) == 1


async def test_the_session_is_stored_once(store: WatchedStore) -> None:
    """When the response starts, not with every message."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["a"] = 1
        await send({"type": "http.response.start", "status": 200})
        for part in range(3):
            await send({"type": "http.response.body", "more_body": part < 2})

    await call_asgi(inside(app, store), http_scope())
    assert store.used == ["run"]


async def test_an_informational_message_before_the_response_stores_nothing(store: WatchedStore) -> None:
    """The handler may go on after it (103 Early Hints)."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.early_hint", "links": []})
        scope["session"]["a"] = 1
        await send({"type": "http.response.start", "status": 200})

    _, start = await call_asgi(inside(app, store), http_scope())
    assert len(header_of(start, b"set-cookie")) == 1


async def test_cookies_of_several_headers_are_read(store: WatchedStore) -> None:
    """HTTP/2 splits them."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(dict(scope["session"]))

    cookie = f"{COOKIE}={await stored_session(store, {'a': 1})}".encode()
    await call_asgi(inside(app, store), http_scope(headers=[(b"cookie", b"x=y"), (b"cookie", cookie)]))
    assert seen == [{"a": 1}]


async def test_noise_in_a_cookie_header_is_no_error(store: WatchedStore) -> None:
    """Promise 13: bytes that are no text are another cookie's business."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await Response()(scope, receive, send)

    noise = f"{COOKIE}=".encode() + bytes(range(256)) * 100
    start, _ = await call_asgi(inside(app, store), http_scope(headers=[(b"cookie", noise)]))
    assert (start["status"], store.used) == (200, [])


async def test_after_the_request_there_is_no_session(store: WatchedStore) -> None:
    """The context is as it was before."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        get_session()

    await call_asgi(inside(app, store), http_scope())
    with pytest.raises(LookupError):
        get_session()


@pytest.mark.parametrize("ending", ["complete", "failed"])
async def test_the_store_is_closed_before_the_shutdown_is_reported(store: WatchedStore, ending: str) -> None:
    """Promise 15: afterwards the loop may be gone. Not at the startup."""
    order: list[str] = []

    async def aclose() -> None:
        order.append("closed")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.complete"})
        order.append("serving")
        await send({"type": f"lifespan.shutdown.{ending}"})
        order.append("reported")

    store.aclose = aclose  # type: ignore[method-assign]
    await call_asgi(inside(app, store), {"type": "lifespan"})
    assert order == ["serving", "closed", "reported"]


async def test_other_scopes_pass_through(store: WatchedStore) -> None:
    """An extension of a server is no request."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    await call_asgi(inside(app, store), {"type": "telegram"})
    assert seen == [{"type": "telegram"}]


def test_a_store_of_others_is_refused() -> None:
    """At construction, with the front that takes it."""

    class Plain:
        async def load(self, request: Any) -> dict[str, Any]:
            return {}

        async def save(self, response: Any, session: Any, *, regenerate_old_id: str | None = None) -> Any:
            return response

    with pytest.raises(ConfigurationError, match=r"Plain with load and save only.*use SessionMiddleware"):
        ASGISessionMiddleware(None, SessionConfig(CONFIG.secret_key, store=Plain()))  # type: ignore[arg-type]


async def too_large(request: Request) -> Response:
    request.session["a"] = "x" * 70_000
    return PlainTextResponse("stored")


async def unserializable(request: Request) -> Response:
    request.session["a"] = object()
    return PlainTextResponse("stored")


UNSTORABLE = pytest.mark.parametrize(
    ("endpoint", "error"), [(too_large, SessionTooLarge), (unserializable, SessionNotSerializable)]
)


@UNSTORABLE
def test_what_cannot_be_stored_raises(store: WatchedStore, endpoint: Any, error: type[Exception]) -> None:
    """Promise 11: a typed error, and not a response that pretends."""
    client = browser(inside(Starlette(routes=[Route("/", endpoint)]), store))
    with pytest.raises(error):
        client.get("/")


@UNSTORABLE
def test_an_app_that_catches_the_error_can_answer(store: WatchedStore, endpoint: Any, error: type[Exception]) -> None:
    """What its `send` raised left the response unstarted, so another one can be sent instead."""

    async def answering(scope: Any, receive: Any, send: Any) -> None:
        try:
            response = await endpoint(Request(scope, receive, send))
            await response(scope, receive, send)
        except error as raised:
            await PlainTextResponse(type(raised).__name__, 413)(scope, receive, send)

    response = browser(inside(answering, store)).get("/")
    assert (response.status_code, response.text) == (413, error.__name__)
    assert "set-cookie" not in response.headers


def test_a_handler_of_all_exceptions_can_answer(store: WatchedStore) -> None:
    """It is outermost in Starlette, so it sees what the session's end raised."""

    async def answering(request: Request, raised: Exception) -> Response:
        return PlainTextResponse(type(raised).__name__, 500)

    app = Starlette(routes=[Route("/", too_large)], exception_handlers={Exception: answering})
    app.add_middleware(ASGISessionMiddleware, config=replace(CONFIG, store=store))
    response = browser(app, raise_server_exceptions=False).get("/")
    assert (response.status_code, response.text) == (500, "SessionTooLarge")


async def test_a_deeply_nested_stored_document_never_makes_a_500(store: WatchedStore) -> None:
    """Promise 13: whatever room the stack has left when it is encoded again."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await Response()(scope, receive, send)

    cookie = await stored_session(store, {"a": 1})
    key = store.key_for(cookie)
    for levels in range(100, 1100):
        deep = (
            b'{"__created_at":1,"__last_seen_at":1.7e9,"handle":"h","data":{"a":'
            + b"[" * levels
            + b"]" * levels
            + b"}}"
        )
        store._values[key] = (deep, store.clock() + 1000)
        headers = [(b"cookie", f"{COOKIE}={cookie}".encode())]
        start, *_ = await call_asgi(inside(app, store), http_scope(headers=headers))
        assert start["status"] == 200


async def test_saving_twice_sets_one_cookie(store: WatchedStore) -> None:
    """A handler may save by itself; the front has nothing left to do."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["a"] = 1
        response = Response()
        header = await saved(store, scope["session"])
        response.headers.append("Set-Cookie", header or "")
        await response(scope, receive, send)

    start, _ = await call_asgi(inside(app, store), http_scope())
    assert len(header_of(start, b"set-cookie")) == 1
