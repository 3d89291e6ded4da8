"""What docs/how-to/starlette.md says is different from Starlette's own middleware; mounts are in `test_mounts.py`."""

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware as StarlettesMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket
from visits import CONFIG

from chirp import ASGISessionMiddleware, MemorySessionStore, SessionClosed, SessionConfig
from chirp.errors import SessionNotSerializable, SessionTooLarge
from chirp.testing import ManualClock

Handler = Callable[[Request], Any]
THEIRS = Middleware(StarlettesMiddleware, secret_key=CONFIG.secret_key)
DAY = 86_400


def ours(config: SessionConfig = CONFIG) -> Middleware:
    return Middleware(ASGISessionMiddleware, config=config)


def site(middleware: Middleware, *handlers: Handler, scheme: str = "http") -> TestClient:
    """Return a client of handlers at /0, /1, ...; what they return is the body, or the response."""

    def endpoint(handler: Handler) -> Any:
        async def answer(request: Request) -> Response:
            result = handler(request)
            return result if isinstance(result, Response) else JSONResponse(result)

        return answer

    async def socket(socket: WebSocket) -> None:
        socket.session["socket"] = 1
        await socket.accept()
        await socket.close()

    routes = [Route(f"/{number}", endpoint(handler)) for number, handler in enumerate(handlers)]
    app = Starlette(routes=[Route("/look", endpoint(look)), WebSocketRoute("/socket", socket), *routes])
    app.add_middleware(middleware.cls, *middleware.args, **middleware.kwargs)
    return TestClient(app, base_url=f"{scheme}://testserver")


def look(request: Request) -> dict[str, Any]:
    return dict(request.session)


def fill(request: Request) -> None:
    request.session["cart"] = []


def append(request: Request) -> None:
    request.session["cart"].append(1)


@pytest.mark.parametrize(("middleware", "kept"), [(THEIRS, []), (ours(), [1])], ids=["theirs", "ours"])
def test_a_change_inside_a_value(middleware: Middleware, kept: list[int]) -> None:
    """Ours stores it."""
    client = site(middleware, fill, append)
    for path in ("/0", "/1"):
        client.get(path)
    assert client.get("/look").json() == {"cart": kept}


@pytest.mark.parametrize(("middleware", "told"), [(THEIRS, []), (ours(), ["SessionClosed"])], ids=["theirs", "ours"])
def test_a_change_after_the_response_has_started(middleware: Middleware, told: list[str]) -> None:
    """Both lose it; ours says so."""
    errors: list[str] = []

    def endpoint(request: Request) -> Response:
        def late() -> None:
            try:
                request.session["late"] = 1
            except SessionClosed as error:
                errors.append(type(error).__name__)

        return Response(background=BackgroundTask(late))

    client = site(middleware, endpoint)
    client.get("/0")
    assert (errors, client.get("/look").json()) == (told, {})


@pytest.mark.parametrize(("middleware", "kept"), [(THEIRS, {}), (ours(), {"socket": 1})], ids=["theirs", "ours"])
def test_a_change_before_a_websocket_is_accepted(middleware: Middleware, kept: dict[str, int]) -> None:
    """Ours stores it, with the cookie in the handshake."""
    client = site(middleware)
    with client.websocket_connect("/socket") as connection:
        sent = [value.decode() for name, value in connection.extra_headers or () if name == b"set-cookie"]
    cookie = "; ".join(line.partition(";")[0] for line in sent)
    assert client.get("/look", headers={"Cookie": cookie}).json() == kept


def put_tuple(request: Request) -> None:
    request.session["key"] = (1, 2)


def test_a_value_that_json_gives_back_as_another() -> None:
    """Starlette's makes a list of a tuple; ours refuses it."""
    client = site(THEIRS, put_tuple)
    client.get("/0")
    assert client.get("/look").json() == {"key": [1, 2]}
    with pytest.raises(SessionNotSerializable, match="tuple"):
        site(ours(), put_tuple).get("/0")


def put_much(request: Request) -> None:
    request.session["key"] = secrets.token_hex(5000)  # ours would compress what repeats itself


def test_more_than_a_cookie_can_hold() -> None:
    """Starlette's sends a cookie that browsers drop; ours raises, without a server-side store."""
    assert len(site(THEIRS, put_much).get("/0").headers["set-cookie"]) > 4096
    with pytest.raises(SessionTooLarge):
        site(ours(), put_much).get("/0")


def assign(request: Request) -> None:
    request.scope["session"] = {"key": 1}


@pytest.mark.parametrize(
    ("middleware", "error"), [(THEIRS, AttributeError), (ours(), RuntimeError)], ids=["theirs", "ours"]
)
def test_a_session_that_is_assigned(middleware: Middleware, error: type[Exception]) -> None:
    """Neither takes it, and ours says what to do."""
    with pytest.raises(error):
        site(middleware, assign).get("/0")


def test_the_cookies_name_and_its_secure_mark() -> None:
    """Over https ours is `Secure` unasked."""
    lines = [site(each, fill, scheme="https").get("/0").headers["set-cookie"].lower() for each in (THEIRS, ours())]
    assert [(line.partition("=")[0], "secure" in line) for line in lines] == [
        ("session", False),
        ("chirp_session", True),
    ]


def test_what_caches_are_told_of_a_new_cookie() -> None:
    """They must not keep a response that signs somebody in."""
    told = [site(each, fill).get("/0").headers.get("cache-control") for each in (THEIRS, ours())]
    assert told == [None, "no-store, private"]


def test_how_long_a_session_lives() -> None:
    """Starlette's counts from the last change; ours from the last visit."""
    clock = ManualClock()
    config = replace(CONFIG, max_age=2 * DAY)
    client = site(ours(replace(config, store=MemorySessionStore(config, clock=clock))), fill)
    client.get("/0")
    for _ in range(3):
        clock.move(1.5 * DAY)
        assert client.get("/look").json() == {"cart": []}
    theirs = site(THEIRS, fill)
    theirs.get("/0")
    assert "set-cookie" not in theirs.get("/look").headers


def end(request: Request) -> None:
    request.session.clear()


@pytest.mark.parametrize(
    ("middleware", "found"),
    [(THEIRS, {"cart": []}), (ours(replace(CONFIG, store=MemorySessionStore(CONFIG))), {})],
    ids=["theirs", "ours"],
)
def test_a_copy_of_the_cookie_after_a_logout(middleware: Middleware, found: dict[str, Any]) -> None:
    """On a server-side store it leads nowhere."""
    client = site(middleware, fill, end)
    client.get("/0")
    copied = dict(client.cookies)
    client.get("/1")
    client.cookies.update(copied)
    assert client.get("/look").json() == found


def delete(request: Request) -> None:
    del request.scope["session"]


@pytest.mark.parametrize(("middleware", "error"), [(THEIRS, KeyError), (ours(), RuntimeError)], ids=["theirs", "ours"])
def test_a_session_that_is_deleted(middleware: Middleware, error: type[Exception]) -> None:
    """As one that is assigned."""
    with pytest.raises(error):
        site(middleware, delete).get("/0")


def test_clear_and_update_in_place_of_an_assignment() -> None:
    """They start a new session, with nothing of the one before."""

    def replaced(request: Request) -> None:
        request.session.clear()
        request.session.update({"key": 1})

    client = site(ours(), fill, replaced)
    for path in ("/0", "/1"):
        client.get(path)
    assert client.get("/look").json() == {"key": 1}
