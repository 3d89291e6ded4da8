"""Apps before and after a migration: the real predecessor, then this package, visited by one browser."""

import asyncio
import json
import secrets
from collections.abc import Callable
from typing import Any

import httpx2
import starsessions
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware as StarletteSessions
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from starsessions.stores.redis import RedisStore as StarsessionsRedisStore

from chirp.middleware.sessions.predecessor import Predecessor
from chirp.migration import JSONInRedis, StarletteCookies, StarsessionsCookies, StarsessionsRedis

OLD_SECRET = "the secret of the app as it was before"
KINDS = ("starlette", "starsessions-cookie", "starsessions-redis", "json-in-redis")
IN_REDIS = KINDS[2:]


class Site:
    """A browser, and the app that answers it: another one after the migration.

    Attributes:
        app: what answers now.
        handler: what the app does with a request; it returns a response, or None for one that shows the session.
        client: the browser.
    """

    def __init__(self) -> None:
        self.app: Any = None
        self.handler: Callable[[Request], Any] = lambda request: None
        self.client = self.browser()

    def browser(self) -> httpx2.AsyncClient:
        """Return a browser without cookies."""
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=self), base_url="https://testserver")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)

    async def answer(self, request: Request) -> Response:
        """Answer as the handler says."""
        response = self.handler(request)
        if asyncio.iscoroutine(response):
            response = await response
        return response if isinstance(response, Response) else JSONResponse(dict(request.session))

    async def visit(
        self,
        handler: Callable[[Request], Any] = lambda request: None,
        path: str = "/",
        client: httpx2.AsyncClient | None = None,
    ) -> httpx2.Response:
        """Visit a path that is answered by this handler."""
        self.handler = handler
        return await (client or self.client).get(path)

    def starlette(self, *middleware: Middleware) -> Starlette:
        """Return an app of Starlette's that answers as this site does."""
        return Starlette(routes=[Route("/{path:path}", self.answer)], middleware=list(middleware))


class HomeMade:
    """Sessions as somebody writes them in an afternoon: JSON in Redis, and a random id in a cookie."""

    def __init__(self, app: Any, client: Redis, prefix: str) -> None:
        self._app = app
        self._client = client
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        old_id = Request(scope).cookies.get("session") if scope["type"] == "http" else None
        stored = await self._client.get(self._prefix + old_id) if old_id else None
        scope["session"] = json.loads(stored) if stored else {}
        new_id = old_id or secrets.token_hex(16)

        async def send_saved(message: Any) -> None:
            if message["type"] == "http.response.start" and scope["session"]:
                await self._client.set(self._prefix + new_id, json.dumps(scope["session"]), ex=86400)
                message["headers"] = [
                    *message["headers"],
                    (b"set-cookie", f"session={new_id}; Path=/; HttpOnly".encode()),
                ]
            await send(message)

        await self._app(scope, receive, send_saved)


def old_app(kind: str, site: Site, client: Redis, prefix: str) -> Any:
    """Return the app as it was: the real predecessor, installed."""
    if kind == "starlette":
        return site.starlette(Middleware(StarletteSessions, secret_key=OLD_SECRET))
    if kind == "json-in-redis":
        return site.starlette(Middleware(HomeMade, client=client, prefix=prefix + "old:"))
    store: Any = (
        starsessions.CookieStore(OLD_SECRET)
        if kind == "starsessions-cookie"
        else StarsessionsRedisStore(connection=client, prefix=prefix + "old:")
    )
    return site.starlette(
        Middleware(starsessions.SessionMiddleware, store=store, lifetime=86400),
        Middleware(starsessions.SessionAutoloadMiddleware),
    )


def predecessor(kind: str, client: Redis, prefix: str, **options: Any) -> Predecessor:
    """Return what takes over the sessions of `old_app`."""
    match kind:
        case "starlette":
            return StarletteCookies(OLD_SECRET, **options)
        case "starsessions-cookie":
            return StarsessionsCookies(OLD_SECRET, lifetime=86400, **options)
        case "starsessions-redis":
            return StarsessionsRedis(client, prefix + "old:", **options)
        case _:
            return JSONInRedis(client, prefix + "old:{id}", **options)
