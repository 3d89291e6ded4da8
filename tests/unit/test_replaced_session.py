"""What stands in the session's place when the response starts: an app's mistake, or another middleware's session."""

from typing import Any

import pytest
from session_kit import SECRET, Site, browser, call_asgi, config_with, cookies_set, http_scope
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware as StarlettesMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from chirp.middleware.sessions import ASGISessionMiddleware

PLAIN_DICTS = "chirp.middleware.sessions.asgi.PLAIN_DICTS_ARE_ASSIGNED"


@pytest.fixture
def site() -> Site:
    return Site("asgi")


@pytest.fixture
def newer_starlette(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever release is installed, its own sessions are no plain dicts."""
    monkeypatch.setattr(PLAIN_DICTS, True)


def put(request: Request) -> None:
    request.session["kept"] = 1


def assign(request: Request) -> None:
    request.session["lost"] = 1
    request.scope["session"] = {"other": 1}


def delete(request: Request) -> None:
    request.session["lost"] = 1
    del request.scope["session"]


def look(request: Request) -> JSONResponse:
    return JSONResponse(dict(request.session))


@pytest.mark.usefixtures("newer_starlette")
@pytest.mark.parametrize("replace", [assign, delete])
def test_a_session_that_was_replaced_is_refused(site: Site, replace: Any) -> None:
    """Else it would be lost, and nobody told."""
    site.visit(put)
    with pytest.raises(RuntimeError, match=r"request\.session\.update\(\.\.\.\).*exclude_paths"):
        site.visit(replace)


@pytest.mark.usefixtures("newer_starlette")
@pytest.mark.parametrize("replace", [assign, delete])
def test_the_refusal_stores_nothing(site: Site, replace: Any) -> None:
    """The browser gets a 500, and the session is as it was."""
    site.visit(put)
    site.client = browser(site.app, raise_server_exceptions=False, cookies=dict(site.client.cookies))
    assert site.visit(replace).status_code == 500
    assert site.visit(look).json() == {"kept": 1}


@pytest.mark.usefixtures("newer_starlette")
async def test_a_websocket_with_a_replaced_session_is_refused() -> None:
    """Before it is accepted."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"] = {}
        await WebSocket(scope, receive, send).accept()

    inside = ASGISessionMiddleware(app, config_with())
    with pytest.raises(RuntimeError, match="was replaced"):
        await call_asgi(inside, http_scope(type="websocket", subprotocols=[]), [{"type": "websocket.connect"}])


async def test_whatever_litestar_puts_there_is_refused() -> None:
    """Its own sessions are plain dicts or its own marks of emptiness."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"] = object()
        scope["litestar_app"] = app
        await send({"type": "http.response.start", "status": 200})

    with pytest.raises(RuntimeError, match="of Litestar"):
        await call_asgi(ASGISessionMiddleware(app, config_with()), http_scope())


async def count(request: Request) -> JSONResponse:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JSONResponse(request.session["visits"])


def plain_dicts(app: Any) -> Any:
    """Act like a middleware of others that keeps plain dicts, and a handler beside them."""

    async def around(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope["session"], scope["session_handler"] = {}, object()
        await app(scope, receive, send)

    return around


def mounting(*middleware: Any, **settings: Any) -> TestClient:
    mounted = Starlette(routes=[Route("/", count)], middleware=[*middleware])
    app = Starlette(routes=[Route("/", count), Mount("/sub", mounted)])
    app.add_middleware(ASGISessionMiddleware, config=config_with(**settings))
    return browser(app)


@pytest.mark.parametrize(
    ("inner", "counted"),
    [
        (Middleware(ASGISessionMiddleware, config=config_with(cookie_name="of_the_mounted_app")), [1, 2]),
        (Middleware(StarlettesMiddleware, secret_key=SECRET), [1, 2]),
        (Middleware(plain_dicts), [1, 1]),
    ],
    ids=["ours", "Starlette's", "plain dicts"],
)
def test_another_middleware_inside_keeps_its_own_session(inner: Any, counted: list[int]) -> None:
    """It is in the place of ours, and its cookie is another one."""
    client = mounting(inner)
    assert [client.get("/").json(), *(client.get("/sub/").json() for _ in range(2))] == [1, *counted]
    assert client.get("/").json() == 2


def test_starlettes_plain_dicts_of_before_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Releases without a class for them cannot be told from an app that assigns."""
    monkeypatch.setattr(PLAIN_DICTS, False)
    assert Site("asgi").visit(assign).status_code == 200


def test_an_excluded_path_may_put_there_what_it_likes() -> None:
    """The remedy that the refusal names."""

    def own(app: Any) -> Any:
        async def around(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                scope["session"] = {}
            await app(scope, receive, send)

        return around

    answer = mounting(Middleware(own), exclude_paths=("/sub",)).get("/sub/")
    assert (answer.json(), cookies_set(answer)) == (1, [])


@pytest.mark.usefixtures("newer_starlette")
async def test_an_app_that_catches_the_refusal_may_answer() -> None:
    """With a response of its own, for which nothing is stored."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assign(Request(scope))
        start = {"type": "http.response.start", "status": 200, "headers": []}
        with pytest.raises(RuntimeError):
            await send(start)
        await send({**start, "status": 500})

    sent = await call_asgi(ASGISessionMiddleware(app, config_with()), http_scope())
    assert sent == [{"type": "http.response.start", "status": 500, "headers": []}]
