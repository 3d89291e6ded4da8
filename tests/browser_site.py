"""A small site for browsers: its sessions are on Redis, and it remembers which requests brought their cookie."""

import asyncio
import secrets
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import trustme
import uvicorn
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from chirp.app import App
from chirp.middleware.protocol import AnyResponse, Next
from chirp.middleware.sessions import SessionConfig, SessionMiddleware, get_session, regenerate_session

SHOP = "shop.test"
SECRET = "for tests alone, and long enough"


class Seen(NamedTuple):
    """One request, and whether the session's cookie came with it."""

    method: str
    path: str
    cookie: bool


@dataclass
class Site:
    """A site that serves under every host name of the tests.

    Attributes:
        seen: the requests so far.
    """

    config: SessionConfig
    scheme: str = "http"
    port: int = 0
    seen: list[Seen] = field(default_factory=list)

    def url(self, path: str = "/", host: str = SHOP) -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    def brought_cookie(self, method: str, path: str) -> bool:
        """Whether the one such request had the session's cookie."""
        (cookie,) = [each.cookie for each in self.seen if each[:2] == (method, path)]
        return cookie

    async def look(self, request: Request, following: Next) -> AnyResponse:
        """Remember the request."""
        cookie = f"{self.config.cookie_name}=" in request.headers.get("cookie", "")
        self.seen.append(Seen(request.method, request.url.path, cookie))
        return await following(request)


OpenSite = Callable[..., Site]


class Held:
    """Requests that wait, with the session that they have loaded, until they are let go."""

    def __init__(self) -> None:
        self._waiting = 0
        self._changed = asyncio.Condition()
        self._open = asyncio.Event()

    async def hold(self) -> dict[str, Any]:
        async with self._changed:
            self._waiting += 1
            number = self._waiting
            self._changed.notify_all()
        await self._open.wait()
        get_session()[f"held:{number}"] = True
        return {}

    async def until(self, number: int) -> dict[str, Any]:
        """Answer when so many wait."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._waiting >= number)
        return {}

    async def let_go(self) -> dict[str, Any]:
        self._open.set()
        return {}


def make_app(site: Site) -> App:
    app = App()
    app.add_middleware(site.look)
    app.add_middleware(SessionMiddleware(site.config))
    held = Held()
    routes: tuple[tuple[str, str, Callable[..., Any]], ...] = (
        ("/", "GET", visit),
        ("/", "POST", visit),
        ("/data", "GET", data),
        ("/fill/{size:int}", "GET", fill),
        ("/account", "GET", account),
        ("/login/{name}", "POST", sign_in),
        ("/logout", "POST", sign_out),
        ("/hold", "POST", held.hold),
        ("/held/{number:int}", "GET", held.until),
        ("/let-go", "POST", held.let_go),
        ("/elsewhere", "GET", elsewhere),
        ("/plant", "GET", plant),
    )
    for path, method, handler in routes:
        app.route(path, methods=(method,))(handler)
    return app


async def visit() -> str:
    """Count a visit."""
    session = get_session()
    session["visits"] = session.get("visits", 0) + 1
    return f"<!doctype html><title>Shop</title><p>{session['visits']}</p>"


async def data() -> Response:
    """Tell what is in the session, and change nothing."""
    return JSONResponse(dict(get_session()))


async def fill(size: int) -> dict[str, Any]:
    """Put so many bytes into the session that nothing makes smaller."""
    get_session()["filling"] = secrets.token_urlsafe(size)
    return {}


async def account(request: Request) -> Response:
    """Say who is signed in, in a page that may be kept as the query says."""
    name = get_session().get("user_id", "nobody")
    page = f'<!doctype html><title>Account</title><p>{name}</p><button onclick="{LEAVE}">Sign out</button>'
    return HTMLResponse(page, headers={"Cache-Control": request.query_params.get("cache", "private")})


LEAVE = "fetch('/logout', {method: 'POST'}).then(() => location.assign('/elsewhere'))"


async def sign_in(request: Request, name: str) -> dict[str, Any]:
    """Sign in, in a session that ends with the browser if the query says so."""
    session = regenerate_session()
    session["user_id"] = name
    if "briefly" in request.query_params:
        session.set_lifetime(persistent=False)
    return {}


async def sign_out() -> dict[str, Any]:
    get_session().clear()
    return {}


async def elsewhere() -> str:
    """A page without a session, for other host names."""
    return "<!doctype html><title>Elsewhere</title>"


async def plant(request: Request) -> Response:
    """Set whatever cookie the query says, as another host or program of the same domain could."""
    return HTMLResponse("<!doctype html>", headers={"Set-Cookie": request.query_params["cookie"]})


@contextmanager
def serving(site: Site, authority: trustme.CA | None = None) -> Iterator[Site]:
    """Serve a site in a thread; over https where there is an authority for its certificate."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()  # a browser that comes before the server is ready waits in the backlog
        site.port = listening.getsockname()[1]
        settings = uvicorn.Config(make_app(site), log_level="critical", lifespan="on", timeout_graceful_shutdown=1)
        settings.load()
        if authority is not None:
            site.scheme = "https"
            settings.ssl = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("*.test", "*.shop.test").configure_cert(settings.ssl)
        server = uvicorn.Server(settings)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield site
        finally:
            server.should_exit = True
            thread.join(timeout=10)
    assert not thread.is_alive()
