"""Litestar: its `request.session` is the session, and what it would lose is refused."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from framework_kit import accepts_with_a_cookie, session_after_a_login
from litestar import Litestar, Request, WebSocket, asgi, get, websocket
from litestar.exceptions import HTTPException
from litestar.middleware import DefineMiddleware
from litestar.response import Stream
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import Response
from starlette.testclient import TestClient
from visits import CONFIG

from chirp import ASGISessionMiddleware, MemorySessionStore, get_session, regenerate_session


@get("/read")
async def read(request: Request) -> dict[str, Any]:
    return dict(request.session)


@get("/write")
async def write(request: Request) -> None:
    request.session["key"] = "kept"


@get("/login")
async def login() -> None:
    regenerate_session()["user_id"] = "ada"


@get("/in-a-thread", sync_to_thread=True)
def in_a_thread() -> None:
    get_session()["key"] = "kept"


@get("/fails")
async def fails(request: Request) -> None:
    request.session["key"] = "kept"
    raise ValueError("a defect")


@get("/refuses")
async def refuses(request: Request) -> None:
    request.session["key"] = "kept"
    raise HTTPException("no", status_code=418)


@get("/sets")
async def sets(request: Request) -> None:
    request.session["key"] = "kept"
    request.set_session({"other": 1})


@get("/clears")
async def clears(request: Request) -> None:
    request.clear_session()


@get("/streams")
async def streams(request: Request) -> Stream:
    request.session["key"] = "kept"

    async def parts() -> Any:
        yield str(get_session()["key"])

    return Stream(parts())


@websocket("/socket")
async def socket(socket: WebSocket) -> None:
    socket.session["key"] = "kept"
    await socket.accept()
    await socket.send_text(socket.session["key"])
    await socket.close()


@asgi("/mounted", copy_scope=False)
async def mounted(scope: Any, receive: Any, send: Any) -> None:
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["key"] = "its own"
        await Response()(scope, receive, send)

    await SessionMiddleware(answer, secret_key="of the mounted app alone")(scope, receive, send)


HANDLERS = [mounted, read, write, login, in_a_thread, fails, refuses, sets, clears, streams, socket]


@pytest.fixture
def client() -> Iterator[TestClient]:
    config = replace(CONFIG, store=MemorySessionStore(CONFIG))
    middleware = [DefineMiddleware(ASGISessionMiddleware, config=config)]
    with TestClient(Litestar(HANDLERS, middleware=middleware), raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize("path", ["/write", "/in-a-thread", "/streams"])
def test_a_change_is_stored(client: TestClient, path: str) -> None:
    """It is there at the next request, wherever the handler ran."""
    assert client.get(path).status_code == 200
    assert client.get("/read").json() == {"key": "kept"}


def test_a_login_changes_the_id(client: TestClient) -> None:
    """Only the new session has the user, and nothing of the one before."""
    assert session_after_a_login(client) == {"user_id": "ada"}


@pytest.mark.parametrize(("path", "status"), [("/fails", 500), ("/refuses", 418)])
def test_a_change_before_an_exception_is_stored(client: TestClient, path: str, status: int) -> None:
    """Litestar makes a response of it inside all middlewares of its own."""
    assert client.get(path).status_code == status
    assert client.get("/read").json() == {"key": "kept"}


@pytest.mark.parametrize("path", ["/sets", "/clears"])
def test_replacing_the_session_is_refused(client: TestClient, path: str) -> None:
    """The response is a 500, and what the session was it still is."""
    client.get("/write")
    assert client.get(path).status_code == 500
    assert client.get("/read").json() == {"key": "kept"}


def test_a_mounted_app_may_have_sessions_of_its_own(client: TestClient) -> None:
    """In the same place of the scope, and in another cookie."""
    response = client.get("/mounted")
    assert (response.status_code, list(response.cookies)) == (200, ["session"])
    assert client.get("/read").json() == {}


def test_a_websocket_stores_what_changed_before_it_was_accepted(client: TestClient) -> None:
    """The cookie comes with the handshake."""
    accepts_with_a_cookie(client)
