"""What the unit tests of sessions share: a config, a clock to move, a store that can fail, apps under both fronts."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from chirp.app import App
from chirp.errors import StoreUnavailable
from chirp.middleware.sessions import ASGISessionMiddleware, MemorySessionStore, SessionConfig, SessionMiddleware
from chirp.middleware.sessions.merging import Write, Written
from chirp.middleware.sessions.steps import Reply, Step
from chirp.testing import ManualClock as Clock

SECRET = "for tests alone, and long enough"
COOKIE = "chirp_session"
EVERY_METHOD = ("GET", "POST")
NEW_ID = "no-store, private"

Handler = Callable[[Request], Response | Awaitable[Response]]


def config_with(**settings: Any) -> SessionConfig:
    return SessionConfig(secret_key=SECRET, **settings)


class WatchedStore(MemorySessionStore):
    """A memory store that notes which primitives were used, and fails those it is told to."""

    def __init__(self, config: SessionConfig, *, clock: Clock | None = None) -> None:
        super().__init__(config, clock=clock or Clock())
        self.used: list[str] = []
        self.broken: set[str] = set()

    def _use(self, primitive: str) -> None:
        self.used.append(primitive)
        if primitive in self.broken:
            raise StoreUnavailable(f"{primitive} is broken")

    async def _read(self, key: str) -> bytes | None:
        self._use("read")
        return await super()._read(key)

    async def _write(self, write: Write) -> Written:
        self._use("write")
        return await super()._write(write)

    async def _run(self, steps: Sequence[Step]) -> list[Reply]:
        self._use("run")
        return await super()._run(steps)


class Site:
    """A handler under one of the two fronts, and a browser that visits it over https.

    Args:
        front: "asgi" (Starlette inside `ASGISessionMiddleware`) or "app" (`chirp.App` with `SessionMiddleware`).
        settings: of the config.
    """

    def __init__(self, front: str, **settings: Any) -> None:
        self.clock = Clock()
        self.config = config_with(**settings)
        self.store = WatchedStore(self.config, clock=self.clock)
        self.handler: Handler = lambda request: Response()
        self.app = app_under(front, self._answer, replace(self.config, store=self.store))
        self.client = browser(self.app)

    def _answer(self, request: Request) -> Response | Awaitable[Response]:
        return self.handler(request)

    def visit(self, handler: Callable[[Request], Any], path: str = "/", method: str = "GET", **options: Any) -> Any:
        """Visit a path that is answered by this handler; what is no response becomes an empty one."""

        def answering(request: Request) -> Response:
            result = handler(request)
            return result if isinstance(result, Response) else Response()

        self.handler = answering
        return self.client.request(method, path, **options)

    @property
    def cookie(self) -> str | None:
        return self.client.cookies.get(self.config.cookie_name)


def app_under(front: str, handler: Handler, config: SessionConfig) -> Any:
    async def endpoint(request: Request) -> Response:
        answer = handler(request)
        return await answer if inspect.isawaitable(answer) else answer

    if front == "asgi":
        starlette = Starlette(routes=[Route("/{any:path}", endpoint, methods=EVERY_METHOD)])
        starlette.add_middleware(ASGISessionMiddleware, config=config)
        return starlette
    app = App()
    app.add_middleware(SessionMiddleware(config))
    app.route("/{any:path}", methods=EVERY_METHOD)(endpoint)
    return app


def browser(app: Any, **options: Any) -> TestClient:
    return TestClient(app, base_url="https://testserver", **options)


def cookies_set(response: Any) -> list[str]:
    lines: list[str] = response.headers.get_list("set-cookie")
    return lines


class FakeRequest:
    """All that a store's `load` needs of a request."""

    def __init__(self, cookies: dict[str, str] | None = None) -> None:
        self.cookies = cookies or {}


def value_in(header: str) -> str:
    """Return the cookie's value of a `Set-Cookie` line."""
    return header.partition(";")[0].partition("=")[2]


async def stored_session(store: Any, data: dict[str, Any]) -> str:
    """Store a session and return its cookie value."""
    response = await store.save(Response(), dict(data))
    return value_in(response.headers["set-cookie"])


async def loaded(store: Any, cookie: str) -> Any:
    return await store.load(FakeRequest({store.config.cookie_name: cookie}))


async def saved(store: Any, session: dict[str, Any], **options: Any) -> str | None:
    """Save a session and return the `Set-Cookie` line, if there is one."""
    response = await store.save(Response(), session, **options)
    header: str | None = response.headers.get("set-cookie")
    return header


async def call_asgi(app: Any, scope: dict[str, Any], received: Sequence[dict[str, Any]] = ()) -> list[dict[str, Any]]:
    """Run an ASGI app on one scope, and return the messages it sent."""
    sent: list[dict[str, Any]] = []
    incoming = list(received)

    async def receive() -> dict[str, Any]:
        return incoming.pop(0) if incoming else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


def http_scope(**more: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "scheme": "https",
        "headers": [],
        **more,
    }
